//! Label -> the sentences that a text tower is given.

use super::{Kind, Label};

/// The sentences for a label: one for its name and one for each synonym, in that order; their embeddings are averaged.
///
/// | kind | template | |
/// |---|---|---|
/// | entity | `a photo of a {name}.` | CLIP's own default (Radford et al. 2021, section 3.1.4) |
/// | action | `a video of {name}.` | one of CLIP's Kinetics templates; fits "riding a bike" as well as "a dog running" |
/// | cannot be told | `a photo of {name}.` | one of CLIP's Kinetics templates; reads well for both |
///
/// Where the kind is not said it is guessed ([`Label::likely_kind`]). A definition follows the name: `a photo of a crane, a machine that lifts loads.`
pub fn prompts(label: &Label) -> Vec<String> {
    let opening = match label.likely_kind() {
        Some(Kind::Entity) => "a photo of a",
        Some(Kind::Action) => "a video of",
        None => "a photo of",
    };
    let definition = match label.definition.as_deref().map(|d| d.trim().trim_end_matches('.')) {
        Some(definition) if !definition.is_empty() => format!(", {definition}"),
        _ => String::new(),
    };
    std::iter::once(&label.name)
        .chain(&label.synonyms)
        .map(|name| format!("{opening} {}{definition}.", name.trim()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_chooses_the_template() {
        let mut label = Label::new("riding a bike");
        assert_eq!(prompts(&label), ["a video of riding a bike."]);
        label = Label { kind: Some(Kind::Action), ..Label::new("wedding") };
        assert_eq!(prompts(&label), ["a video of wedding."]);
        label.kind = None;
        assert_eq!(prompts(&label), ["a photo of wedding."]);
        label = Label { kind: Some(Kind::Entity), ..Label::new("dog") };
        assert_eq!(prompts(&label), ["a photo of a dog."]);
    }

    #[test]
    fn synonyms_get_a_sentence_each_and_share_the_definition() {
        let label = Label {
            kind: Some(Kind::Entity),
            definition: Some("a machine that lifts loads. ".into()),
            synonyms: vec!["hoist".into()],
            ..Label::new("crane")
        };
        assert_eq!(
            prompts(&label),
            ["a photo of a crane, a machine that lifts loads.", "a photo of a hoist, a machine that lifts loads."]
        );
    }

    #[test]
    fn an_empty_definition_adds_nothing() {
        let label = Label { definition: Some(" ".into()), ..Label::new("dog") };
        assert_eq!(prompts(&label), ["a photo of dog."]);
    }
}
