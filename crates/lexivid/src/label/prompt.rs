//! Label -> the sentences that a text tower is given.

use super::{Kind, Label};

/// OpenAI's short list of templates for ImageNet (github.com/openai/CLIP, notebooks/Prompt_Engineering_for_ImageNet.ipynb).
const OF_ENTITIES: [&str; 7] = [
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
];

/// OpenAI's templates for Kinetics-700 (github.com/openai/CLIP, data/prompts.md): each of the first before each of the second.
const OF_ACTIONS: ([&str; 4], [&str; 7]) = (
    ["a photo of", "a video of", "a example of", "a demonstration of"],
    [
        "{}.",
        "a person {}.",
        "a person using {}.",
        "a person doing {}.",
        "a person during {}.",
        "a person performing {}.",
        "a person practicing {}.",
    ],
);

/// CLIP's own template ensemble for a label (Radford et al. 2021, section 3.1.4), for its name and each synonym: 7 sentences of what is or may
/// be an entity, 28 of an action. The mean of their embeddings, each normalised, is the label's.
pub fn ensemble(label: &Label) -> Vec<String> {
    let templates: Vec<String> = match label.likely_kind() {
        Some(Kind::Action) => {
            let (openings, rests) = OF_ACTIONS;
            openings.iter().flat_map(|opening| rests.map(|rest| format!("{opening} {rest}"))).collect()
        }
        Some(Kind::Entity) | None => OF_ENTITIES.map(String::from).into(),
    };
    let definition = definition(label);
    names(label)
        .flat_map(|name| {
            let sentence = |template: &String| {
                let sentence = template.trim_end_matches('.').replace("{}", name);
                format!("{sentence}{definition}.")
            };
            templates.iter().map(sentence).collect::<Vec<_>>()
        })
        .collect()
}

/// A sentence for each attribute of a label, and for its name and each synonym: `{name}, which has {attribute}` (Menon & Vondrick, arXiv
/// 2210.07183; how an attribute is joined is `make_descriptor_sentence` of github.com/sachit-menon/classify_by_description_release).
pub fn described(label: &Label, attributes: &[String]) -> Vec<String> {
    let starts = |attribute: &str, words: &[&str]| {
        let first = attribute.split_whitespace().next().unwrap_or_default().to_lowercase();
        words.contains(&first.as_str())
    };
    let sentence = |name: &str, attribute: &String| {
        let verb = match attribute {
            a if starts(a, &["has", "have", "often", "typically", "may", "can", "is", "are"]) => "",
            a if starts(a, &["a", "an", "used"]) => "is ",
            _ => "has ",
        };
        format!("{name}, which {verb}{attribute}")
    };
    names(label).flat_map(|name| attributes.iter().map(move |attribute| sentence(name, attribute))).collect()
}

/// Its name, and each synonym.
fn names(label: &Label) -> impl Iterator<Item = &str> {
    std::iter::once(&label.name).chain(&label.synonyms).map(|name| name.trim())
}

/// `, a machine that lifts loads`, where there is one.
fn definition(label: &Label) -> String {
    match label.definition.as_deref().map(|d| d.trim().trim_end_matches('.')) {
        Some(definition) if !definition.is_empty() => format!(", {definition}"),
        _ => String::new(),
    }
}

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
    let definition = definition(label);
    names(label).map(|name| format!("{opening} {name}{definition}.")).collect()
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
    fn the_ensemble_is_openai_s_for_the_kind() {
        let mut label = Label { synonyms: vec!["hound".into()], ..Label::new("dog") };
        let sentences = ensemble(&label);
        assert_eq!(sentences.len(), 14);
        assert_eq!((sentences[0].as_str(), sentences[11].as_str()), ("itap of a dog.", "a hound in a video game."));
        label = Label { definition: Some("a wading bird.".into()), ..Label::new("crane") };
        assert_eq!(ensemble(&label)[4], "a crane in a video game, a wading bird.");
        let sentences = ensemble(&Label::new("riding a bike"));
        assert_eq!(sentences.len(), 28);
        assert_eq!(sentences[0], "a photo of riding a bike.");
        assert_eq!(sentences[7], "a video of riding a bike.");
        assert_eq!(sentences[27], "a demonstration of a person practicing riding a bike.");
    }

    #[test]
    fn attributes_are_joined_by_what_they_begin_with() {
        let attributes =
            ["four legs", "a pet", "often furry", "used for hunting", "apple-shaped head"].map(String::from);
        let expected = [
            "dog, which has four legs",
            "dog, which is a pet",
            "dog, which often furry",
            "dog, which is used for hunting",
            "dog, which has apple-shaped head",
        ];
        assert_eq!(described(&Label::new("dog"), &attributes), expected);
        let label = Label { synonyms: vec!["hound".into()], ..Label::new("dog") };
        assert_eq!(described(&label, &attributes[..1]), ["dog, which has four legs", "hound, which has four legs"]);
    }

    #[test]
    fn an_empty_definition_adds_nothing() {
        let label = Label { definition: Some(" ".into()), ..Label::new("dog") };
        assert_eq!(prompts(&label), ["a photo of dog."]);
    }
}
