//! Pictures and names as the packages have them (`scripts/stage-assets`).

mod names;
mod noto;
mod vector;

pub use names::Name;

use crate::StageError;
use image::RgbaImage;
use noto::Noto;
use std::path::Path;
use vector::Vector;

/// Longer side of a sprite as it is kept, in pixels.
pub const SPRITE: u32 = 96;

/// A maker of emoji, and so a way of drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Style {
    /// Google's Noto Color Emoji.
    Noto,
    /// Microsoft's Fluent Emoji, with shades.
    Fluent,
    /// Emoji One 2.
    EmojiOne,
    /// Mozilla's emoji of Firefox OS.
    FirefoxOs,
    /// Microsoft's Fluent Emoji without shades.
    FluentFlat,
    /// Twitter's Twemoji.
    Twemoji,
}

impl Style {
    /// Those that are trained on.
    pub const TRAIN: [Self; 4] = [Self::Noto, Self::Fluent, Self::EmojiOne, Self::FirefoxOs];
    /// The one for choosing. It has the shapes of one of the above, flatly coloured.
    pub const VALIDATION: Self = Self::FluentFlat;
    /// The one for judging: of a maker who is not among those above.
    pub const TEST: Self = Self::Twemoji;
}

/// All that the packages have.
pub struct Assets {
    /// Everything that has a name.
    pub names: Vec<Name>,
    noto: Noto,
    vectors: Vec<(Style, Vector)>,
}

impl Assets {
    /// Opens the directory that `scripts/stage-assets` prints.
    ///
    /// # Errors
    /// When a file is missing, or not what it should be.
    pub fn open(dir: &Path) -> Result<Self, StageError> {
        let vector = |style, file: &str, hyphens| Ok::<_, StageError>((style, Vector::open(&dir.join(file), hyphens)?));
        Ok(Self {
            names: names::read(dir)?,
            noto: Noto::open(&dir.join("noto.ttf"))?,
            vectors: vec![
                vector(Style::Fluent, "fluent.json", true)?,
                vector(Style::EmojiOne, "emojione.json", true)?,
                vector(Style::FirefoxOs, "fxemoji.json", false)?,
                vector(Style::FluentFlat, "fluent-flat.json", true)?,
                vector(Style::Twemoji, "twemoji.json", true)?,
            ],
        })
    }

    /// Whether `style` has a picture of `name`.
    pub fn has(&self, style: Style, name: &Name) -> bool {
        match style {
            Style::Noto => self.noto.has(name),
            _ => self.vector(style).is_some_and(|vector| vector.has(&name.slug)),
        }
    }

    /// The picture, cut to what is visible, its longer side [`SPRITE`] pixels; `None` if the style has none.
    pub fn sprite(&self, style: Style, name: &Name) -> Option<RgbaImage> {
        let picture = match style {
            Style::Noto => self.noto.picture(name),
            _ => self.vector(style)?.picture(&name.slug, 2 * SPRITE),
        };
        Some(cut(&picture?))
    }

    fn vector(&self, style: Style) -> Option<&Vector> {
        self.vectors.iter().find(|(of, _)| *of == style).map(|(_, vector)| vector)
    }
}

/// The visible part, its longer side [`SPRITE`] pixels.
fn cut(picture: &RgbaImage) -> RgbaImage {
    let visible = || picture.enumerate_pixels().filter(|(_, _, pixel)| pixel[3] > 8);
    let (left, top) = (visible().map(|p| p.0).min().unwrap_or(0), visible().map(|p| p.1).min().unwrap_or(0));
    let right = visible().map(|p| p.0 + 1).max().unwrap_or(1);
    let bottom = visible().map(|p| p.1 + 1).max().unwrap_or(1);
    let part = image::imageops::crop_imm(picture, left, top, right - left, bottom - top).to_image();
    let scale = SPRITE as f32 / (right - left).max(bottom - top) as f32;
    let side = |length: u32| ((length as f32 * scale).round() as u32).clamp(1, SPRITE);
    image::imageops::resize(&part, side(right - left), side(bottom - top), image::imageops::FilterType::Triangle)
}

fn bad(path: &Path, reason: impl ToString) -> StageError {
    StageError::Asset { path: path.into(), reason: reason.to_string() }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, StageError> {
    let text = std::fs::read_to_string(path).map_err(|e| bad(path, e))?;
    serde_json::from_str(&text).map_err(|e| bad(path, e))
}
