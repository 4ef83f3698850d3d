use super::{Name, bad};
use crate::StageError;
use image::RgbaImage;
use std::path::Path;
use ttf_parser::{Face, GlyphId, RasterImageFormat};

/// Noto Color Emoji: a font whose glyphs are PNG pictures. Only emoji of one code point: sequences would need shaping.
pub struct Noto {
    font: Vec<u8>,
}

impl Noto {
    pub fn open(path: &Path) -> Result<Self, StageError> {
        let font = std::fs::read(path).map_err(|e| bad(path, e))?;
        Face::parse(&font, 0).map_err(|e| bad(path, e))?;
        Ok(Self { font })
    }

    fn glyph(&self, name: &Name) -> Option<(Face<'_>, GlyphId)> {
        let face = Face::parse(&self.font, 0).ok()?;
        let code = u32::from_str_radix(&name.id, 16).ok()?;
        let glyph = face.glyph_index(char::from_u32(code)?)?;
        Some((face, glyph))
    }

    pub fn has(&self, name: &Name) -> bool {
        self.glyph(name).is_some_and(|(face, glyph)| face.glyph_raster_image(glyph, u16::MAX).is_some())
    }

    pub fn picture(&self, name: &Name) -> Option<RgbaImage> {
        let (face, glyph) = self.glyph(name)?;
        let picture = face.glyph_raster_image(glyph, u16::MAX).filter(|p| p.format == RasterImageFormat::PNG)?;
        Some(image::load_from_memory(picture.data).ok()?.to_rgba8())
    }
}
