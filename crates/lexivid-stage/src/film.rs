//! Frames as an H.264 file, by FFmpeg's libraries.

use crate::{
    StageError,
    scene::{RATE, SIDE},
};
use ffmpeg::{
    Dictionary, Packet, Rational,
    codec::{self, context::Context},
    color, encoder,
    format::{self, Pixel},
    frame::Video,
    software::scaling::{Context as Scaler, Flags},
};
use image::RgbImage;
use std::{path::Path, sync::Once};

/// Writes `frames`, each [`SIDE`] x [`SIDE`] pixels, at [`RATE`] frames a second. `path` appears when it is whole.
///
/// Settings are fixed and the encoder runs in one thread, so that the same frames give the same file wherever FFmpeg and x264 are
/// the same.
pub fn write(path: &Path, frames: &[RgbImage]) -> Result<(), StageError> {
    let part = path.with_extension("mp4.part");
    encode(&part, frames)
        .map_err(|e| StageError::Film { path: path.into(), reason: e.to_string() })
        .and_then(|()| std::fs::rename(&part, path).map_err(|source| StageError::Io { path: path.into(), source }))
        .inspect_err(|_| drop(std::fs::remove_file(&part)))
}

fn encode(path: &Path, frames: &[RgbImage]) -> Result<(), ffmpeg::Error> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| ffmpeg::log::set_level(ffmpeg::log::Level::Error));

    let mut output = format::output_as(path, "mp4")?;
    let codec = encoder::find_by_name("libx264").ok_or(ffmpeg::Error::EncoderNotFound)?;
    let tick = Rational(1, RATE as i32);
    let mut video = Context::new_with_codec(codec).encoder().video()?;
    video.set_width(SIDE);
    video.set_height(SIDE);
    video.set_format(Pixel::YUV420P);
    // What swscale makes of RGB.
    video.set_colorspace(color::Space::SMPTE170M);
    video.set_color_range(color::Range::MPEG);
    video.set_time_base(tick);
    video.set_frame_rate(Some(Rational(RATE as i32, 1)));
    if output.format().flags().contains(format::Flags::GLOBAL_HEADER) {
        video.set_flags(codec::Flags::GLOBAL_HEADER);
    }
    let mut settings = Dictionary::new();
    for (key, value) in [("preset", "veryfast"), ("crf", "20"), ("threads", "1")] {
        settings.set(key, value);
    }
    let mut video = video.open_with(settings)?;
    let mut stream = output.add_stream(codec)?;
    stream.copy_parameters_from_context(&video);
    stream.set_time_base(tick);
    stream.set_avg_frame_rate(Rational(RATE as i32, 1));
    output.write_header()?;
    let ticks_of_file = output.stream(0).map_or(tick, |stream| stream.time_base());

    let flags = Flags::BICUBIC | Flags::ACCURATE_RND | Flags::BITEXACT;
    let mut scaler = Scaler::get(Pixel::RGB24, SIDE, SIDE, Pixel::YUV420P, SIDE, SIDE, flags)?;
    let mut rgb = Video::new(Pixel::RGB24, SIDE, SIDE);
    let mut write = |video: &mut encoder::video::Encoder| -> Result<(), ffmpeg::Error> {
        let mut packet = Packet::empty();
        // Ends with "nothing yet" or "nothing more".
        while video.receive_packet(&mut packet).is_ok() {
            packet.set_stream(0);
            packet.set_duration(1);
            packet.rescale_ts(tick, ticks_of_file);
            packet.write_interleaved(&mut output)?;
        }
        Ok(())
    };
    for (i, picture) in frames.iter().enumerate() {
        let (stride, row) = (rgb.stride(0), 3 * SIDE as usize);
        let rows = rgb.data_mut(0).chunks_mut(stride).zip(picture.as_raw().chunks_exact(row));
        rows.for_each(|(to, from)| to[..row].copy_from_slice(from));
        // A new one for each: the encoder keeps what it is given.
        let mut yuv = Video::empty();
        scaler.run(&rgb, &mut yuv)?;
        yuv.set_pts(Some(i as i64));
        yuv.set_color_space(color::Space::SMPTE170M);
        yuv.set_color_range(color::Range::MPEG);
        video.send_frame(&yuv)?;
        write(&mut video)?;
    }
    video.send_eof()?;
    write(&mut video)?;
    output.write_trailer()
}
