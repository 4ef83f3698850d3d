//! The emulator of AMX through the assembler, against plain references: the reference of TDPBF16PS is this processor's own FMA in
//! the mode that the SDM prescribes. Where the processor has AMX, these tests test that.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

use lexivid_kernels::{Isa, amx_emulator::install};
use proptest::prelude::*;
use std::{arch::asm, array, os::unix::process::ExitStatusExt, process::Command, sync::Barrier};

type Matrix = [[u32; 16]; 16];

/// Emulates AMX, or asks the system for the processor's.
fn prepare() {
    install();
    Isa::all();
}

/// A tile configuration out of (rows, colsb) of tiles 0, 1, 2, ...
fn config(shapes: &[(u8, u8)]) -> [u8; 64] {
    let mut config = [0; 64];
    config[0] = 1;
    for (tile, &(rows, colsb)) in shapes.iter().enumerate() {
        (config[16 + 2 * tile], config[48 + tile]) = (colsb, rows);
    }
    config
}

fn full() -> [u8; 64] {
    config(&[(16, 64); 8])
}

fn load_config(config: &[u8; 64]) {
    // SAFETY: reads the 64 bytes.
    unsafe { asm!("ldtilecfg [{}]", in(reg) config) }
}

fn store_config() -> [u8; 64] {
    let mut config = [0xFF; 64];
    // SAFETY: writes the 64 bytes.
    unsafe { asm!("sttilecfg [{}]", in(reg) &mut config) }
    config
}

/// `$sum` after the instruction: m x n, with k dwords of `left` times k rows of `right`.
macro_rules! dot {
    ($instruction:literal, $shape:expr, $sum:expr, $left:expr, $right:expr) => {{
        let [m, n, k] = $shape.map(|size: usize| size as u8);
        // Tiles 7, 4 and 2, so that every bit of a tile's number counts.
        let mut shapes = [(0, 0); 8];
        (shapes[7], shapes[4], shapes[2]) = ((m, 4 * n), (m, 4 * k), (k, 4 * n));
        let mut sum: Matrix = $sum;
        // SAFETY: rows of 64 bytes, 16 of them.
        unsafe {
            asm!(
                "ldtilecfg [{config}]",
                "tileloadd tmm7, [{sum}+{stride}*1]",
                "tileloaddt1 tmm4, [{left}+{stride}*1]",
                "tileloadd tmm2, [{right}+{stride}*1]",
                concat!($instruction, " tmm7, tmm4, tmm2"),
                "tilestored [{sum}+{stride}*1], tmm7",
                "tilerelease",
                config = in(reg) &config(&shapes), sum = in(reg) &mut sum, left = in(reg) &$left,
                right = in(reg) &$right, stride = in(reg) 64usize,
            );
        }
        sum
    }};
}

/// x * y + z with one rounding to nearest even, denormals zero on the way in and out.
fn fma(x: f32, y: f32, mut z: f32) -> f32 {
    assert!(is_x86_feature_detected!("fma"), "the reference needs FMA3");
    // SAFETY: MXCSR is back at Rust's value before any other instruction runs.
    unsafe {
        asm!("ldmxcsr [{flush}]", "vfmadd231ss {z}, {x}, {y}", "ldmxcsr [{normal}]", flush = in(reg) &0x9FC0u32,
            normal = in(reg) &0x1F80u32, x = in(xmm_reg) x, y = in(xmm_reg) y, z = inout(xmm_reg) z);
    }
    z
}

fn bf16_reference([m, n, k]: [usize; 3], mut sum: Matrix, left: &Matrix, right: &Matrix) -> Matrix {
    let low = |pair: u32| f32::from_bits(pair << 16);
    let high = |pair: u32| f32::from_bits(pair & 0xFFFF_0000);
    for i in 0..m {
        for j in 0..n {
            let (mut even, mut odd) = (0.0, 0.0);
            for l in 0..k {
                even = fma(low(left[i][l]), low(right[l][j]), even);
                odd = fma(high(left[i][l]), high(right[l][j]), odd);
            }
            sum[i][j] = fma(fma(even, 1.0, odd), 1.0, f32::from_bits(sum[i][j])).to_bits();
        }
    }
    sum
}

/// Equal bits, or both NaN, whose payload is not modelled.
fn same(got: u32, expected: u32) -> bool {
    got == expected || f32::from_bits(got).is_nan() && f32::from_bits(expected).is_nan()
}

