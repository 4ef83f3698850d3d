//! `lexivid bench method`: a finetuning on Stage for every row of a table and every seed, and the tables that come of them.

use crate::{
    args,
    commands::{load, training},
    failure::{self, WrongUse},
    interrupt, output,
    progress::Progress,
};
use anyhow::Context;
use comfy_table::{CellAlignment, Table, TableStyle};
use lexivid::{
    Error,
    dataset::{Manifest, Vocabulary},
    models::{Model, store::Store},
    training::{
        Finished, TrainingError, TrainingPrecision,
        finetune::{FeatureCache, FinetuneConfig, evaluate_on},
    },
};
use lexivid_stage::{
    Summary,
    method::{Column, Judgement, MethodTable, Recipe, Report, ReportedRow, RunResult, Spread},
    scene::Split,
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

/// A row with a seed.
struct Run {
    /// The row's place in the table.
    row: usize,
    name: String,
    recipe: Recipe,
    config: FinetuneConfig,
    directory: PathBuf,
}

pub fn run(args: &args::BenchMethod, progress: &Progress) -> anyhow::Result<ExitCode> {
    let table = args.table.as_deref().map_or_else(|| Ok(MethodTable::standard()), MethodTable::read)?;
    let names: Vec<&str> = table.rows.iter().map(|row| row.name.as_str()).collect();
    if let Some(unknown) = args.rows.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(WrongUse(format!("--rows: expected names among {}, got {unknown:?}", names.join(", "))).into());
    }
    let seeds: Vec<u32> = args.seeds.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let stage = Summary::read(&args.stage)?;
    let runs = runs(args, &table, &seeds, &stage, progress)?;

    let is_asked = |run: &&Run| args.rows.is_empty() || args.rows.iter().any(|name| name == names[run.row]);
    let asked: Vec<&Run> = runs.iter().filter(is_asked).collect();
    let mut code = ExitCode::SUCCESS;
    for (at, run) in asked.iter().enumerate().filter(|(_, run)| run.kept().is_none()) {
        progress.say(&format!("{} ({} of {})", run.name, at + 1, asked.len()));
        match run.make(progress) {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => return Ok(ExitCode::from(130)),
            Err(error) if interrupt::control_flow().is_break() => return Err(error),
            // The others go on.
            Err(error) => code = failure::report(&error),
        }
    }

    let mut results: Vec<Vec<RunResult>> = vec![Vec::new(); table.rows.len()];
    for run in &runs {
        results[run.row].extend(run.kept());
    }
    let report = Report::new(&table, seeds.len(), results);
    let mut out = std::io::stdout().lock();
    match args.json {
        true => {
            let all = json!({"model": args.model, "stage": stage, "seeds": seeds, "report": report});
            writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
        }
        false => writeln!(out, "{}", shown(&report, args, &seeds))?,
    }
    Ok(code)
}

/// All runs of the table, whether they are there or not.
fn runs(
    args: &args::BenchMethod,
    table: &MethodTable,
    seeds: &[u32],
    stage: &Summary,
    progress: &Progress,
) -> anyhow::Result<Vec<Run>> {
    let stage_directory = args.stage.canonicalize().with_context(|| args.stage.display().to_string())?;
    // A directory counts from here, wherever a trained model is loaded from.
    let model = Path::new(&args.model).canonicalize();
    let model = model.map_or_else(|_| args.model.clone(), |directory| directory.to_string_lossy().into_owned());
    let base = load(&model, &training::compute(TrainingPrecision::default())?, progress)?.about().fingerprint.clone();
    let mut runs = Vec::new();
    for (place, row) in table.rows.iter().enumerate() {
        let settings = serde_json::to_value(table.settings(row))?;
        let seeds = if row.untrained { vec![None] } else { seeds.iter().copied().map(Some).collect() };
        for seed in seeds {
            let directory = args.output.join(&row.name);
            let (name, directory) = match seed {
                None => (row.name.clone(), directory),
                Some(seed) => (format!("{}, seed {seed}", row.name), directory.join(seed.to_string())),
            };
            let recipe = Recipe { base: base.clone(), stage: stage.into(), seed, settings: settings.clone() };
            let config = table.config(row, seed.unwrap_or(0), &model, &stage_directory).map_err(WrongUse)?;
            runs.push(Run { row: place, name, recipe, config, directory });
        }
    }
    Ok(runs)
}

impl Run {
    fn result(&self) -> PathBuf {
        self.directory.join("result.json")
    }

    /// What it came to, if it is done.
    fn kept(&self) -> Option<RunResult> {
        RunResult::kept(&self.result(), &self.recipe)
    }

