//! AMX for processors without it: a SIGILL handler that carries out AMX-TILE, AMX-BF16 and AMX-INT8 instructions, so
//! that the AMX kernels are tested on every x86-64 Linux.
//!
//! Semantics are those of Intel's Software Developer's Manual (SDM), volume 2, "Intel AMX Instruction Set Reference".
//! What the SDM makes a fault (`#UD`, `#GP`) ends the process by SIGILL, with the reason on stderr. Not modelled: the
//! payload of a NaN, prefixes before VEX (segment override, 32-bit addressing), and AMX-FP16 and later.

mod tiles;

use libc::{greg_t, sigaction, siginfo_t, ucontext_t};
use std::{
    cell::UnsafeCell,
    ffi::{c_int, c_void},
    mem::{MaybeUninit, zeroed},
    ptr::{null, null_mut},
    sync::OnceLock,
};
use tiles::{Fault, Memory, Product, TILES, Unit};

type Registers = [greg_t; 23];

thread_local! {
    // Constant and without a destructor: reaching it needs no allocation and no registration, as a handler must have it.
    static UNIT: UnsafeCell<Unit> = const { UnsafeCell::new(Unit::INITIAL) };
}

/// What SIGILL did before [`install`].
static PREVIOUS: OnceLock<sigaction> = OnceLock::new();

/// Emulates AMX from now on, in all threads of the process: [`crate::Isa::all`] then has it, if the processor has the rest
/// of what that path uses (AVX-512 with bf16 and VNNI). Where the processor has AMX itself, nothing is emulated.
///
/// # Panics
/// If the operating system refuses the handler.
pub fn install() {
    PREVIOUS.get_or_init(|| {
        let mut previous = MaybeUninit::uninit();
        // SAFETY: all-zero is a valid `sigaction`: no flags, an empty mask.
        let mut action: sigaction = unsafe { zeroed() };
        action.sa_sigaction = handle as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        // SAFETY: `handle` has the signature that SA_SIGINFO asks for, and is async-signal-safe.
        let refused = unsafe { libc::sigaction(libc::SIGILL, &action, previous.as_mut_ptr()) };
        assert_eq!(refused, 0, "sigaction(SIGILL): {}", std::io::Error::last_os_error());
        // SAFETY: the call succeeded, so it has written the previous action.
        unsafe { previous.assume_init() }
    });
}

/// Whether [`install`] was called.
pub(crate) fn is_installed() -> bool {
    PREVIOUS.get().is_some()
}

extern "C" fn handle(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes the signal's information and the interrupted thread's context, ours until we return.
    let (code, registers) = unsafe { ((*info).si_code, &mut (*context.cast::<ucontext_t>()).uc_mcontext.gregs) };
    // Codes up to zero: sent by a process, not raised by an instruction.
    if code > 0 && UNIT.with(|unit| emulate(unit, registers)) {
        return;
    }
    let previous = PREVIOUS.get().map_or(null(), |previous| previous as *const sigaction);
    // SAFETY: `previous` is null or an action that was in force; returning runs the instruction again, under it.
    unsafe {
        if previous.is_null() {
            libc::signal(signal, libc::SIG_DFL); // `install` of another thread is not done yet
        }
        libc::sigaction(signal, previous, null_mut());
        if code <= 0 {
            libc::raise(signal);
        }
    }
}

/// Carries out the instruction at RIP and all AMX instructions that follow it directly, which saves their signals.
/// False if RIP is then at an instruction that must end the process.
fn emulate(unit: &UnsafeCell<Unit>, registers: &mut Registers) -> bool {
    // SAFETY: only this function reaches the thread's unit, and SIGILL is blocked while it runs.
    let unit = unsafe { &mut *unit.get() };
    let mut emulated = false;
    loop {
        match step(unit, registers) {
            Some(Ok(next)) => registers[libc::REG_RIP as usize] = next as greg_t,
            Some(Err(fault)) => {
                for text in ["AMX emulator: ", fault, "\n"] {
                    // SAFETY: `write` is async-signal-safe; pointer and length are those of a string.
                    unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
                }
                return false;
            }
            None => return emulated,
        }
        emulated = true;
    }
}

/// Reads code byte by byte: what lies behind the instruction may not be mapped.
struct Code(usize);

impl Code {
    fn byte(&mut self) -> u8 {
        self.0 += 1;
        // SAFETY: the processor has run or is about to run this byte, so it is mapped and readable.
        unsafe { *((self.0 - 1) as *const u8) }
    }

    fn displacement(&mut self, bytes: usize) -> usize {
        match bytes {
            0 => 0,
            1 => self.byte() as i8 as usize,
            _ => i32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()]) as usize,
        }
    }
}

