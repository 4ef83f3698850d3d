//! Packets -> frames with real times, upright RGB on demand, exact seeking.

use super::{VideoError, colour::Converter, orientation::Orientation, source, watchdog::Pulse};
use ffmpeg::{
    Discard, Packet, Rational, codec, format::context::Input, frame, frame::side_data::Type as FrameSideData,
    packet::side_data::Type as StreamSideData, threading,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};
use tracing::debug_span;

/// Containers whose packets carry exact presentation times, so that a frame has the same time after a seek as without.
const EXACTLY_SEEKABLE: [&str; 2] = ["mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"];

/// Reads that may fail one after the other before the rest of the file is given up.
const MAX_READ_ERRORS: usize = 64;

/// FFmpeg's worker threads, one a core up to this many; each holds frames, so more would cost memory at 4K. They decode
/// whole frames beside each other: on two cores, two of them halve the time of one at the same cost in CPU time, while
/// threads within a frame (slices) gain nothing on what x264 writes by default.
const MAX_THREADS: usize = 4;

/// What decoding met, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Frames that came out whole.
    pub decoded: usize,
    /// Packets that could not be read or decoded, and frames that came out damaged.
    pub lost: usize,
}

/// One decoded frame.
pub(crate) struct Frame {
    planes: frame::Video,
    ticks: i64,
    /// Presentation time in seconds from the first frame.
    pub time: f64,
    /// When its display ends, as far as the container tells, else after the nominal frame duration.
    pub end: f64,
}

/// The upright RGB pixels of a frame.
#[derive(Debug, Default)]
pub(crate) struct Picture {
    /// Width in stored pixels.
    pub width: u32,
    /// Height in stored pixels.
    pub height: u32,
    /// Sample aspect ratio: width of one pixel over its height.
    pub pixel_aspect: f64,
    /// `[height, width, 3]`.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// Width and height as shown, with square pixels; the height is kept.
    pub fn display_size(&self) -> (u32, u32) {
        (((f64::from(self.width) * self.pixel_aspect).round() as u32).max(1), self.height)
    }
}

/// Decodes one video stream.
pub(crate) struct Decoder {
    path: PathBuf,
    input: Input,
    stream: usize,
    codec: codec::decoder::Video,
    pulse: Pulse,
    seconds_per_tick: f64,
    frame_ticks: i64,
    /// Ticks of the first frame, once it is decoded.
    origin: Option<i64>,
    /// What the container says; a frame's own side data comes before it.
    orientation: Orientation,
    /// What the container says; it comes before a frame's own.
    pixel_aspect: Option<f64>,
    /// Duration of packets that were fed, by presentation ticks.
    fed: BTreeMap<i64, i64>,
    /// When only the frames shown at these times (ascending) are wanted.
    wanted: Option<Vec<f64>>,
    draining: bool,
    read_errors: usize,
    /// After a seek: packets before the first key packet are not decodable.
    awaiting_key: bool,
    /// After a seek: frames before the key frame refer to frames that were never read.
    floor: Option<i64>,
    /// Time of the latest frame given; time does not run backwards.
    latest: f64,
    tally: Tally,
    converter: Converter,
    unturned: Vec<u8>,
}

