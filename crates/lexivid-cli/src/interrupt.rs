//! Ctrl-C: the first one asks the running job to stop at its next step, so that nothing half-written is left; the
//! second one ends the program at once.

use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicBool, Ordering},
};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Starts to listen for Ctrl-C, SIGTERM and SIGHUP.
pub fn install() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        if ASKED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
}

/// `Break` once the user asked to stop.
pub fn control_flow() -> ControlFlow<()> {
    if ASKED.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}