    /// Trains, or goes on with it, evaluates, and writes the result. `Break`: the user asked to stop.
    fn make(&self, progress: &Progress) -> anyhow::Result<ControlFlow<()>> {
        let io = |path: &Path| path.display().to_string();
        if self.result().exists() {
            self.begin_anew(progress)?;
        }
        let Run { recipe, config, directory, .. } = self;
        fs::create_dir_all(directory).with_context(|| io(directory))?;
        let compute = training::compute(config.precision)?;
        let base = load(&config.model, &compute, progress)?;
        let (model, seconds) = match recipe.seed {
            None => (Arc::clone(&base), None),
            Some(_) => match self.train(base.as_ref(), progress)? {
                Finished::Trained { model, seconds } => {
                    (load(&model.to_string_lossy(), &compute, progress)?, Some(seconds))
                }
                Finished::Interrupted(checkpoint) => {
                    progress.say(&format!("interrupted at step {}: {}", checkpoint.step, checkpoint.path.display()));
                    progress.say("hint: the same command goes on from there");
                    return Ok(ControlFlow::Break(()));
                }
            },
        };

        let vocabulary = Vocabulary::read(&config.labels).map_err(Error::from)?;
        let manifest = Manifest::read(&config.manifest).and_then(|manifest| manifest.of_split(Split::Test.name()));
        let manifest = manifest.map_err(Error::from)?;
        let store = Store::from_env().map_err(Error::from)?;
        let features = FeatureCache::new(base.as_ref(), config.frames, &store.features()).map_err(Error::from)?;
        let features = features.keeping_blocks(config.temporal.map_or(0, |temporal| temporal.blocks));
        let bar = progress.bar(0, "videos");
        bar.set_message("testing");
        let evaluation = evaluate_on(model.as_ref(), &features, &manifest, &vocabulary, &mut |looking| {
            training::show_looking(&bar, looking)
        });
        bar.finish_and_clear();
        let result = RunResult::new(recipe.clone(), seconds, &evaluation.map_err(Error::from)?);
        output::write_to(Some(&self.result()), |out| Ok(writeln!(out, "{}", serde_json::to_string_pretty(&result)?)?))?;
        // The model is trained; there is nothing left to go on with.
        let checkpoints = directory.join("checkpoints");
        if checkpoints.exists() {
            fs::remove_dir_all(&checkpoints).with_context(|| io(&checkpoints))?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn train(&self, base: &dyn Model, progress: &Progress) -> anyhow::Result<Finished> {
        let recipe = serde_json::to_string(&self.recipe)?;
        let mut task = training::finetuning(self.config.clone(), base, progress)?;
        let mut go_on = || training::take_steps(&mut task, &self.config.plan, &recipe, &self.directory, true, progress);
        let run = match go_on() {
            Err(TrainingError::OtherRun { .. }) => {
                self.begin_anew(progress)?;
                go_on()
            }
            run => run,
        };
        Ok(run.map_err(Error::from)?.finished)
    }

    fn begin_anew(&self, progress: &Progress) -> anyhow::Result<()> {
        let directory = self.directory.display().to_string();
        progress.say(&format!("{directory}: was made with another configuration, model or stage; made anew"));
        fs::remove_dir_all(&self.directory).context(directory)
    }
}

/// The tables, section by section, and what should come out.
fn shown(report: &Report, args: &args::BenchMethod, seeds: &[u32]) -> String {
    let result = report.rows.iter().find_map(|row| row.results.first());
    let videos = result.map_or("no videos tested yet".into(), |result| format!("{} test videos", result.videos));
    let seeds = seeds.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let mut parts = vec![format!(
        "{} on Stage, a controlled synthetic benchmark, {videos}\nmean AP and ECE in points, mean ± standard deviation over seeds {seeds}",
        args.model
    )];
    parts.extend(report.sections().iter().map(|section| format!("{section}\n{}", section_table(report, section))));
    if !report.claims.is_empty() {
        parts.push(format!("what should come out\n{}", claims_table(&report.claims)));
    }
    parts.join("\n\n")
}

fn section_table(report: &Report, section: &str) -> Table {
    let mut table = Table::new();
    let columns = Column::ALL.map(|column| column.to_string().replace(' ', "\n"));
    table.load_style(TableStyle::new()).set_header([String::new()].into_iter().chain(columns));
    for row in report.rows.iter().filter(|row| row.sections.iter().any(|own| own == section)) {
        let cells = Column::ALL.map(|column| row.spread(column).map_or(String::new(), points));
        table.add_row([title(row)].into_iter().chain(cells));
    }
    let chance = |column| report.chance.iter().find(|chance| chance.column == column);
    let chance =
        Column::ALL.map(|column| chance(column).map_or(String::new(), |chance| format!("{:.1}", chance.points)));
    table.add_row(["chance".to_owned()].into_iter().chain(chance));
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

/// The name, and how many seeds are there if not all are.
fn title(row: &ReportedRow) -> String {
    match row.results.len() {
        there if there < row.runs => format!("{} ({there} of {} seeds)", row.name, row.runs),
        _ => row.name.clone(),
    }
}

fn points(spread: &Spread) -> String {
    match spread.deviation {
        Some(deviation) => format!("{:.1} ± {deviation:.1}", spread.mean),
        None => format!("{:.1}", spread.mean),
    }
}

fn claims_table(claims: &[Judgement]) -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_header(["", "claim", "found"]);
    for Judgement { claim, holds, open, comparisons } in claims {
        let verdict = match holds {
            Some(true) => "holds",
            Some(false) => "fails",
            None => "open",
        };
        let comparisons = comparisons.iter().map(|found| {
            let spread = found.spread.map_or(String::new(), |spread| format!(", spread {spread:.1}"));
            let (value, other) = (found.value, found.other);
            format!("{value:.1} against {other:.1} of {}: {:+.1}{spread}", found.than, value - other)
        });
        let found: Vec<String> = open.iter().cloned().chain(comparisons).collect();
        table.add_row([
            verdict.to_owned(),
            format!("{}\n{} of {}", claim.what, claim.column, claim.row),
            found.join("\n"),
        ]);
    }
    table
}
