use crate::frames::Preprocessing;
use candle_core::{Device, Result, Tensor};

/// Pictures of 8 bits, `H * W * 3` bytes each with the channels last, -> `[B, 3, H, W]`, (x / 255 - mean) / std.
///
/// # Errors
/// When a picture is not of the size that `preprocessing` gives.
pub fn pixel_tensor(pictures: &[&[u8]], preprocessing: &Preprocessing, device: &Device) -> Result<Tensor> {
    let (height, width) = (preprocessing.size.0 as usize, preprocessing.size.1 as usize);
    let area = height * width;
    let mut values = vec![0f32; pictures.len() * 3 * area];
    for (picture, planes) in pictures.iter().zip(values.chunks_exact_mut(3 * area)) {
        if picture.len() != 3 * area {
            candle_core::bail!("expected a picture of {height} x {width} x 3 bytes, got {} bytes", picture.len());
        }
        for (channel, plane) in planes.chunks_exact_mut(area).enumerate() {
            let scale = 1.0 / (255.0 * preprocessing.std[channel]);
            let offset = preprocessing.mean[channel] / preprocessing.std[channel];
            for (value, pixel) in plane.iter_mut().zip(picture.chunks_exact(3)) {
                *value = f32::from(pixel[channel]) * scale - offset;
            }
        }
    }
    Tensor::from_vec(values, (pictures.len(), 3, height, width), device)
}