impl Decoder {
    /// Opens `path` and decodes its first frame, from which all times count. `preview_width`: pictures wider than this
    /// are made this wide.
    pub fn open(path: &Path, preview_width: Option<u32>, pulse: &Pulse) -> Result<(Self, Frame), VideoError> {
        let _span = debug_span!("open container").entered();
        let input = source::open(path, pulse)?;
        pulse.beat();
        let index = source::video_stream(path, &input)?;
        let unreadable = |e: ffmpeg::Error| VideoError::Unreadable { path: path.into(), reason: e.to_string() };
        let (codec, seconds_per_tick, frame_ticks, orientation, pixel_aspect) = {
            let stream = input.stream(index).ok_or_else(|| unreadable(ffmpeg::Error::StreamNotFound))?;
            let mut context = codec::Context::from_parameters(stream.parameters()).map_err(unreadable)?;
            let threads = thread::available_parallelism().map_or(1, |n| n.get().min(MAX_THREADS));
            context
                .set_threading(threading::Config { count: threads, ..threading::Config::kind(threading::Type::Frame) });
            let codec = context.decoder().video().map_err(unreadable)?;
            let seconds_per_tick = ratio(stream.time_base()).unwrap_or(1.0 / f64::from(ffmpeg::ffi::AV_TIME_BASE));
            let rate = ratio(stream.avg_frame_rate()).or_else(|| ratio(stream.rate())).unwrap_or(25.0);
            let frame_ticks = (1.0 / (rate * seconds_per_tick)).round().max(1.0) as i64;
            let orientation = stream
                .side_data()
                .find(|s| s.kind() == StreamSideData::DisplayMatrix)
                .and_then(|s| Orientation::from_display_matrix(s.data()))
                .unwrap_or_default();
            (codec, seconds_per_tick, frame_ticks, orientation, ratio(stream.sample_aspect_ratio()))
        };
        let mut decoder = Self {
            path: path.into(),
            input,
            stream: index,
            codec,
            pulse: pulse.clone(),
            seconds_per_tick,
            frame_ticks,
            origin: None,
            orientation,
            pixel_aspect,
            fed: BTreeMap::new(),
            wanted: None,
            draining: false,
            read_errors: 0,
            awaiting_key: false,
            floor: None,
            latest: f64::NEG_INFINITY,
            tally: Tally::default(),
            converter: Converter::new(preview_width),
            unturned: Vec::new(),
        };
        let mut first = Frame::empty();
        if !decoder.next(&mut first) {
            let reason = match decoder.tally.lost {
                0 => "there is no whole frame in the stream".into(),
                1 => "1 packet could not be decoded".into(),
                n => format!("{n} packets could not be decoded"),
            };
            return Err(VideoError::NoFrames { path: path.into(), reason });
        }
        Ok((decoder, first))
    }

    /// From now on, frames that are shown at none of `times` (ascending) need not be decoded.
    pub fn want_only(&mut self, times: Vec<f64>) {
        self.wanted = Some(times);
    }

    /// The next frame in order of presentation into `frame`; `false`: there are no more, or nobody wants them.
    ///
    /// Packets that cannot be read or decoded, and frames that the codec marks as damaged, are skipped and counted, and
    /// decoding goes on. Damage that a codec conceals without a mark cannot be told from a whole frame.
    pub fn next(&mut self, frame: &mut Frame) -> bool {
        let _span = debug_span!("decode").entered();
        while !self.pulse.abandoned() {
            match self.codec.receive_frame(&mut frame.planes) {
                Ok(()) => {}
                Err(ffmpeg::Error::Eof) => return false,
                Err(e) if would_block(e) => {
                    self.feed();
                    continue;
                }
                Err(_) => {
                    self.tally.lost += 1;
                    continue;
                }
            }
            self.pulse.beat();
            frame.ticks = frame.planes.timestamp().or(frame.planes.pts()).unwrap_or_else(|| self.ticks_after_latest());
            if self.floor.is_some_and(|floor| frame.ticks < floor) {
                continue;
            }
            if frame.planes.is_corrupt() {
                self.tally.lost += 1;
                continue;
            }
            self.tally.decoded += 1;
            self.origin.get_or_insert(frame.ticks);
            let ticks = self.fed.get(&frame.ticks).copied().filter(|d| *d > 0).unwrap_or(self.frame_ticks);
            while self.fed.first_key_value().is_some_and(|(t, _)| *t < frame.ticks) {
                self.fed.pop_first();
            }
            frame.time = self.time_of(frame.ticks).max(self.latest);
            frame.end = frame.time + ticks as f64 * self.seconds_per_tick;
            self.latest = frame.time;
            return true;
        }
        false
    }

