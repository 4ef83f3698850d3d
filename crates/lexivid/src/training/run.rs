use super::{
    AdamW, AveragingConfig, Checkpoint, OptimizerConfig, TrainingError, average::Average, rate_at, record::Record,
};
use candle_core::{Tensor, Var, backprop::GradStore};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Something to learn.
pub trait Task {
    /// What is trained, by name.
    fn variables(&self) -> &BTreeMap<String, Var>;

    /// The gradients of one step, at the weights as they are. Depends on nothing but them and `step`.
    fn gradients(&mut self, step: u64) -> Result<Gradients, TrainingError>;

    /// How good the weights are on the validation split, by names to show; higher or lower is better as the name says.
    fn validate(&mut self) -> Result<Vec<(String, f64)>, TrainingError>;

    /// Writes the model as it is, loadable, into the directory `dir`.
    fn save(&self, dir: &Path, step: u64) -> Result<(), TrainingError>;
}

/// Gradients of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Gradients {
    /// What they make smaller.
    pub loss: f64,
    /// Row-major, in the order of the variables' names.
    pub of: Vec<Vec<f32>>,
}

impl Gradients {
    /// Takes those of `variables` out of what a way back gave.
    ///
    /// # Errors
    /// When one has none: it would stay as it is without a word.
    pub fn collect(loss: f64, variables: &BTreeMap<String, Var>, store: &GradStore) -> Result<Self, TrainingError> {
        let of = variables.iter().map(|(name, variable)| match store.get(variable) {
            Some(gradient) => Ok(gradient.flatten_all()?.to_vec1()?),
            None => Err(TrainingError::NoGradient { weight: name.clone() }),
        });
        Ok(Self { loss, of: of.collect::<Result<_, _>>()? })
    }

    /// With those of another part of the same step.
    pub fn plus(mut self, other: &Self) -> Self {
        self.loss += other.loss;
        for (sum, x) in self.of.iter_mut().flatten().zip(other.of.iter().flatten()) {
            *sum += x;
        }
        self
    }

    /// The first that is not finite, loss included.
    fn not_finite(&self, variables: &BTreeMap<String, Var>) -> Option<String> {
        if !self.loss.is_finite() {
            return Some("the loss".into());
        }
        let bad = self.of.iter().position(|gradient| !gradient.iter().all(|x| x.is_finite()))?;
        variables.keys().nth(bad).map(|name| format!("the gradient of {name}"))
    }
}

/// How long and how fast, and what is kept on the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Steps in all.
    pub steps: u64,
    /// Steps in which the rate rises.
    #[serde(default)]
    pub warm_up: u64,
    /// Steps between two looks at the validation split; 0: only at the end.
    #[serde(default)]
    pub validate_every: u64,
    /// Minutes between two checkpoints.
    #[serde(default = "five")]
    pub checkpoint_minutes: f64,
    /// Checkpoints kept.
    #[serde(default = "two")]
    pub keep: usize,
    /// Whether the model is the average of several steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub averaging: Option<AveragingConfig>,
    /// How weights follow their gradients.
    #[serde(default)]
    pub optimizer: OptimizerConfig,
}

fn five() -> f64 {
    5.0
}

fn two() -> usize {
    2
}

/// How a run is going; told after every step.
#[derive(Debug)]
pub struct Status<'a> {
    /// Steps taken.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// Of the last step.
    pub loss: f64,
    /// Of the last step.
    pub rate: f64,
    /// Resident memory of the process, in bytes, where the system tells.
    pub memory: Option<u64>,
    /// What the validation said, if there was one.
    pub validation: &'a [(String, f64)],
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Finished {
    /// All steps are taken.
    Trained {
        /// Where the model is.
        model: PathBuf,
        /// How long it took, pauses not counted.
        seconds: f64,
    },
    /// The observer asked to stop; `resume` goes on here.
    Interrupted(Checkpoint),
}

