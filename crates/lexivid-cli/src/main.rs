//! lexivid CLI
fn main() {}