    /// Jumps to the last key frame from which the frame shown at `target` can be decoded, and decodes it into `frame`.
    /// From there on [`Decoder::next`] gives exactly the frames that it would have given without the jump.
    ///
    /// `false`: there is no such key frame after the time `after`, or the container cannot seek exactly; where
    /// decoding stands is then undefined, unless nothing was tried ([`Decoder::can_seek`]).
    pub fn seek(&mut self, target: f64, after: f64, frame: &mut Frame) -> bool {
        let (mut goal, mut back) = (target, 1.0);
        while goal > after && self.can_seek() && !self.pulse.abandoned() {
            // The container's index counts decoding times, which may lie before the presentation times: what came
            // out decides, and if it is late, the next try goes further back.
            if self.jump(goal) && self.next(frame) && frame.time <= target {
                return true;
            }
            if goal < 0.0 {
                break;
            }
            goal = target - back;
            back *= 2.0;
        }
        false
    }

    /// Whether seeking keeps times exact in this container.
    pub fn can_seek(&self) -> bool {
        EXACTLY_SEEKABLE.contains(&self.input.format().name())
    }

    fn jump(&mut self, time: f64) -> bool {
        let seconds = self.origin() as f64 * self.seconds_per_tick + time;
        let microseconds = (seconds * f64::from(ffmpeg::ffi::AV_TIME_BASE)).floor() as i64;
        let sought = self.input.seek(microseconds, ..=microseconds).is_ok();
        self.codec.flush();
        self.fed.clear();
        (self.draining, self.awaiting_key, self.floor) = (false, true, None);
        self.read_errors = 0;
        self.latest = f64::NEG_INFINITY;
        self.pulse.beat();
        sought
    }