/// Runs `task` by `plan` in the directory `out`: `metrics.csv`, event files, `checkpoints/` and at the end `model/`.
/// `configuration` is all that decides what the run comes to; a run is only resumed with the same. `observer` is told of every
/// step; `Break` writes a checkpoint and stops.
///
/// # Errors
/// When there is a run in `out` and `resume` does not say to go on with it, when loss or gradients are not finite, and when the task
/// fails.
pub fn run(
    task: &mut dyn Task,
    plan: &Plan,
    configuration: &str,
    out: &Path,
    resume: bool,
    observer: &mut dyn FnMut(&Status) -> ControlFlow<()>,
) -> Result<Finished, TrainingError> {
    fs::create_dir_all(out).map_err(TrainingError::io(out))?;
    let named = |part: &str| task.variables().keys().any(|name| name.starts_with(part));
    if let Some(part) = plan.optimizer.rates.keys().find(|part| !named(part)) {
        let names = task.variables().keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let reason = format!("expected the beginning of a weight's name, got {part:?}; weights are {names}");
        return Err(TrainingError::Config { path: "[plan] optimizer.rates".into(), reason });
    }
    let mut optimizer = AdamW::new(task.variables(), plan.optimizer.clone());
    let start: BTreeMap<String, Tensor> = (task.variables().iter())
        .map(|(name, variable)| Ok((name.clone(), variable.as_tensor().copy()?.detach())))
        .collect::<candle_core::Result<_>>()?;
    let mut average = Average::default();
    let mut last = Checkpoint::all(out)?.pop();
    let mut before = 0.0;
    match &last {
        Some(checkpoint) if resume => before = checkpoint.restore(&mut optimizer, &mut average, configuration)?,
        Some(checkpoint) => return Err(TrainingError::RunExists { out: out.into(), step: checkpoint.step }),
        None => {}
    }
    let mut record = Record::open(out, optimizer.steps)?;
    let begun = Instant::now();
    let seconds = || before + begun.elapsed().as_secs_f64();
    let mut written = Instant::now();
    while optimizer.steps < plan.steps {
        let step = optimizer.steps;
        let mut gradients = task.gradients(step)?;
        if let Some(what) = gradients.not_finite(task.variables()) {
            return Err(TrainingError::NotFinite { step, what, checkpoint: last.map(|last| last.path) });
        }
        let rate = rate_at(step, plan.steps, plan.warm_up, plan.optimizer.rate);
        let length = optimizer.step(&mut gradients, rate)?;
        let step = optimizer.steps;
        let number = |name: &str, value| (name.to_owned(), value);
        let loss = gradients.loss;
        record.write(step, seconds(), &[number("loss", loss), number("rate", rate), number("gradient", length)])?;

        if let Some(AveragingConfig { last, every, .. }) = plan.averaging
            && step + last > plan.steps
            && (plan.steps - step).is_multiple_of(every.max(1))
        {
            average.add(task.variables())?;
        }
        let due = plan.validate_every > 0 && step.is_multiple_of(plan.validate_every);
        let validation = if due || step == plan.steps { task.validate()? } else { Vec::new() };
        record.write(step, seconds(), &validation)?;

        let status = Status { step, steps: plan.steps, loss, rate, memory: resident(), validation: &validation };
        let stop = observer(&status).is_break();
        if stop || step == plan.steps || written.elapsed() >= Duration::from_secs_f64(plan.checkpoint_minutes * 60.0) {
            let save = |dir: &Path| task.save(dir, step);
            let checkpoint = Checkpoint::write(out, &optimizer, &average, configuration, seconds(), plan.keep, save)?;
            written = Instant::now();
            if stop && step < plan.steps {
                return Ok(Finished::Interrupted(checkpoint));
            }
            last = Some(checkpoint);
        }
    }
    if let Some(AveragingConfig { start: share, .. }) = plan.averaging {
        average.apply(task.variables(), &start, share)?;
        let validation = task.validate()?;
        let averaged: Vec<_> =
            validation.into_iter().map(|(name, value)| (format!("averaged {name}"), value)).collect();
        record.write(plan.steps, seconds(), &averaged)?;
    }
    let model = out.join("model");
    fs::create_dir_all(&model).map_err(TrainingError::io(&model))?;
    task.save(&model, optimizer.steps)?;
    Ok(Finished::Trained { model, seconds: seconds() })
}

/// Resident memory of this process in bytes; `None` where there is no procfs.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}
