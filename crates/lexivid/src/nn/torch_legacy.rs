//! Reading of PyTorch's *legacy* checkpoints (before the zip container of PyTorch 1.6), without running any code.
//!
//! Layout, from `torch/serialization.py` (`_legacy_save`): five pickles (magic number, protocol version, system
//! description, the object, the list of storage keys), then for every key its element count (`i64`) and its raw
//! values. Pickles are read into inert objects; only the constructors of a plain state dict are accepted.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use candle_core::{
    Device, Result, Tensor, bail,
    pickle::{Object, Stack},
};

/// The pickled magic number 0x1950a86a20f9469cfc6c and the pickled protocol version 1001.
const HEADER: [u8; 21] = [
    0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e, // magic number
    0x80, 0x02, 0x4d, 0xe9, 0x03, 0x2e, // 1001
];

/// A tensor of the state dict, as a view of a storage.
struct View {
    name: String,
    storage: String,
    offset: usize,
    size: Vec<usize>,
    stride: Vec<usize>,
}

/// The f32 tensors of a legacy state dict (`OrderedDict` of name -> tensor), by name. Integer tensors (the batch
/// counters of batch norms) are left out. Errors on anything that is not a state dict of
/// plain tensors.
pub fn read_state_dict(path: &Path) -> Result<HashMap<String, Tensor>> {
    let mut file = BufReader::new(File::open(path)?);
    let mut header = [0; HEADER.len()];
    file.read_exact(&mut header)?;
    if header != HEADER {
        bail!("{}: expected PyTorch's legacy magic number and protocol 1001, got {header:02x?}", path.display());
    }
    let _system = unpickle(&mut file)?;
    let (views, types) = views(unpickle(&mut file)?)?;
    let storages = storages(&mut file, &types)?;
    views.into_iter().filter_map(|view| storages.get(&view.storage).map(|values| tensor(view, values))).collect()
}

fn unpickle(file: &mut impl BufRead) -> Result<Object> {
    let mut stack = Stack::empty();
    stack.read_loop(file)?;
    stack.finalize()
}

/// Kind of a storage: (name of its torch class, bytes of one element).
type StorageType = (String, usize);

/// State dict -> its tensors' views, and the type of every storage that they mention.
fn views(state_dict: Object) -> Result<(Vec<View>, HashMap<String, StorageType>)> {
    // A module's state dict carries its versions as `_metadata`, which the pickle sets on the dict.
    let state_dict = match state_dict {
        Object::Build { callable, .. } => *callable,
        object => object,
    };
    let mut types = HashMap::new();
    let mut views = Vec::new();
    for (name, value) in state_dict.dict().map_err(|got| unexpected("a state dict", &got))? {
        // `torch.load` keeps `_metadata` beside the entries; it names no tensor.
        let Object::Unicode(name) = name else { return Err(unexpected("a tensor's name", &name)) };
        if name == "_metadata" {
            continue;
        }
        let (constructor, args) = value.reduce().map_err(|got| unexpected("a tensor", &got))?;
        let constructor = constructor.class().map_err(|got| unexpected("a constructor", &got))?;
        if constructor != ("torch._utils".to_string(), "_rebuild_tensor_v2".to_string()) {
            bail!("{name}: constructor {}.{} is not allowed", constructor.0, constructor.1);
        }
        let args = args.tuple().map_err(|got| unexpected("a tensor's arguments", &got))?;
        let [storage, offset, size, stride, ..] = args.as_slice() else {
            bail!("{name}: expected at least 4 arguments, got {}", args.len());
        };
        let (size, stride) = (Vec::try_from(size.clone())?, Vec::try_from(stride.clone())?);
        let (storage, storage_type) = storage_id(storage.clone())?;
        types.insert(storage.clone(), storage_type);
        views.push(View { name, storage, offset: usize::try_from(offset.clone())?, size, stride });
    }
    Ok((views, types))
}

/// Persistent id `("storage", class, key, location, element count, None)` -> key and type.
fn storage_id(object: Object) -> Result<(String, StorageType)> {
    let id = object.persistent_load().map_err(|got| unexpected("a storage", &got))?;
    let id = id.tuple().map_err(|got| unexpected("a storage's id", &got))?;
    let [_, Object::Class { module_name, class_name }, Object::Unicode(key), ..] = id.as_slice() else {
        bail!("expected a storage's class and key, got {id:?}");
    };
    let bytes = match (module_name.as_str(), class_name.as_str()) {
        ("torch", "FloatStorage") => 4,
        ("torch", "LongStorage") => 8,
        _ => bail!("storage class {module_name}.{class_name} is not allowed"),
    };
    Ok((key.clone(), (class_name.clone(), bytes)))
}

