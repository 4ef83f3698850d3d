//! Finetuning.
