use std::collections::HashMap;

use candle_core::{Result, Tensor, bail};

use super::EfficientNetLiteConfig;

/// Epsilon of every batch norm of the family.
const BATCH_NORM_EPSILON: f64 = 1e-3;

/// State dict of `efficientnet_lite_pytorch` -> the weights that [`super::EfficientNetLite::new`] takes: batch norms
/// folded into the convolution before them (W' = W g / sqrt(var + eps), b' = beta - mean g / sqrt(var + eps)), and
/// kernels laid out for NHWC.
pub fn fold_batch_norms(
    config: &EfficientNetLiteConfig,
    state: &HashMap<String, Tensor>,
) -> Result<HashMap<String, Tensor>> {
    let mut fold = Fold { state, folded: HashMap::new() };
    fold.convolution("_conv_stem", "_bn0", "stem")?;
    for (i, block) in config.blocks().iter().enumerate() {
        let (from, to) = (format!("_blocks.{i}"), format!("blocks.{i}"));
        if block.expand_ratio > 1 {
            fold.convolution(&format!("{from}._expand_conv"), &format!("{from}._bn0"), &format!("{to}.expand"))?;
        }
        fold.convolution(&format!("{from}._depthwise_conv"), &format!("{from}._bn1"), &format!("{to}.depthwise"))?;
        fold.convolution(&format!("{from}._project_conv"), &format!("{from}._bn2"), &format!("{to}.project"))?;
    }
    fold.convolution("_conv_head", "_bn1", "head")?;
    let classifier = (fold.get("_fc.weight")?.clone(), fold.get("_fc.bias")?.clone());
    fold.folded.insert("classifier.weight".into(), classifier.0);
    fold.folded.insert("classifier.bias".into(), classifier.1);
    Ok(fold.folded)
}

struct Fold<'a> {
    state: &'a HashMap<String, Tensor>,
    folded: HashMap<String, Tensor>,
}

impl Fold<'_> {
    fn get(&self, name: &str) -> Result<&Tensor> {
        match self.state.get(name) {
            Some(tensor) => Ok(tensor),
            None => bail!("the checkpoint has no {name}"),
        }
    }

    /// Kernel `[C_out, C_in / groups, K, K]` -> weight `[K * K * C_in / groups, C_out]`, bias `[C_out]`.
    fn convolution(&mut self, convolution: &str, batch_norm: &str, to: &str) -> Result<()> {
        let kernel = self.get(&format!("{convolution}.weight"))?;
        let variance = self.get(&format!("{batch_norm}.running_var"))?;
        let gain = (self.get(&format!("{batch_norm}.weight"))? / (variance + BATCH_NORM_EPSILON)?.sqrt()?)?;
        let mean = self.get(&format!("{batch_norm}.running_mean"))?;
        let bias = (self.get(&format!("{batch_norm}.bias"))? - (mean * &gain)?)?;
        let (output, input, k, _) = kernel.dims4()?;
        let weight = kernel
            .permute((2, 3, 1, 0))? // [K, K, C_in / groups, C_out]
            .reshape((k * k * input, output))?
            .broadcast_mul(&gain)?;
        self.folded.insert(format!("{to}.weight"), weight);
        self.folded.insert(format!("{to}.bias"), bias);
        Ok(())
    }
}
