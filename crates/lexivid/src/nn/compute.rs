use candle_core::Device;
use lexivid_kernels::{Isa, Precision, UnknownIsa};

/// Where networks compute, and in what precision.
///
/// On the CPU, frozen networks run on `lexivid-kernels`, their weights packed; elsewhere on candle's tensors, in f32.
#[derive(Debug, Clone)]
pub struct Compute {
    /// Where tensors are.
    pub device: Device,
    /// What products multiply on the CPU.
    pub precision: Precision,
    /// The CPU's instructions.
    pub isa: Isa,
}

impl Compute {
    /// In the given precision, or in the one that is best on this processor: bf16 where its products are faster than f32's, or else f32.
    ///
    /// # Errors
    /// `LEXIVID_ISA` names instructions that this processor does not have.
    pub fn new(device: Device, precision: Option<Precision>) -> Result<Self, UnknownIsa> {
        let isa = Isa::from_env()?;
        let best = if isa.multiplies_bf16() { Precision::Bf16 } else { Precision::F32 };
        Ok(Self { device, precision: precision.unwrap_or(best), isa })
    }

    /// On the CPU, exactly as the weights say.
    ///
    /// # Errors
    /// As [`Compute::new`].
    pub fn exact() -> Result<Self, UnknownIsa> {
        Self::new(Device::Cpu, Some(Precision::F32))
    }
}

/// On the CPU, with every instruction set that it has, and AMX.
#[cfg(test)]
pub(crate) fn on_every_path(precision: Precision) -> Vec<Compute> {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    lexivid_kernels::amx_emulator::install();
    Isa::all().into_iter().map(|isa| Compute { device: Device::Cpu, precision, isa }).collect()
}
