use super::read_json;
use crate::StageError;
use image::{Rgba, RgbaImage};
use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{Options, Tree},
};
use serde::Deserialize;
use std::{collections::HashMap, path::Path};

/// A set of SVG pictures in Iconify's JSON format.
pub struct Vector {
    side: f32,
    icons: HashMap<String, Icon>,
    aliases: HashMap<String, Alias>,
    /// Whether names keep the hyphens of their slugs.
    hyphens: bool,
}

#[derive(Deserialize)]
struct Icon {
    body: String,
    width: Option<f32>,
    height: Option<f32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alias {
    parent: String,
    #[serde(default)]
    h_flip: bool,
}

impl Vector {
    pub fn open(path: &Path, hyphens: bool) -> Result<Self, StageError> {
        #[derive(Deserialize)]
        struct File {
            icons: HashMap<String, Icon>,
            #[serde(default)]
            aliases: HashMap<String, Alias>,
            #[serde(default = "sixteen")]
            width: f32,
        }
        fn sixteen() -> f32 {
            16.0
        }
        let File { icons, aliases, width } = read_json(path)?;
        Ok(Self { side: width, icons, aliases, hyphens })
    }

    /// The picture that is called so. A mirrored one is another picture: left is not right here.
    fn icon(&self, slug: &str) -> Option<&Icon> {
        let name = if self.hyphens { slug.to_owned() } else { slug.replace('-', "") };
        let parent = self.aliases.get(&name).filter(|alias| !alias.h_flip).map(|alias| &alias.parent);
        self.icons.get(parent.unwrap_or(&name))
    }

    pub fn has(&self, slug: &str) -> bool {
        self.icon(slug).is_some()
    }

    /// The picture on a transparent square of `side` pixels.
    pub fn picture(&self, slug: &str, side: u32) -> Option<RgbaImage> {
        let icon = self.icon(slug)?;
        let (width, height) = (icon.width.unwrap_or(self.side), icon.height.unwrap_or(self.side));
        let svg = format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{width}" height="{height}" viewBox="0 0 {width} {height}">{}</svg>"#,
            icon.body
        );
        let tree = Tree::from_str(&svg, &Options::default()).ok()?;
        let mut pixels = Pixmap::new(side, side)?;
        let scale = side as f32 / width.max(height);
        resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
        let mut picture = RgbaImage::new(side, side);
        for (to, from) in picture.pixels_mut().zip(pixels.pixels()) {
            let colour = from.demultiply();
            *to = Rgba([colour.red(), colour.green(), colour.blue(), colour.alpha()]);
        }
        Some(picture)
    }
}
