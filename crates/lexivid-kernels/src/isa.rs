//! Which instructions to use: asked once a process.

#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512, Avx512Bf16, Avx512Vnni};
use crate::simd::{Kernel, Portable};
use std::{fmt, str::FromStr, sync::OnceLock};

/// An instruction set that this processor has. Values can only be had through [`Isa::all`], [`Isa::best`] and parsing,
/// which ask the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Isa(Path);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    Portable,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    #[cfg(target_arch = "x86_64")]
    Amx,
}

/// Why an instruction set cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("instruction set {asked:?}: expected one that this processor has ({})", .available.join(", "))]
pub struct UnknownIsa {
    /// What was asked for.
    pub asked: String,
    /// What can be had, by name, the slowest first.
    pub available: Vec<String>,
}

/// Overrides the choice of [`Isa::from_env`].
pub const ISA_VARIABLE: &str = "LEXIVID_ISA";

impl Isa {
    /// Plain Rust: every processor has it.
    pub const PORTABLE: Self = Self(Path::Portable);

    /// What this processor has, the slowest first; an emulated AMX comes last.
    pub fn all() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        let [slow, fast] = match bf16_vectors_are_slow() {
            true => [Path::Avx512Bf16, Path::Avx512Vnni],
            false => [Path::Avx512Vnni, Path::Avx512Bf16],
        };
        let candidates = [
            Path::Portable,
            #[cfg(target_arch = "aarch64")]
            Path::Neon,
            #[cfg(target_arch = "x86_64")]
            Path::Avx2,
            #[cfg(target_arch = "x86_64")]
            Path::Avx512,
            #[cfg(target_arch = "x86_64")]
            slow,
            #[cfg(target_arch = "x86_64")]
            fast,
            #[cfg(target_arch = "x86_64")]
            Path::Amx,
        ];
        candidates.into_iter().filter(|path| path.is_present()).map(Self).collect()
    }

    /// The fastest that this processor has; never an emulated one.
    pub fn best() -> Self {
        Self::all().into_iter().rfind(|isa| !isa.is_emulated()).unwrap_or(Self::PORTABLE)
    }

    /// What the variable `LEXIVID_ISA` says, or else the fastest; decided once a process. With the feature `amx-emulator`, `amx` is
    /// emulated where the processor does not have it.
    ///
    /// # Errors
    /// The variable names something that this processor does not have.
    pub fn from_env() -> Result<Self, UnknownIsa> {
        static CHOICE: OnceLock<Result<Isa, UnknownIsa>> = OnceLock::new();
        CHOICE
            .get_or_init(|| match std::env::var(ISA_VARIABLE) {
                Ok(name) if !name.is_empty() => {
                    #[cfg(all(feature = "amx-emulator", target_arch = "x86_64", target_os = "linux"))]
                    if name == Path::Amx.name() {
                        crate::amx_emulator::install();
                    }
                    name.parse()
                }
                _ => Ok(Self::best()),
            })
            .clone()
    }

    fn is_emulated(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self.0 == Path::Amx && crate::amx::is_emulated();
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Whether products of bf16 run on matrix tiles.
    pub fn has_tiles(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self.0 == Path::Amx;
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Whether tiles or an instruction multiply pairs of bf16; elsewhere they are multiplied as f32. Where this is the best there is, it is faster than f32.
    pub fn multiplies_bf16(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return matches!(self.0, Path::Avx512Bf16 | Path::Amx);
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Whether processors of which these instructions are the best have a second cache of half a MiB at most, as a rule.
    pub(crate) fn has_small_caches(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self.0 == Path::Avx2;
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Runs a kernel with these instructions.
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `all` asked the processor before there was such an `Isa`.
        unsafe {
            match self.0 {
                Path::Portable => kernel.run(Portable),
                #[cfg(target_arch = "aarch64")]
                Path::Neon => run_neon(kernel),
                #[cfg(target_arch = "x86_64")]
                Path::Avx2 => run_avx2(kernel),
                #[cfg(target_arch = "x86_64")]
                Path::Avx512 => run_avx512(kernel),
                #[cfg(target_arch = "x86_64")]
                Path::Avx512Vnni => run_avx512_vnni(kernel),
                #[cfg(target_arch = "x86_64")]
                Path::Avx512Bf16 | Path::Amx => run_avx512_bf16(kernel),
            }
        }
    }
}

impl Path {
    fn name(self) -> &'static str {
        match self {
            Path::Portable => "portable",
            #[cfg(target_arch = "aarch64")]
            Path::Neon => "neon",
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Path::Avx512Vnni => "avx512vnni",
            #[cfg(target_arch = "x86_64")]
            Path::Avx512Bf16 => "avx512bf16",
            #[cfg(target_arch = "x86_64")]
            Path::Amx => "amx",
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn is_present(self) -> bool {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = avx2
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        let vnni = avx512 && is_x86_feature_detected!("avx512vnni");
        let bf16 = vnni && is_x86_feature_detected!("avx512bf16");
        match self {
            Path::Portable => true,
            Path::Avx2 => avx2,
            Path::Avx512 => avx512,
            Path::Avx512Vnni => vnni,
            Path::Avx512Bf16 => bf16,
            Path::Amx => bf16 && (crate::amx::is_present() || crate::amx::is_emulated()),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn is_present(self) -> bool {
        true // every aarch64 processor has NEON
    }
}

/// Intel's cores multiply pairs of bf16 on vectors at half the rate of f32 (`benches/peers/ceilings.c` on a Xeon of family 6, model 207: 154 to 177
/// GFLOP/s and 288 to 339): tiles are what they have for bf16. AMD's do it at twice the rate.
#[cfg(target_arch = "x86_64")]
fn bf16_vectors_are_slow() -> bool {
    let vendor = std::arch::x86_64::__cpuid(0);
    [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).as_flattened() == b"GenuineIntel"
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl FromStr for Isa {
    type Err = UnknownIsa;

    fn from_str(name: &str) -> Result<Self, UnknownIsa> {
        let all = Self::all();
        all.iter()
            .copied()
            .find(|isa| isa.0.name() == name)
            .ok_or_else(|| UnknownIsa { asked: name.into(), available: all.iter().map(Self::to_string).collect() })
    }
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
unsafe fn run_neon<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller's.
    kernel.run(unsafe { crate::simd::Neon::new() })
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller's.
    kernel.run(unsafe { Avx2::new() })
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller's.
    kernel.run(unsafe { Avx512::new() })
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn run_avx512_vnni<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller's.
    kernel.run(unsafe { Avx512Vnni::new() })
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx512vnni")]
unsafe fn run_avx512_bf16<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller's.
    kernel.run(unsafe { Avx512Bf16::new() })
}
