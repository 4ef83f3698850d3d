//! `lexivid explain`.

use super::compute;
use crate::{args, progress::Progress};
use lexivid::{
    Error,
    label::{Label, LabelList},
    models::{self, Explanation, Near},
};
use std::{io::Write, process::ExitCode};

pub fn run(args: &args::Explain, progress: &Progress) -> anyhow::Result<ExitCode> {
    let among = args.labels_file.as_deref().map(LabelList::from_file).transpose().map_err(Error::from)?;
    let spinner = progress.spinner();
    spinner.set_message(format!("loading {}", args.model.model));
    let model = models::load_finetuned(&args.model.model, &compute(&args.model)?).map_err(Error::from);
    spinner.finish_and_clear();
    let model = model?;
    let explain = |name: &String| {
        let among = among.as_deref().unwrap_or_default();
        // As it stands in the list, with its kind and definition, if it does.
        let listed = among.iter().find(|label| label.name == *name).cloned();
        let label = listed.unwrap_or_else(|| Label::new(name));
        Ok(model.explain(&label, among, args.top.into()).map_err(Error::from)?)
    };
    let explanations = args.label.iter().map(explain).collect::<anyhow::Result<Vec<_>>>()?;
    let mut out = std::io::stdout().lock();
    match args.json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&explanations)?)?,
        false => explanations.iter().try_for_each(|explanation| writeln!(out, "{}", told(explanation)))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn told(explanation: &Explanation) -> String {
    let Explanation { label, gate, prompt_share, attributes, before, after } = explanation;
    let mut text = format!(
        "{label}: {:.0} % plain prompt, {:.0} % soft attributes (gate {gate:.2})\n",
        prompt_share * 100.0,
        (1.0 - prompt_share) * 100.0
    );
    for (i, words) in attributes.iter().enumerate() {
        text += &format!("  attribute {}: {}\n", i + 1, list(words));
    }
    for (when, labels) in [("before", before), ("after", after)] {
        if !labels.is_empty() {
            text += &format!("  nearest labels {when}: {}\n", list(labels));
        }
    }
    text
}

fn list(near: &[Near]) -> String {
    let one = |near: &Near| format!("{} {:.2}", near.name, near.similarity);
    near.iter().map(one).collect::<Vec<_>>().join(", ")
}
