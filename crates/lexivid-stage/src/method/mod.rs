//! What each part of the method is worth on Stage: one finetuning a row of a table, several seeds each, side by side.
//!
//! ```text
//! table (TOML) ─▶ a configuration a row and seed ─▶ lexivid::training::finetune ─▶ result
//!      └▶ claims ────────────────────────────────────────────────────┴▶ report
//! ```

mod claim;
mod column;
mod report;
mod result;
mod spread;
mod table;

pub use claim::{Claim, Comparison, Judgement};
pub use column::Column;
pub use report::{Chance, Measured, Report, ReportedRow};
pub use result::{Recipe, RunResult, StageIdentity};
pub use spread::Spread;
pub use table::{MethodTable, Row};
