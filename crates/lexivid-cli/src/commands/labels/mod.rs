//! `lexivid labels`: vocabularies that are kept with their embeddings.

mod expand;

use super::{embed, label_database, load_model};
use crate::{
    args::{self, GivenLabels, LabelsCommand, ModelArgs},
    output,
    progress::Progress,
};
use comfy_table::{Table, TableStyle};
use lexivid::{
    Error,
    label::Kind,
    label_embedding::{Added, StoredLabel, VocabularySummary},
};
use serde::Serialize;
use std::process::ExitCode;

pub fn run(args: &args::Labels, progress: &Progress) -> anyhow::Result<ExitCode> {
    match &args.command {
        LabelsCommand::Add { given, vocabulary, model, json } => add(given, &vocabulary.name, model, *json, progress)?,
        LabelsCommand::Expand(expand) => return expand::run(expand, progress),
        LabelsCommand::List { vocabulary: None, json } => {
            let vocabularies = label_database(Error::from)?.vocabularies().map_err(Error::from)?;
            print(&vocabularies, *json, || match vocabularies.is_empty() {
                true => "no vocabularies yet; `lexivid labels add` makes one".into(),
                false => table_of_vocabularies(&vocabularies).to_string(),
            })?;
        }
        LabelsCommand::List { vocabulary: Some(name), json } => {
            let labels = label_database(Error::from)?.list(name).map_err(Error::from)?;
            print(&labels, *json, || table_of_labels(&labels).to_string())?;
        }
        LabelsCommand::Remove { names, all, vocabulary: args::VocabularyArg { name }, json } => {
            #[derive(Serialize)]
            struct Removed {
                removed: usize,
            }
            let mut database = label_database(Error::from)?;
            let removed = match all {
                true => database.remove_all(name),
                false => database.remove(name, names).map(|()| names.len()),
            };
            let removed = Removed { removed: removed.map_err(Error::from)? };
            print(&removed, *json, || format!("{} labels removed from {name}", removed.removed))?;
        }
        LabelsCommand::Rename { old, new, vocabulary, json } => {
            let renamed = label_database(Error::from)?.rename(&vocabulary.name, old, new).map_err(Error::from)?;
            print(&renamed, *json, || match renamed.to_embed_with.as_slice() {
                [] => format!("{old} is now {new}"),
                models => format!("{old} is now {new}, which {} will embed when it is next used", models.join(" and ")),
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What `--json` prints of an addition.
#[derive(Serialize)]
struct Embedded<'a> {
    vocabulary: &'a str,
    #[serde(flatten)]
    added: Added,
    /// Labels that were given, all of which the model has embedded now.
    embedded: usize,
    model: String,
}

/// The labels are recorded first and embedded then, so that a run that was broken off can be gone on with by any later use of
/// the vocabulary.
fn add(
    given: &GivenLabels,
    vocabulary: &str,
    model: &ModelArgs,
    json: bool,
    progress: &Progress,
) -> anyhow::Result<()> {
    let list = given.read()?;
    for warning in list.warnings() {
        progress.say(&format!("warning: {warning}"));
    }
    let model = load_model(model, progress)?;
    let mut database = label_database(Error::from)?;
    let added = database.add(vocabulary, &list).map_err(Error::from)?;
    let encoded = embed(model.as_ref(), list, Some(&mut database), progress)?;
    let (embedded, model) = (encoded.labels().len(), model.about().name.clone());
    print(&Embedded { vocabulary, added, embedded, model }, json, || {
        let Added { added, changed, unchanged } = added;
        format!("{vocabulary}: {added} labels added, {changed} changed, {unchanged} as they were; all are embedded")
    })
}

fn print(value: &impl Serialize, json: bool, text: impl FnOnce() -> String) -> anyhow::Result<()> {
    output::write_to(None, |out| match json {
        true => Ok(writeln!(out, "{}", serde_json::to_string_pretty(value)?)?),
        false => Ok(writeln!(out, "{}", text())?),
    })
}

fn table_of_vocabularies(vocabularies: &[VocabularySummary]) -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_header(["vocabulary", "labels", "embedded"]);
    for VocabularySummary { name, labels, embedded } in vocabularies {
        let embedded: Vec<_> = embedded.iter().map(|e| format!("{} with {} ({})", e.labels, e.model, e.key)).collect();
        table.add_row([name.clone(), labels.to_string(), embedded.join("\n")]);
    }
    table
}

fn table_of_labels(labels: &[StoredLabel]) -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_header(["label", "kind", "definition", "synonyms", "embedded with"]);
    for StoredLabel { label, embedded_with } in labels {
        let kind = match label.kind {
            Some(Kind::Entity) => "entity",
            Some(Kind::Action) => "action",
            None => "",
        };
        let definition = label.definition.as_deref().unwrap_or_default();
        table.add_row([&label.name, kind, definition, &label.synonyms.join(", "), &embedded_with.join(", ")]);
    }
    table
}
