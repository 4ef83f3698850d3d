//! Time per stage: sums the durations of the library's tracing spans, by name.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tracing::{Subscriber, span};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

/// Busy time of every span name since the last [`StageTimes::take`]; stages of different threads overlap.
#[derive(Clone, Default)]
pub struct StageTimes(Arc<Mutex<BTreeMap<&'static str, Duration>>>);

impl StageTimes {
    /// The sums so far; counting starts anew.
    pub fn take(&self) -> BTreeMap<&'static str, Duration> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Entered(Instant);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for StageTimes {
    fn on_enter(&self, id: &span::Id, context: Context<S>) {
        if let Some(span) = context.span(id) {
            span.extensions_mut().replace(Entered(Instant::now()));
        }
    }

    fn on_exit(&self, id: &span::Id, context: Context<S>) {
        let Some(span) = context.span(id) else { return };
        let entered = span.extensions_mut().remove::<Entered>();
        if let Some(Entered(start)) = entered {
            let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *sums.entry(span.name()).or_default() += start.elapsed();
        }
    }
}