/// Carries out the instruction at RIP and returns the address behind it, or nothing if it is not AMX.
fn step(unit: &mut Unit, registers: &Registers) -> Option<Result<usize, Fault>> {
    // VEX.pp, by the prefix that the two bits stand for.
    const NONE: u8 = 0;
    const P66: u8 = 1;
    const PF3: u8 = 2;
    const PF2: u8 = 3;
    let mut code = Code(registers[libc::REG_RIP as usize] as usize);
    // Three-byte VEX, as the opcodes lie in map 0F38. R, X, B and vvvv are stored inverted.
    if code.byte() != 0xC4 {
        return None;
    }
    let (rxb_map, w_v_l_pp) = (code.byte(), code.byte());
    let [r, x, b] = [7, 6, 5].map(|bit| usize::from(!rxb_map >> bit & 1) << 3);
    let v = usize::from(!w_v_l_pp >> 3 & 15);
    let opcode = code.byte();
    if rxb_map & 0x1F != 2 || w_v_l_pp & 0x84 != 0 || !matches!(opcode, 0x49 | 0x4B | 0x5C | 0x5E) {
        return None;
    }
    let modrm = code.byte();
    let (mode, reg, rm) = (modrm >> 6, r | usize::from(modrm >> 3 & 7), b | usize::from(modrm & 7));
    let memory = (mode != 3).then(|| decode_memory(&mut code, registers, mode, rm, x));
    let done = match (opcode, w_v_l_pp & 3, memory, [reg, rm, v]) {
        (0x49, NONE, Some(memory), [0, _, 0]) => unit.load_config(memory),
        (0x49, P66, Some(memory), [0, _, 0]) => unit.store_config(memory),
        (0x49, NONE, None, [0, 0, 0]) => {
            *unit = Unit::INITIAL;
            Ok(())
        }
        (0x49, PF2, None, [0..TILES, 0, 0]) => unit.zero(reg),
        // P66 is TILELOADDT1, which differs in a hint to the cache. Without SIB there is no stride: #UD.
        (0x4B, PF2 | P66, Some(memory), [0..TILES, 4 | 12, 0]) => unit.load(reg, memory),
        (0x4B, PF3, Some(memory), [0..TILES, 4 | 12, 0]) => unit.store(reg, memory),
        (0x5C, PF3, None, [0..TILES, 0..TILES, 0..TILES]) => unit.dot(Product::Bf16, reg, rm, v),
        (0x5E, pp, None, [0..TILES, 0..TILES, 0..TILES]) => {
            let (left_signed, right_signed) = (matches!(pp, PF2 | PF3), matches!(pp, PF2 | P66));
            unit.dot(Product::Int8 { left_signed, right_signed }, reg, rm, v)
        }
        _ => return None,
    };
    Some(done.map(|()| code.0))
}

/// SDM volume 2, section 2.1.5. `rm` has VEX.B as its fourth bit; `x` is VEX.X in that place.
fn decode_memory(code: &mut Code, registers: &Registers, mode: u8, rm: usize, x: usize) -> Memory {
    /// Places in the signal context by the number that an instruction gives a register.
    #[rustfmt::skip]
    const PLACES: [c_int; 16] = [
        libc::REG_RAX, libc::REG_RCX, libc::REG_RDX, libc::REG_RBX, libc::REG_RSP, libc::REG_RBP, libc::REG_RSI,
        libc::REG_RDI, libc::REG_R8, libc::REG_R9, libc::REG_R10, libc::REG_R11, libc::REG_R12, libc::REG_R13,
        libc::REG_R14, libc::REG_R15,
    ];
    let register = |number: usize| registers[PLACES[number] as usize] as usize;
    let has_sib = rm & 7 == 4;
    let (base, stride) = if has_sib {
        let sib = code.byte();
        let index = x | usize::from(sib >> 3 & 7);
        // Number 4 means no index, and "if no index register in the SIB encoding, the value zero is used".
        (rm & 8 | usize::from(sib & 7), if index == 4 { 0 } else { register(index) << (sib >> 6) })
    } else {
        (rm, 0)
    };
    let no_base = mode == 0 && base & 7 == 5;
    let displacement = code.displacement(if no_base { 4 } else { [0, 1, 4][usize::from(mode)] });
    let base = match (no_base, has_sib) {
        (false, _) => register(base),
        (true, true) => 0,
        (true, false) => code.0, // relative to the next instruction, which starts here: none has an immediate
    };
    Memory { start: base.wrapping_add(displacement), stride }
}