fn matrix(element: impl Strategy<Value = u32>) -> impl Strategy<Value = Matrix> {
    prop::collection::vec(element, 256).prop_map(|x| array::from_fn(|i| array::from_fn(|j| x[16 * i + j])))
}

/// Pairs of bf16 of about one; around products of 2^-126; of 2^128; all, with infinities and NaN.
fn pairs() -> impl Strategy<Value = Matrix> {
    let exponents = prop_oneof![Just((120u32, 15)), Just((57, 13)), Just((0, 72)), Just((180, 16)), Just((0, 256))];
    exponents.prop_flat_map(|(first, count)| {
        let half = (any::<u32>(), first..first + count).prop_map(|(bits, exponent)| bits & 0x807F | exponent << 7);
        matrix([half.clone(), half].prop_map(|[low, high]| low | high << 16))
    })
}

fn shape() -> impl Strategy<Value = [usize; 3]> {
    [1..=16usize, 1..=16usize, 1..=16usize]
}

proptest! {
    #[test]
    fn bf16_is_the_processors_fma(shape in shape(), left in pairs(), right in pairs(), sum in matrix(any::<u32>())) {
        prepare();
        let got = dot!("tdpbf16ps", shape, sum, left, right);
        let expected = bf16_reference(shape, sum, &left, &right);
        for (i, (&got, &expected)) in got.iter().flatten().zip(expected.iter().flatten()).enumerate() {
            prop_assert!(same(got, expected), "{shape:?}, element {i}: {got:#x}, expected {expected:#x}");
        }
    }

    /// Sums wrap around.
    #[test]
    fn bytes_are_integers(
        [m, n, k] in shape(), left in matrix(any::<u32>()), right in matrix(any::<u32>()), sum in matrix(any::<u32>()),
    ) {
        prepare();
        let signed = |byte: u8| i64::from(byte as i8);
        let unsigned = |byte: u8| i64::from(byte);
        let got = dot!("tdpbusd", [m, n, k], sum, left, right);
        for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
            let bytes = |l: usize| left[i][l].to_le_bytes().into_iter().zip(right[l][j].to_le_bytes());
            let dot: i64 = (0..k).flat_map(bytes).map(|(a, b)| unsigned(a) * signed(b)).sum();
            prop_assert_eq!(got[i][j], (i64::from(sum[i][j]) + dot) as u32);
        }
    }
}

#[test]
fn configuration_is_kept_and_zeroes_the_tiles() {
    prepare();
    assert_eq!(store_config(), [0; 64], "a new thread has none");
    let shapes = config(&[(16, 64), (3, 20), (0, 0), (1, 4)]);
    load_config(&shapes);
    assert_eq!(store_config(), shapes);
    let (ones, mut stored) = ([[u32::MAX; 16]; 16], [[7u32; 16]; 16]);
    // SAFETY: rows of 64 bytes, 16 of them.
    unsafe {
        asm!("tileloadd tmm0, [{ones}+{s}*1]", "tileloadd tmm1, [{ones}+{s}*1]", "ldtilecfg [{c}]",
            "tilestored [{stored}+{s}*1], tmm0", c = in(reg) &shapes, ones = in(reg) &ones,
            stored = in(reg) &mut stored, s = in(reg) 64usize);
    }
    assert_eq!(stored, [[0; 16]; 16]);
    // SAFETY: touches only tile state.
    unsafe { asm!("tilerelease") }
    assert_eq!(store_config(), [0; 64]);
}

#[test]
fn loads_and_stores_move_the_configured_bytes_only() {
    prepare();
    load_config(&config(&[(16, 64), (5, 12)]));
    let source: Matrix = array::from_fn(|i| array::from_fn(|j| (100 * i + j) as u32));
    let [mut copy, mut zeros] = [[[7u32; 16]; 16]; 2];
    // SAFETY: rows of 64 bytes, 16 of them.
    unsafe {
        asm!("tileloadd tmm1, [{a}+{s}*1]", "tilestored [{copy}+{s}*1], tmm1", "tilezero tmm1",
            "tilestored [{zeros}+{s}*1], tmm1", a = in(reg) &source, copy = in(reg) &mut copy,
            zeros = in(reg) &mut zeros, s = in(reg) 64usize);
    }
    for (i, j) in (0..16).flat_map(|i| (0..16).map(move |j| (i, j))) {
        let inside = i < 5 && j < 3;
        assert_eq!(copy[i][j], if inside { source[i][j] } else { 7 }, "row {i} column {j}");
        assert_eq!(zeros[i][j], if inside { 0 } else { 7 }, "row {i} column {j}");
    }
}