/// The float storages that follow the pickles, by key.
fn storages(file: &mut impl BufRead, types: &HashMap<String, StorageType>) -> Result<HashMap<String, Vec<f32>>> {
    let Object::List(keys) = unpickle(file)? else { bail!("expected the list of storage keys") };
    let mut storages = HashMap::new();
    for key in keys {
        let Object::Unicode(key) = key else { return Err(unexpected("a storage's key", &key)) };
        let Some((class, bytes)) = types.get(&key) else { bail!("storage {key} belongs to no tensor") };
        let mut count = [0; 8];
        file.read_exact(&mut count)?;
        let expected = u64::from_le_bytes(count).saturating_mul(*bytes as u64);
        // `take` instead of a buffer of the claimed size: a damaged count must not allocate the machine's memory.
        let mut raw = Vec::new();
        file.take(expected).read_to_end(&mut raw)?;
        if raw.len() as u64 != expected {
            bail!("storage {key}: expected {expected} bytes, got {}", raw.len());
        }
        if class == "FloatStorage" {
            let (values, _) = raw.as_chunks::<4>();
            storages.insert(key, values.iter().map(|v| f32::from_le_bytes(*v)).collect());
        }
    }
    Ok(storages)
}

fn tensor(view: View, storage: &[f32]) -> Result<(String, Tensor)> {
    let View { name, offset, size, stride, storage: _ } = view;
    // Offsets of all elements, axis by axis. Sizes are checked one by one against the storage: a damaged file must not
    // make us allocate more than it holds.
    let mut offsets = vec![offset];
    for (length, stride) in size.iter().zip(&stride) {
        if offsets.len().saturating_mul(*length) > storage.len() {
            bail!("{name}: expected {size:?} values, its storage has {}", storage.len());
        }
        offsets =
            offsets.iter().flat_map(|o| (0..*length).map(|i| o.saturating_add(i.saturating_mul(*stride)))).collect();
    }
    let values: Option<Vec<f32>> = offsets.iter().map(|offset| storage.get(*offset).copied()).collect();
    let (Some(values), true) = (values, size.len() == stride.len()) else {
        bail!("{name}: shape {size:?} with strides {stride:?} at {offset} leaves its storage of {}", storage.len());
    };
    Ok((name, Tensor::from_vec(values, size, &Device::Cpu)?))
}

fn unexpected(expected: &str, got: &Object) -> candle_core::Error {
    candle_core::Error::Msg(format!("expected {expected}, got {got:?}")).bt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by `torch.save({"w": ..., "n": ...}, _use_new_zipfile_serialization=False)`;
    /// scripts/goldens/torch_legacy.py.
    const FIXTURE: &[u8] = include_bytes!("../../tests/goldens/torch_legacy.pth");

    fn read(bytes: &[u8]) -> Result<HashMap<String, Tensor>> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), bytes)?;
        read_state_dict(file.path())
    }

    #[test]
    fn reads_what_torch_saved() -> Result<()> {
        let state = read(FIXTURE)?;
        assert_eq!(state.len(), 3, "the integer tensor is left out: {:?}", state.keys());
        assert_eq!(state["weight"].to_vec2::<f32>()?, [[0.0, 0.5, 1.0], [1.5, 2.0, 2.5]]);
        assert_eq!(state["transposed"].to_vec2::<f32>()?, [[0.0, 4.0], [2.0, 6.0]], "strides (2, 4), offset 0");
        assert_eq!(state["bias"].to_vec1::<f32>()?, [-1.0, 3.25]);
        Ok(())
    }

    #[test]
    fn refuses_what_is_cut_short_or_foreign() {
        for length in 0..FIXTURE.len() {
            assert!(read(&FIXTURE[..length]).is_err(), "cut to {length} bytes");
        }
        assert!(read(b"PK\x03\x04 a zip checkpoint, long enough to hold a header").is_err());
    }

    #[test]
    fn refuses_other_constructors() {
        let position = FIXTURE.windows(18).position(|w| w == b"_rebuild_tensor_v2").expect("in the fixture");
        let mut bytes = FIXTURE.to_vec();
        bytes[position] = b'X';
        let message = read(&bytes).expect_err("a foreign constructor").to_string();
        assert!(message.contains("is not allowed"), "{message}");
    }
}
