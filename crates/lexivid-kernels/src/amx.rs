//! Products on the matrix tiles of Intel's AMX (Sapphire Rapids and later), through inline assembly: the intrinsics are not
//! stable. Instructions: Intel's Software Developer's Manual, volume 2; programming: volume 1, chapter 18.

use crate::block::{Block, Panels, TILE};
use half::bf16;
use std::{arch::asm, sync::OnceLock};

/// Whether the processor has AMX for bf16 and bytes, and the system lets this process use it.
pub(crate) fn is_present() -> bool {
    static PRESENT: OnceLock<bool> = OnceLock::new();
    *PRESENT.get_or_init(|| {
        let leaf = std::arch::x86_64::__cpuid_count(7, 0);
        let has = |bit: u32| leaf.edx >> bit & 1 == 1;
        has(22) && has(24) && has(25) && may_use_tiles()
    })
}

/// Whether [`is_present`] does not hold, but this process emulates AMX.
#[cfg(all(feature = "amx-emulator", target_os = "linux"))]
pub(crate) fn is_emulated() -> bool {
    !is_present() && crate::amx_emulator::is_installed()
}

/// Without the feature there is no emulator.
#[cfg(not(all(feature = "amx-emulator", target_os = "linux")))]
pub(crate) fn is_emulated() -> bool {
    false
}

/// Asks Linux for the tiles' state, which is large and therefore off until a process wants it.
fn may_use_tiles() -> bool {
    #[cfg(target_os = "linux")]
    {
        const SYS_ARCH_PRCTL: i64 = 158;
        const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
        const XFEATURE_XTILEDATA: i64 = 18;
        let result: i64;
        // SAFETY: the system call takes two numbers and touches no memory of ours.
        unsafe {
            asm!("syscall", inlateout("rax") SYS_ARCH_PRCTL => result, in("rdi") ARCH_REQ_XCOMP_PERM,
                in("rsi") XFEATURE_XTILEDATA, out("rcx") _, out("r11") _, options(nostack));
        }
        result == 0
    }
    #[cfg(not(target_os = "linux"))]
    false
}

/// Tiles configured for this thread; given back at the end, so that the system need not save them.
pub(crate) struct Tiles(());

impl Tiles {
    /// Eight tiles of 16 rows of 64 bytes.
    ///
    /// # Safety
    /// [`is_present`] or [`is_emulated`] holds.
    pub unsafe fn configure() -> Self {
        #[repr(C, align(64))]
        struct Config([u8; 64]);
        let mut config = Config([0; 64]);
        config.0[0] = 1; // palette
        for tile in 0..8 {
            config.0[16 + 2 * tile] = 64; // bytes of a row
            config.0[48 + tile] = 16; // rows
        }
        // SAFETY: reads the 64 bytes of `config`.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &config, options(nostack, readonly)) };
        Self(())
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: only made where AMX is present or emulated.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// C (two by two tiles) = A B, for an instruction that multiplies two tiles and adds to a third. Tiles 0 to 3 are sums, 4 and 5
/// come from A, 6 and 7 from B.
macro_rules! product {
    ($multiply:literal, $a:expr, $b:expr, $rows:expr, $c:expr) => {{
        const TILE_BYTES: usize = TILE * 64;
        let bytes = size_of_val($b[0]);
        let steps = bytes / TILE_BYTES;
        let second = if $rows > TILE { $a[1] } else { $a[0] };
        assert!(
            steps > 0 && size_of_val($b[1]) >= bytes && size_of_val($a[0]) >= bytes && size_of_val(second) >= bytes,
            "tiles of both operands for {steps} steps along K"
        );
        let c = $c.0.as_mut_ptr().cast::<f32>();
        // SAFETY: every load reads one of `steps` tiles of its operand, which are that long (asserted); the stores
        // fill the block: two by two tiles in rows of 128 bytes. Tiles are configured (the callers').
        unsafe {
            if $rows > TILE {
                asm!(
                    "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
                    "2:",
                    "tileloadd tmm4, [{a0} + {row}*1]",
                    "tileloadd tmm6, [{b0} + {row}*1]",
                    "tileloadd tmm7, [{b1} + {row}*1]",
                    concat!($multiply, " tmm0, tmm4, tmm6"),
                    "tileloadd tmm5, [{a1} + {row}*1]",
                    concat!($multiply, " tmm1, tmm4, tmm7"),
                    concat!($multiply, " tmm2, tmm5, tmm6"),
                    concat!($multiply, " tmm3, tmm5, tmm7"),
                    "add {a0}, 1024", "add {a1}, 1024", "add {b0}, 1024", "add {b1}, 1024",
                    "dec {steps}", "jnz 2b",
                    "tilestored [{c} + {c_row}*1], tmm0",
                    "tilestored [{c} + {c_row}*1 + 64], tmm1",
                    "tilestored [{c} + {c_row}*1 + 2048], tmm2",
                    "tilestored [{c} + {c_row}*1 + 2112], tmm3",
                    a0 = inout(reg) $a[0].as_ptr() => _, a1 = inout(reg) second.as_ptr() => _,
                    b0 = inout(reg) $b[0].as_ptr() => _, b1 = inout(reg) $b[1].as_ptr() => _,
                    steps = inout(reg) steps => _, row = in(reg) 64usize, c = in(reg) c, c_row = in(reg) 128usize,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _, options(nostack),
                );
            } else {
                asm!(
                    "tilezero tmm0", "tilezero tmm1",
                    "2:",
                    "tileloadd tmm4, [{a0} + {row}*1]",
                    "tileloadd tmm6, [{b0} + {row}*1]",
                    "tileloadd tmm7, [{b1} + {row}*1]",
                    concat!($multiply, " tmm0, tmm4, tmm6"),
                    concat!($multiply, " tmm1, tmm4, tmm7"),
                    "add {a0}, 1024", "add {b0}, 1024", "add {b1}, 1024",
                    "dec {steps}", "jnz 2b",
                    "tilestored [{c} + {c_row}*1], tmm0",
                    "tilestored [{c} + {c_row}*1 + 64], tmm1",
                    a0 = inout(reg) $a[0].as_ptr() => _,
                    b0 = inout(reg) $b[0].as_ptr() => _, b1 = inout(reg) $b[1].as_ptr() => _,
                    steps = inout(reg) steps => _, row = in(reg) 64usize, c = in(reg) c, c_row = in(reg) 128usize,
                    out("tmm0") _, out("tmm1") _, out("tmm4") _, out("tmm6") _, out("tmm7") _, options(nostack),
                );
            }
        }
    }};
}

/// The block `c` = A B; see [`crate::product::Element::product`]. [`Tiles`] are configured in this thread.
#[inline(always)]
pub(crate) fn product_bf16(a: [&[bf16]; 2], b: Panels<bf16>, rows: usize, c: &mut Block) {
    product!("tdpbf16ps", a, b, rows, c)
}

/// As [`product_bf16`], of unsigned by signed bytes.
#[inline(always)]
pub(crate) fn product_bytes(a: [&[u8]; 2], b: Panels<i8>, rows: usize, c: &mut Block) {
    product!("tdpbusd", a, b, rows, c);
    // The tiles hold i32: turned to f32 where they are.
    for x in c.0.as_flattened_mut() {
        *x = x.to_bits() as i32 as f32;
    }
}
