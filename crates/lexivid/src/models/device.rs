use super::ModelError;
use candle_core::{
    Device,
    utils::{cuda_is_available, metal_is_available},
};

/// The device that users call `cpu`, `cuda`, `cuda:1` or `metal`. The latter need the features of these names.
pub fn device(name: &str) -> Result<Device, ModelError> {
    let unknown = || ModelError::UnknownDevice { name: name.into() };
    let (kind, index) = name.split_once(':').unwrap_or((name, "0"));
    let index = index.parse().map_err(|_| unknown())?;
    match kind {
        "cpu" => Ok(Device::Cpu),
        "cuda" if cuda_is_available() => Ok(Device::new_cuda(index)?),
        "metal" if metal_is_available() => Ok(Device::new_metal(index)?),
        "cuda" | "metal" => Err(ModelError::NoDevice { name: name.into() }),
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_understood_or_refused() {
        assert!(device("cpu").unwrap().is_cpu());
        for name in ["gpu", "cpu:x", ""] {
            assert!(matches!(device(name), Err(ModelError::UnknownDevice { .. })), "{name}");
        }
    }
}
