//! Every kind of input, good and bad, has one clear outcome. All files are made here, by the ffmpeg command.

use lexivid::{
    frames::{
        Filter, FramePixels, Preprocessing, SampleSummary, SampledFrame, View, Wanted, detect_shots, sample, stills,
    },
    video::{DecodeOptions, VideoError, VideoInfo, probe},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// A directory of generated media.
struct Media(TempDir);

impl Media {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `ffmpeg -f lavfi -i SOURCE OPTIONS NAME`
    fn make(&self, name: &str, source: &str, options: &[&str]) -> PathBuf {
        let mut arguments = vec!["-f", "lavfi", "-i", source];
        arguments.extend(options);
        self.ffmpeg(name, &arguments)
    }

    fn ffmpeg(&self, name: &str, arguments: &[&str]) -> PathBuf {
        let path = self.path(name);
        let status =
            Command::new("ffmpeg").args(["-v", "error", "-y"]).args(arguments).arg(&path).status().expect("ffmpeg");
        assert!(status.success(), "ffmpeg {arguments:?}");
        path
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

const X264: [&str; 6] = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"];

fn info(path: &Path) -> VideoInfo {
    probe(path, &DecodeOptions::default()).unwrap()
}

fn error(path: &Path) -> VideoError {
    probe(path, &DecodeOptions::default()).unwrap_err()
}

/// The whole picture, 16 x 16.
fn preprocessing() -> Preprocessing {
    Preprocessing { size: (16, 16), views: vec![View::Stretch], filter: Filter::Bicubic, mean: [0.0; 3], std: [1.0; 3] }
}

fn wanted(targets: Vec<f64>) -> Vec<Wanted> {
    vec![Wanted { targets, preprocessing: preprocessing() }]
}

fn frames(path: &Path, targets: Vec<f64>) -> (Vec<SampledFrame>, SampleSummary) {
    let mut stream = sample(path, &DecodeOptions::default(), wanted(targets)).unwrap();
    let frames = stream.by_ref().map(Result::unwrap).collect();
    (frames, stream.summary())
}

/// Middles of `n` equal parts of `duration`.
fn spread(duration: f64, n: usize) -> Vec<f64> {
    (0..n).map(|i| (i as f64 + 0.5) * duration / n as f64).collect()
}

/// RGB at (x, y) of the 16 x 16 view, in sixteenths of the frame.
fn pixel(frame: &FramePixels, x: usize, y: usize) -> [u8; 3] {
    frame.views[0].get_pixel(x as u32, y as u32).0
}

fn assert_near(got: [u8; 3], expected: [u8; 3], tolerance: u8) {
    assert!(got.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= tolerance), "{got:?}, expected {expected:?}");
}

#[test]
fn two_networks_share_the_decoding_and_each_sees_its_own() {
    let media = Media::new();
    let clip = media.make("clip.mp4", "testsrc2=size=64x64:rate=10:duration=3", &X264);
    let few = vec![0.5, 2.5];
    let many: Vec<f64> = (5..15).map(|i| f64::from(i) / 10.0 + 0.001).collect();
    let larger = Preprocessing { size: (32, 32), ..preprocessing() };
    let both = vec![
        Wanted { targets: few.clone(), preprocessing: preprocessing() },
        Wanted { targets: many.clone(), preprocessing: larger.clone() },
    ];
    let together: Vec<SampledFrame> =
        sample(&clip, &DecodeOptions::default(), both).unwrap().map(Result::unwrap).collect();
    assert!(together.windows(2).all(|pair| pair[0].pixels.time <= pair[1].pixels.time));
    for (network, (targets, preprocessing)) in [(few, preprocessing()), (many, larger)].into_iter().enumerate() {
        let alone = sample(&clip, &DecodeOptions::default(), vec![Wanted { targets, preprocessing }]).unwrap();
        let alone: Vec<SampledFrame> = alone.map(|frame| SampledFrame { wanted: network, ..frame.unwrap() }).collect();
        let own: Vec<&SampledFrame> = together.iter().filter(|frame| frame.wanted == network).collect();
        assert_eq!(own, alone.iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_missing_file() {
    assert!(matches!(error(Path::new("/no/such.mp4")), VideoError::NotFound { .. }));
}

#[test]
fn an_empty_file() {
    let media = Media::new();
    assert!(matches!(error(&media.write("empty.mp4", b"")), VideoError::Empty { .. }));
}

#[test]
fn a_directory() {
    let media = Media::new();
    let message = error(media.0.path()).to_string();
    assert!(message.ends_with("not a readable video or image (it is a directory)"), "{message}");
}

#[test]
fn no_video_at_all() {
    let media = Media::new();
    let message = error(&media.write("notes.mp4", b"Not a video. ".repeat(400).as_slice())).to_string();
    assert!(message.contains("not a readable video or image (Invalid data"), "{message}");
    let message = error(Path::new("a\0b")).to_string();
    assert!(message.contains("NUL"), "{message}");
    assert!(matches!(error(Path::new("nosuchscheme://x/y")), VideoError::Unreadable { .. }));
}

#[test]
fn audio_only() {
    let media = Media::new();
    let path = media.make("tone.m4a", "sine=duration=1", &[]);
    assert!(error(&path).to_string().ends_with("no video stream, only 1 audio stream"));
}

#[test]
fn a_cover_picture_is_no_video() {
    let media = Media::new();
    let cover = media.make("cover.png", "testsrc2=size=64x64", &["-frames:v", "1"]);
    let arguments = ["-f", "lavfi", "-i", "sine=duration=1", "-i", cover.to_str().unwrap(), "-map", "0", "-map", "1"];
    let path = media.ffmpeg("song.mp3", &[&arguments[..], &["-disposition:v", "attached_pic"]].concat());
    assert!(error(&path).to_string().ends_with("no video stream, only 1 audio stream and 1 cover picture"));
}

#[test]
fn no_frames() {
    let media = Media::new();
    let empty = media.make("empty.avi", "testsrc2=size=64x64", &["-frames:v", "0", "-c:v", "mpeg4"]);
    // A whole container around packets that are nothing.
    let whole = media.make("whole.mp4", "testsrc2=size=64x64:rate=25:duration=2", &X264);
    let mut bytes = fs::read(whole).unwrap();
    let position = |tag: &[u8; 4]| bytes.windows(4).position(|w| w == tag).unwrap();
    let (mdat, moov) = (position(b"mdat"), position(b"moov"));
    assert!(mdat < moov);
    bytes[mdat + 4..moov - 4].fill(0);
    let hollow = media.write("hollow.mp4", &bytes);
    for (path, reason) in [(empty, "there is no whole frame in the stream)"), (hollow, "packets could not be decoded)")]
    {
        let message = error(&path).to_string();
        assert!(message.contains("no frame could be decoded (") && message.ends_with(reason), "{message}");
        let mut stream = sample(&path, &DecodeOptions::default(), wanted(vec![0.5])).unwrap();
        assert!(matches!(stream.next(), Some(Err(VideoError::NoFrames { .. }))));
        assert!(stream.next().is_none());
    }
}

#[test]
fn truncated_without_an_index() {
    let media = Media::new();
    let whole = media.make("whole.mp4", "testsrc2=size=64x64:duration=2", &X264);
    let bytes = fs::read(whole).unwrap();
    assert!(matches!(error(&media.write("half.mp4", &bytes[..bytes.len() / 2])), VideoError::Unreadable { .. }));
}

#[test]
fn truncated_with_an_index() {
    let media = Media::new();
    let options = [&X264[..], &["-g", "25", "-movflags", "+faststart"]].concat();
    let whole = media.make("whole.mp4", "testsrc2=size=320x240:rate=25:duration=10", &options);
    let bytes = fs::read(whole).unwrap();
    let path = media.write("half.mp4", &bytes[..bytes.len() / 2]);
    assert_eq!(info(&path).duration, 10.0);
    for n in [4, 50] {
        let targets = spread(10.0, n);
        let (frames, summary) = frames(&path, targets.clone());
        let ended = summary.ended.unwrap();
        assert!((3.0..7.0).contains(&ended), "{summary:?}");
        let served = frames.last().unwrap().targets.end;
        assert_eq!(served + summary.unserved, n);
        assert!(summary.unserved > 0 && targets[served] > ended, "{summary:?}");
        // From the last frames there is no key frame to seek to, and what was read before is found again.
        let (last, summary) = self::frames(&path, vec![ended - 0.1, 9.9]);
        assert_eq!((last.len(), summary.ended, summary.unserved), (1, Some(ended), 1));
        // B-frames that the last packet overtook may be missing.
        assert!((ended - 0.3..ended - 0.1).contains(&last[0].pixels.time), "{ended}, {}", last[0].pixels.time);
    }
}

#[test]
fn corrupt_in_the_middle() {
    let media = Media::new();
    let whole =
        media.make("whole.mp4", "testsrc2=size=320x240:rate=25:duration=8", &[&X264[..], &["-g", "25"]].concat());
    let mut bytes = fs::read(whole).unwrap();
    let (from, to) = (bytes.len() * 4 / 10, bytes.len() * 5 / 10);
    bytes[from..to].fill(0);
    let (frames, summary) = frames(&media.write("hole.mp4", &bytes), spread(8.0, 80));
    assert!((5..60).contains(&summary.lost), "{summary:?}");
    assert_eq!((frames.last().unwrap().targets.end, summary.unserved), (80, 0));
}

#[test]
fn a_transport_stream_with_holes() {
    let media = Media::new();
    let whole =
        media.make("whole.ts", "testsrc2=size=320x240:rate=25:duration=8", &[&X264[..], &["-g", "25"]].concat());
    let mut bytes = fs::read(whole).unwrap();
    bytes.drain(bytes.len() / 2..bytes.len() / 2 + 188 * 40);
    let (frames, summary) = frames(&media.write("hole.ts", &bytes), spread(8.0, 80));
    assert!(summary.lost > 0, "{summary:?}");
    assert_eq!(frames.last().unwrap().targets.end, 80);
}

#[test]
fn a_wrong_extension() {
    let media = Media::new();
    let path = media.make("clip.mp4", "testsrc2=size=64x48:duration=1", &X264);
    let renamed = media.path("clip.txt");
    fs::rename(path, &renamed).unwrap();
    assert_eq!((info(&renamed).codec.as_str(), info(&renamed).width), ("h264", 64));
}

#[test]
fn awkward_names() {
    let media = Media::new();
    let path = media.make("plain.png", "color=red:size=8x8", &["-frames:v", "1"]);
    for name in ["12:30.png", "100%d.png", "what?*{1}.png", "-i.png", "ünï códe.png"] {
        let renamed = media.path(name);
        fs::copy(&path, &renamed).unwrap();
        assert_eq!(info(&renamed).codec, "png", "{name}");
    }
}

#[test]
fn one_pixel() {
    let media = Media::new();
    let path = media.make("dot.png", "color=red:size=8x8,format=rgb24,crop=1:1", &["-frames:v", "1"]);
    assert_eq!((info(&path).width, info(&path).height), (1, 1));
    assert_near(pixel(&frames(&path, vec![0.0]).0[0].pixels, 8, 8), [254, 0, 0], 2);
}

#[test]
fn odd_sizes() {
    let media = Media::new();
    // 4:4:4, because encoders refuse odd sizes with shared chroma; VP9 does not.
    for (name, options) in [
        ("odd.mp4", &["-c:v", "libx264", "-pix_fmt", "yuv444p"][..]),
        (
            "odd.webm",
            &["-c:v", "libvpx-vp9", "-cpu-used", "8", "-deadline", "realtime", "-lossless", "1", "-pix_fmt", "yuv420p"],
        ),
    ] {
        let path = media.make(name, "color=blue:size=64x64:duration=1,format=yuv444p,crop=37:53", options);
        assert_eq!((info(&path).width, info(&path).height), (37, 53));
        let (frames, _) = frames(&path, vec![0.5]);
        for (x, y) in [(0, 0), (15, 15)] {
            assert_near(pixel(&frames[0].pixels, x, y), [0, 0, 254], 4);
        }
    }
}

#[test]
fn ten_bits() {
    let media = Media::new();
    let options = ["-c:v", "libx265", "-x265-params", "log-level=none", "-pix_fmt", "yuv420p10le"];
    let path = media.make("ten.mkv", "color=0x20C060:size=64x64:duration=1", &options);
    assert_near(pixel(&frames(&path, vec![0.5]).0[0].pixels, 8, 8), [0x20, 0xC0, 0x60], 4);
}

#[test]
fn colours_survive_every_matrix_and_range() {
    let media = Media::new();
    for (matrix, range) in [("bt709", "tv"), ("smpte170m", "tv"), ("bt2020nc", "tv"), ("bt709", "pc")] {
        let filter = format!("scale=out_color_matrix={matrix}:out_range={range},format=yuv420p");
        let options = ["-vf", &filter, "-c:v", "libx264", "-qp", "4", "-colorspace", matrix, "-color_range", range];
        let path = media.make("colour.mkv", "color=0xC04020:size=64x64:duration=0.5,format=gbrp", &options);
        assert_near(pixel(&frames(&path, vec![0.2]).0[0].pixels, 8, 8), [0xC0, 0x40, 0x20], 4);
    }
}

#[test]
fn variable_frame_rate() {
    let media = Media::new();
    // Frames at 0, 0.04 .. 0.96 s, then one a second.
    let vfr = ["-vf", "select='lt(t,1)+not(mod(n,25))'", "-fps_mode", "vfr"];
    let path = media.make("vfr.mkv", "testsrc2=size=64x64:rate=25:duration=6", &[&X264[..], &vfr].concat());
    let (frames, _) = frames(&path, vec![0.5, 0.53, 2.5, 2.9, 3.2]);
    let seen: Vec<_> = frames.iter().map(|f| (f.targets.clone(), (f.pixels.time * 1000.0).round())).collect();
    assert_eq!(seen, [(0..1, 480.0), (1..2, 520.0), (2..4, 2000.0), (4..5, 3000.0)]);
}

#[test]
fn portrait_rotated() {
    let media = Media::new();
    // Stored: left half red, right half blue. The ffmpeg command takes the angle counter-clockwise.
    let source = "color=red:size=64x48:duration=1[l];color=blue:size=64x48:duration=1[r];[l][r]hstack";
    let stored = media.make("stored.mp4", source, &X264);
    for (angle, rotation, size, top) in
        [("90", 270, (48, 128), "blue"), ("270", 90, (48, 128), "red"), ("180", 180, (128, 48), "both")]
    {
        let tag = format!("rotate={angle}");
        let arguments = ["-i", stored.to_str().unwrap(), "-c", "copy", "-metadata:s:v", &tag];
        let path = media.ffmpeg("turned.mp4", &arguments);
        let info = info(&path);
        assert_eq!((info.rotation, (info.width, info.height)), (rotation, size));
        let frame = &frames(&path, vec![0.5]).0[0].pixels;
        match top {
            "red" => assert_near(pixel(frame, 8, 2), [254, 0, 0], 6),
            "blue" => assert_near(pixel(frame, 8, 2), [0, 0, 254], 6),
            _ => assert_near(pixel(frame, 2, 8), [0, 0, 254], 6),
        }
        let still = &stills(&path, &DecodeOptions::default(), &[0.5], 64).unwrap()[0];
        assert_eq!(still.width() > still.height(), size.0 > size.1);
    }
}

#[test]
fn wide_pixels() {
    let media = Media::new();
    let path = media.make("sar.mp4", "testsrc2=size=72x58:duration=1,setsar=16/9", &X264);
    assert_eq!((info(&path).width, info(&path).height), (128, 58));
    let still = &stills(&path, &DecodeOptions::default(), &[0.0], 64).unwrap()[0];
    assert_eq!(still.dimensions(), (64, 29));
}

#[test]
fn times_count_from_the_first_frame() {
    let media = Media::new();
    for name in ["late.mkv", "late.mp4", "late.ts"] {
        let options = [&X264[..], &["-output_ts_offset", "5"]].concat();
        let path = media.make(name, "testsrc2=size=64x64:rate=25:duration=2", &options);
        assert!((info(&path).duration - 2.0).abs() < 0.05, "{name}: {}", info(&path).duration);
        let (frames, summary) = frames(&path, vec![0.0, 1.0]);
        assert_eq!(frames[0].pixels.time, 0.0, "{name}");
        assert!((frames[1].pixels.time - 1.0).abs() < 0.002, "{name}");
        assert_eq!(summary.lost, 0);
    }
}

#[test]
fn a_picture_is_one_frame() {
    let media = Media::new();
    for name in ["still.png", "still.jpg", "still.webp", "still.bmp"] {
        let path = media.make(name, "color=0x4080C0:size=50x30", &["-frames:v", "1"]);
        let info = info(&path);
        assert_eq!((info.width, info.height, info.duration, info.frame_rate), (50, 30, 0.04, None), "{name}");
        let (frames, _) = frames(&path, spread(info.duration, 8));
        assert_eq!((frames.len(), frames[0].targets.clone()), (1, 0..8), "{name}");
        assert_near(pixel(&frames[0].pixels, 8, 8), [0x40, 0x80, 0xC0], 4);
    }
}

#[test]
fn a_photo_on_its_side() {
    let media = Media::new();
    let mut bytes = fs::read(media.make("stored.jpg", "color=red:size=50x30", &["-frames:v", "1"])).unwrap();
    // Exif after the start-of-image marker: one entry, Orientation (0x0112), short, 6: turn it clockwise.
    let exif = b"\xFF\xE1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    bytes.splice(2..2, exif.iter().copied());
    let info = info(&media.write("photo.jpg", &bytes));
    assert_eq!((info.rotation, info.width, info.height), (90, 30, 50));
}

#[test]
fn transparency_is_dropped() {
    let media = Media::new();
    let path = media.make("glass.png", "color=0x4080C0@0.25:size=8x8,format=rgba", &["-frames:v", "1"]);
    assert_near(pixel(&frames(&path, vec![0.0]).0[0].pixels, 8, 8), [0x40, 0x80, 0xC0], 1);
}

#[test]
fn grey_pictures() {
    let media = Media::new();
    let path = media.make("grey.png", "color=0x808080:size=8x8,format=gray", &["-frames:v", "1"]);
    let [r, g, b] = pixel(&frames(&path, vec![0.0]).0[0].pixels, 8, 8);
    assert!(r == g && g == b && r.abs_diff(0x80) <= 2, "{r} {g} {b}");
}

#[test]
fn an_animated_gif() {
    let media = Media::new();
    let path = media.make("move.gif", "testsrc2=size=64x64:rate=10:duration=2", &[]);
    assert!((info(&path).duration - 2.0).abs() < 0.05, "{:?}", info(&path));
    let (frames, _) = frames(&path, spread(2.0, 4));
    assert_eq!(frames.len(), 4);
}

#[test]
fn durations_that_no_header_tells() {
    let media = Media::new();
    for name in ["raw.h264", "live.mkv"] {
        let mut options = X264.to_vec();
        if name == "live.mkv" {
            options.extend(["-live", "1"]);
        }
        let path = media.make(name, "testsrc2=size=64x64:rate=25:duration=3", &options);
        assert!((info(&path).duration - 3.0).abs() < 0.1, "{name}: {}", info(&path).duration);
        let (frames, summary) = frames(&path, spread(3.0, 6));
        assert_eq!((frames.len(), summary.lost), (6, 0), "{name}");
    }
}

#[test]
fn a_header_that_announces_centuries() {
    let media = Media::new();
    let mut bytes = fs::read(media.make("clip.mkv", "testsrc2=size=64x64:rate=25:duration=2", &X264)).unwrap();
    // The stream's DURATION tag is text.
    let at = bytes.windows(12).position(|w| w == b"00:00:02.000").unwrap();
    bytes[at..at + 2].copy_from_slice(b"99");
    assert_eq!(info(&media.write("centuries.mkv", &bytes)).duration, 2.0);
}

#[test]
fn the_sound_may_be_longer() {
    let media = Media::new();
    for name in ["long-sound.mp4", "long-sound.mkv"] {
        let inputs =
            ["-f", "lavfi", "-i", "testsrc2=size=64x64:rate=25:duration=2", "-f", "lavfi", "-i", "sine=duration=6"];
        let path = media.ffmpeg(name, &[&inputs[..], &X264].concat());
        assert!((info(&path).duration - 2.0).abs() < 0.05, "{name}: {}", info(&path).duration);
    }
}

#[test]
fn three_hours() {
    let media = Media::new();
    let options = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "60"];
    let path = media.make("long.mp4", "testsrc2=size=32x32:rate=1:duration=10800", &options);
    assert_eq!(info(&path).duration, 10800.0);
    let (frames, summary) = frames(&path, spread(10800.0, 8));
    let times: Vec<f64> = frames.iter().map(|f| f.pixels.time).collect();
    assert_eq!(times, spread(10800.0, 8).into_iter().map(f64::floor).collect::<Vec<_>>());
    assert!(summary.decoded < 1000, "only what is needed is decoded: {summary:?}");
}

#[test]
fn shots_are_found_at_the_cuts() {
    let media = Media::new();
    let source = "testsrc2=size=640x360:rate=25:duration=2[a];color=green:size=640x360:rate=25:duration=1[b];\
                  mandelbrot=size=640x360:rate=25,trim=duration=2[c];[a][b][c]concat=n=3";
    let path = media.make("cuts.mp4", source, &X264);
    let shots = detect_shots(&path, &DecodeOptions::default()).unwrap();
    assert_eq!(shots.iter().map(|s| (s.start, s.end)).collect::<Vec<_>>(), [(0.0, 2.0), (2.0, 3.0), (3.0, 5.0)]);
}

#[test]
fn stills_in_any_order() {
    let media = Media::new();
    let source = "color=red:size=64x64:duration=1[a];color=blue:size=64x64:duration=1[b];[a][b]concat=n=2";
    let path = media.make("two.mp4", source, &X264);
    let stills = stills(&path, &DecodeOptions::default(), &[1.5, 0.5, 99.0], 32).unwrap();
    assert_eq!(stills.iter().map(|s| s.dimensions()).collect::<Vec<_>>(), [(32, 32); 3]);
    for (still, expected) in stills.iter().zip([[0, 0, 254], [254, 0, 0], [0, 0, 254]]) {
        assert_near(still.get_pixel(16, 16).0, expected, 6);
    }
}

#[test]
fn a_source_that_never_delivers() {
    let media = Media::new();
    let path = media.path("pipe.mp4");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let options = DecodeOptions { stall_timeout: Duration::from_millis(300) };
    // Nobody writes: FFmpeg hangs in open().
    assert!(matches!(probe(&path, &options), Err(VideoError::Stalled { .. })));

    // Somebody writes a beginning and then nothing: FFmpeg hangs in read(), in the middle of the stream.
    let clip = media.make("clip.ts", "testsrc2=size=64x64:rate=25:duration=20", &X264);
    let script = format!("head -c 200000 {} > {}; ", clip.display(), path.display());
    let mut writer = Command::new("sh")
        .args(["-c", &format!("exec 3<>{}; {script} sleep 60", path.display())])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut stream = sample(&path, &options, wanted(spread(20.0, 40))).unwrap();
    let last = stream.by_ref().last();
    assert!(matches!(last, Some(Err(VideoError::Stalled { .. }))), "{last:?}");
    writer.kill().unwrap();
    writer.wait().unwrap();
}