    /// Gives the codec its next packet, or tells it that there are no more.
    fn feed(&mut self) {
        while !self.pulse.abandoned() {
            let mut packet = Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) => self.pulse.beat(),
                Err(ffmpeg::Error::Eof) => break,
                // A live source has nothing yet; the watchdog decides for how long.
                Err(e) if would_block(e) => {
                    thread::sleep(Duration::from_millis(5));
                    continue;
                }
                Err(_) if self.read_errors == MAX_READ_ERRORS => break,
                Err(_) => {
                    self.read_errors += 1;
                    continue;
                }
            }
            if packet.stream() != self.stream {
                continue;
            }
            // Errors up to the end of the file are no lost frames but a truncated file.
            self.tally.lost += std::mem::take(&mut self.read_errors);
            if packet.is_corrupt() {
                self.tally.lost += 1;
                continue;
            }
            if self.awaiting_key {
                if !packet.is_key() || packet.pts().is_none() {
                    continue;
                }
                (self.awaiting_key, self.floor) = (false, packet.pts());
            }
            let unwanted = packet.pts().is_some_and(|pts| self.is_unwanted(pts));
            self.codec.skip_frame(if unwanted { Discard::NonReference } else { Discard::Default });
            if let Some(pts) = packet.pts() {
                self.fed.insert(pts, packet.duration());
            }
            if self.codec.send_packet(&packet).is_err() {
                self.tally.lost += 1;
            }
            return;
        }
        self.draining = true;
        // Fails only when the codec is draining already.
        let _ = self.codec.send_eof();
    }

    /// Whether the frame at `pts` is shown at none of the wanted times. That is known for frames that are overtaken
    /// by one already fed (B-frames): they are shown until that one at the latest, whatever the frame rate does.
    fn is_unwanted(&self, pts: i64) -> bool {
        let (Some(wanted), Some((next, _))) = (&self.wanted, self.fed.range(pts + 1..).next()) else { return false };
        let (from, to) = (self.time_of(pts), self.time_of(*next));
        let first = wanted.partition_point(|t| *t < from);
        wanted.get(first).is_none_or(|t| *t >= to)
    }

    fn time_of(&self, ticks: i64) -> f64 {
        ticks.saturating_sub(self.origin()) as f64 * self.seconds_per_tick
    }

    fn ticks_after_latest(&self) -> i64 {
        if self.latest.is_finite() {
            self.origin() + (self.latest / self.seconds_per_tick).round() as i64 + self.frame_ticks
        } else {
            self.origin()
        }
    }

    fn origin(&self) -> i64 {
        self.origin.unwrap_or_default()
    }

    /// Upright pixels of `frame` into `picture`.
    pub fn picture(&mut self, frame: &Frame, picture: &mut Picture) -> Result<(), VideoError> {
        let _span = debug_span!("convert colours").entered();
        let orientation = self.orientation_of(frame);
        let upright = orientation == Orientation::default();
        let rgb = if upright { &mut picture.rgb } else { &mut self.unturned };
        let size = self.converter.convert(&frame.planes, rgb).map_err(|e| VideoError::Unreadable {
            path: self.path.clone(),
            reason: format!("its pixels cannot be converted to RGB: {e}"),
        })?;
        if !upright {
            orientation.apply(&self.unturned, size, &mut picture.rgb);
        }
        (picture.width, picture.height) = orientation.size(size);
        picture.pixel_aspect = self.pixel_aspect_of(frame);
        Ok(())
    }

    /// Which way up `frame` is stored.
    pub(super) fn orientation_of(&self, frame: &Frame) -> Orientation {
        frame
            .planes
            .side_data(FrameSideData::DisplayMatrix)
            .and_then(|s| Orientation::from_display_matrix(s.data()))
            .unwrap_or(self.orientation)
    }

    /// Width of an upright pixel over its height.
    fn pixel_aspect_of(&self, frame: &Frame) -> f64 {
        let stored = self.pixel_aspect.or_else(|| ratio(frame.planes.aspect_ratio())).unwrap_or(1.0);
        if self.orientation_of(frame).transpose { 1.0 / stored } else { stored }
    }

    /// Width and height of `frame` as shown.
    pub(super) fn display_size(&self, frame: &Frame) -> (u32, u32) {
        let (width, height) = self.orientation_of(frame).size((frame.planes.width(), frame.planes.height()));
        Picture { width, height, pixel_aspect: self.pixel_aspect_of(frame), rgb: Vec::new() }.display_size()
    }

    /// What decoding met so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    pub(super) fn input(&self) -> &Input {
        &self.input
    }

    pub(super) fn stream(&self) -> usize {
        self.stream
    }

    /// Reads all packets without decoding; gives the time at which the last one ends.
    pub(super) fn scan(&self) -> Result<f64, VideoError> {
        let mut input = source::open(&self.path, &self.pulse)?;
        // Raw streams have no times; there the durations count.
        let (mut end, mut untimed, mut errors) = (self.origin(), 0i64, 0);
        while errors < MAX_READ_ERRORS && !self.pulse.abandoned() {
            let mut packet = Packet::empty();
            match packet.read(&mut input) {
                Ok(()) => self.pulse.beat(),
                Err(ffmpeg::Error::Eof) => break,
                Err(_) => {
                    errors += 1;
                    continue;
                }
            }
            errors = 0;
            if packet.stream() == self.stream {
                let duration = Some(packet.duration()).filter(|d| *d > 0).unwrap_or(self.frame_ticks);
                match packet.pts().or(packet.dts()) {
                    Some(ticks) => end = end.max(ticks.saturating_add(duration)),
                    None => untimed = untimed.saturating_add(duration),
                }
            }
        }
        Ok(f64::max(self.time_of(end), untimed as f64 * self.seconds_per_tick))
    }
}

impl Frame {
    /// A frame to be filled by [`Decoder::next`].
    pub fn empty() -> Self {
        Self { planes: frame::Video::empty(), ticks: 0, time: 0.0, end: 0.0 }
    }
}

/// FFmpeg's EAGAIN: not an error, nothing to give at the moment.
fn would_block(error: ffmpeg::Error) -> bool {
    matches!(error, ffmpeg::Error::Other { errno }
        if std::io::Error::from_raw_os_error(errno).kind() == std::io::ErrorKind::WouldBlock)
}

/// `None`: unknown, which FFmpeg writes 0/1 or 1/0.
pub(super) fn ratio(r: Rational) -> Option<f64> {
    (r.numerator() > 0 && r.denominator() > 0).then(|| f64::from(r))
}
