use super::{bad, read_json};
use crate::StageError;
use serde::Deserialize;
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

/// A thing that Unicode has an emoji of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Code points in hexadecimal, lower case, without presentation selectors: "1f436".
    pub id: String,
    /// Its name in Unicode's CLDR: "hot dog".
    pub name: String,
    /// CLDR's keywords.
    pub keywords: Vec<String>,
    /// Unicode's subgroup: "animal-mammal".
    pub subgroup: String,
    /// What the vector sets call it: "hot-dog".
    pub slug: String,
}

/// Names of single things, in Unicode's order: no people, faces, symbols or flags.
pub fn read(dir: &Path) -> Result<Vec<Name>, StageError> {
    #[derive(Deserialize)]
    struct Entry {
        label: String,
        hexcode: String,
        #[serde(default)]
        tags: Vec<String>,
        order: Option<u32>,
        group: Option<u32>,
        subgroup: Option<u32>,
    }
    #[derive(Deserialize)]
    struct Groups {
        groups: BTreeMap<u32, String>,
        subgroups: BTreeMap<u32, String>,
    }
    let Groups { groups, subgroups } = read_json(&dir.join("groups.json"))?;
    let mut entries: Vec<Entry> = read_json(&dir.join("names.json"))?;
    let slugs: HashMap<String, String> = read_json(&dir.join("slugs.json"))?;
    entries.sort_by_key(|entry| entry.order);
    let mut names = Vec::new();
    for entry in entries {
        let text = |map: &BTreeMap<u32, String>, key: Option<u32>| key.and_then(|key| map.get(&key)).cloned();
        let (Some(group), Some(subgroup)) = (text(&groups, entry.group), text(&subgroups, entry.subgroup)) else {
            continue;
        };
        if !["animals-nature", "food-drink", "travel-places", "activities", "objects"].contains(&group.as_str()) {
            continue;
        }
        let full = entry.hexcode.to_lowercase();
        let id = full.split('-').filter(|code| *code != "fe0f").collect::<Vec<_>>().join("-");
        let Some(slug) = slugs.get(&full).or(slugs.get(&id)) else { continue };
        // Captions and labels are typed by people.
        let plain = entry.label.to_lowercase().replace('’', "'");
        names.push(Name { name: plain, keywords: entry.tags, subgroup, slug: slug.clone(), id });
    }
    match names.is_empty() {
        true => Err(bad(&dir.join("names.json"), "expected emoji of things, found none")),
        false => Ok(names),
    }
}