/// Loads and stores tile 0 with every pair of base and index but RSP, at `$scale` and `$displacement`: 15 * 14 copies.
macro_rules! every_base_and_index {
    ($scale:literal, $displacement:literal) => {{
        let source: Matrix = array::from_fn(|i| array::from_fn(|j| (100 * i + j) as u32));
        let mut copies = vec![[[7u32; 16]; 16]; 210];
        let moved = |address: usize| address.wrapping_add_signed(0isize.wrapping_sub($displacement));
        // SAFETY: rows of 64 bytes, 16 of them, after scaling; a copy for each pair. RBX and RBP are restored.
        unsafe {
            asm!(
                "push rbx", "push rbp", "push rdx", "push rsi", "push rdi", // [rsp]: source, copy, index
                ".irp base, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15",
                ".irp index, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15",
                ".ifnc \\base,\\index",
                "mov \\index, [rsp+16]",
                "mov \\base, [rsp]",
                concat!("tileloadd tmm0, [\\base + \\index*", $scale, " + ", $displacement, "]"),
                "mov \\base, [rsp+8]",
                concat!("tilestored [\\base + \\index*", $scale, " + ", $displacement, "], tmm0"),
                "add qword ptr [rsp+8], 1024",
                ".endif",
                ".endr",
                ".endr",
                "add rsp, 24", "pop rbp", "pop rbx",
                inout("rdi") moved(source.as_ptr().addr()) => _, inout("rsi") moved(copies.as_mut_ptr().addr()) => _,
                inout("rdx") 64usize / $scale => _, out("rax") _, out("rcx") _, out("r8") _, out("r9") _,
                out("r10") _, out("r11") _, out("r12") _, out("r13") _, out("r14") _, out("r15") _,
            );
        }
        // The asm got the addresses as numbers.
        std::hint::black_box((&source, &mut copies));
        for (i, copy) in copies.iter().enumerate() {
            assert_eq!(*copy, source, "pair {i}, scale {}, displacement {}", $scale, $displacement);
        }
    }};
}

#[test]
fn every_base_index_scale_and_displacement() {
    prepare();
    load_config(&full());
    every_base_and_index!(1, 0);
    every_base_and_index!(2, -128);
    every_base_and_index!(4, 128);
    every_base_and_index!(8, -0x8000_0000);
}

#[test]
fn threads_have_their_own_tiles() {
    prepare();
    let barrier = Barrier::new(4);
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let barrier = &barrier;
            scope.spawn(move || {
                load_config(&full());
                let (source, mut stored) = ([[thread; 16]; 16], [[7u32; 16]; 16]);
                // SAFETY: rows of 64 bytes, 16 of them.
                unsafe { asm!("tileloadd tmm5, [{}+{}*1]", in(reg) &source, in(reg) 64usize) }
                barrier.wait();
                // SAFETY: as above.
                unsafe { asm!("tilestored [{}+{}*1], tmm5", in(reg) &mut stored, in(reg) 64usize) }
                assert_eq!(stored, source);
            });
        }
    });
}

#[test]
#[ignore = "ends the process; faults_end_the_process runs it in a child"]
fn faulting_child() {
    prepare();
    // SAFETY: one of the instructions ends the process.
    unsafe {
        match std::env::var("FAULT").expect("FAULT names the case").as_str() {
            "not configured" => asm!("tilezero tmm0"),
            "palette 2" => load_config(&[2; 64]),
            "shapes" => {
                load_config(&config(&[(16, 64), (15, 64), (16, 64)]));
                asm!("tdpbf16ps tmm0, tmm1, tmm2");
            }
            _ => asm!("tilerelease", "ud2"),
        }
    }
}

#[test]
fn faults_end_the_process() {
    prepare();
    let is_emulated = Isa::best().to_string() != "amx";
    for (case, reason) in [
        ("not configured", "tiles are not configured"),
        ("palette 2", "the palette"),
        ("shapes", "rows of the sum"),
        ("an instruction that nobody knows", ""),
    ] {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["faulting_child", "--exact", "--ignored", "--nocapture"])
            .env("FAULT", case)
            .output()
            .unwrap();
        // #UD is SIGILL; the processor's #GP is SIGSEGV.
        assert!(matches!(child.status.signal(), Some(libc::SIGILL | libc::SIGSEGV)), "{case}: {child:?}");
        assert!(!is_emulated || String::from_utf8_lossy(&child.stderr).contains(reason), "{case}: {child:?}");
    }
}
