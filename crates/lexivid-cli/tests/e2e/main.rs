//! The whole program, as a user runs it: on a real video with the starter, and on generated media with a tiny CLIP of
//! random weights where only the behaviour matters.

mod bad_input;
mod calibrate;
mod classify;
mod embed;
mod eval;
mod expand;
mod interrupt;
mod labels;
mod method;
mod models;
mod repeats;
mod stage;
mod trace;
mod training;
mod util;
mod wrong_use;
