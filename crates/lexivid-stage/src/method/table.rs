use super::Claim;
use crate::StageError;
use lexivid::training::finetune::FinetuneConfig;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The table that comes with lexivid.
const STANDARD: &str = include_str!("../../method.toml");

/// Fields of the configuration that are filled in: a table leaves them out.
const FILLED_IN: [&str; 4] = ["seed", "model", "manifest", "labels"];

/// What is compared with what.
#[derive(Debug, Clone, PartialEq)]
pub struct MethodTable {
    /// What all rows have in common.
    base: Table,
    /// In the order in which they are run and told.
    pub rows: Vec<Row>,
    /// What should come out.
    pub claims: Vec<Claim>,
    /// Where the file lies: what its paths count from.
    directory: PathBuf,
}

/// One row: the base with something changed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Row {
    /// What it is called, here, by claims and on disk.
    pub name: String,
    /// The parts of the table that it stands in, one or more.
    pub sections: Vec<String>,
    /// It is the model beneath as it is: nothing is trained.
    #[serde(default)]
    pub untrained: bool,
    /// Laid over the base.
    #[serde(flatten)]
    changes: Table,
}

/// A table's file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    base: Table,
    #[serde(rename = "row")]
    rows: Vec<Row>,
    #[serde(default, rename = "claim")]
    claims: Vec<Claim>,
}

impl MethodTable {
    /// The one that comes with lexivid.
    pub fn standard() -> Self {
        Self::parse(STANDARD, Path::new("method.toml")).expect("the table that comes with lexivid is tested")
    }

    /// Reads a table's file.
    ///
    /// # Errors
    /// When it cannot be read, a row is no configuration, or a claim is about rows that there are not.
    pub fn read(path: &Path) -> Result<Self, StageError> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| StageError::Io { path: path.into(), source })?;
        Self::parse(&text, path)
    }

    pub(super) fn parse(text: &str, path: &Path) -> Result<Self, StageError> {
        let bad = |reason: String| StageError::Table { path: path.into(), reason };
        let file: File = toml::from_str(text).map_err(|e| bad(one_line(&e)))?;
        let directory = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let table = Self { base: file.base, rows: file.rows, claims: file.claims, directory };
        for (at, row) in table.rows.iter().enumerate() {
            let name = &row.name;
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
                return Err(bad(format!("expected a row's name of letters, digits and hyphens, got {name:?}")));
            }
            if table.rows[..at].iter().any(|other| other.name == *name) {
                return Err(bad(format!("expected one row {name:?}, found two")));
            }
            if row.sections.is_empty() {
                return Err(bad(format!("row {name:?}: expected a section, found none")));
            }
            if let Some(field) = FILLED_IN.iter().find(|field| table.settings(row).contains_key(**field)) {
                return Err(bad(format!("row {name:?}: expected no {field:?}, which is filled in")));
            }
            let config =
                table.config(row, 0, "", Path::new("")).map_err(|reason| bad(format!("row {name:?}: {reason}")))?;
            config.check().map_err(|e| bad(format!("row {name:?}: {e}")))?;
        }
        for claim in &table.claims {
            claim.check().map_err(|reason| bad(format!("claim {:?}: {reason}", claim.what)))?;
            if let Some(missing) = claim.rows().find(|name| table.rows.iter().all(|row| row.name != **name)) {
                return Err(bad(format!("claim {:?}: there is no row {missing:?}", claim.what)));
            }
        }
        Ok(table)
    }

    /// The configuration of a row as the table has it: without seed, model and paths of Stage.
    pub fn settings(&self, row: &Row) -> Table {
        merged(&self.base, &row.changes)
    }

    /// The configuration by which a row is trained with a seed, on top of `model`, on the stage in `stage`, which is an absolute path.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn config(&self, row: &Row, seed: u32, model: &str, stage: &Path) -> Result<FinetuneConfig, String> {
        let mut settings = self.settings(row);
        let file = |name: &str| Value::from(stage.join(name).to_string_lossy().into_owned());
        settings.insert("seed".into(), Value::Integer(seed.into()));
        settings.insert("model".into(), Value::from(model));
        settings.insert("manifest".into(), file("manifest.jsonl"));
        settings.insert("labels".into(), file("vocabulary.json"));
        if let Some(Value::Table(grounding)) = settings.get_mut("grounding") {
            grounding.insert("words".into(), file("words.json"));
        }
        if let Some(Value::Table(synthetic)) = settings.get_mut("synthetic") {
            synthetic.entry("review").or_insert(file("synthetic.csv"));
        }
        let config: FinetuneConfig = settings.try_into().map_err(|e| one_line(&e))?;
        // Paths of the table's own: a language model.
        Ok(FinetuneConfig { model: model.into(), ..config.beside(&self.directory) })
    }
}

/// `changes` laid over `base`: tables are merged, anything else takes the place of what was there. So does a table of another `kind`, which
/// has other fields.
fn merged(base: &Table, changes: &Table) -> Table {
    let mut merged_table = base.clone();
    for (field, change) in changes {
        let value = match (base.get(field), change) {
            (Some(Value::Table(base)), Value::Table(change))
                if !change.contains_key("kind") || change.get("kind") == base.get("kind") =>
            {
                Value::Table(merged(base, change))
            }
            _ => change.clone(),
        };
        merged_table.insert(field.clone(), value);
    }
    merged_table
}

/// TOML's errors are told over several lines.
fn one_line(error: &toml::de::Error) -> String {
    error.to_string().trim_end().replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn parse(text: &str) -> Result<MethodTable, String> {
        MethodTable::parse(text, Path::new("tables/mine.toml")).map_err(|e| e.to_string())
    }

    const BASE: &str = r#"
        [base]
        batch = 8
        loss = { kind = "asymmetric", gamma_negative = 7 }
        grounding = { batch = 4, weight = 1.0 }
        label_encoder = { reader = { kind = "prompting", blocks = 2, width = 16, heads = 2 } }
        plan = { steps = 9, optimizer = { rate = 0.01 } }
    "#;

    #[test]
    fn rows_are_laid_over_the_base() {
        let rows = r#"
            [[row]]
            name = "changed"
            sections = ["one", "two"]
            batch = 4
            loss = { gamma_positive = 1 }
            label_encoder = { attributes = 3, reader = { blocks = 1 } }
            plan = { optimizer = { clip = 2.0 } }
            [[row]]
            name = "of-another-kind"
            sections = ["one"]
            loss = { kind = "bce" }
            label_encoder = { reader = { kind = "pooled", width = 4 } }
            [[row]]
            name = "of-the-same-kind"
            sections = ["one"]
            synthetic = { weight = 0.5 }
            label_encoder = { reader = { kind = "prompting", heads = 4 } }
        "#;
        let table = parse(&format!("{BASE}{rows}")).unwrap();
        let settings: Vec<Table> = table.rows.iter().map(|row| table.settings(row)).collect();
        let expected: [Table; 3] = [
            r#"
            batch = 4
            loss = { kind = "asymmetric", gamma_negative = 7, gamma_positive = 1 }
            grounding = { batch = 4, weight = 1.0 }
            label_encoder = { attributes = 3, reader = { kind = "prompting", blocks = 1, width = 16, heads = 2 } }
            plan = { steps = 9, optimizer = { rate = 0.01, clip = 2.0 } }
            "#,
            r#"
            batch = 8
            loss = { kind = "bce" }
            grounding = { batch = 4, weight = 1.0 }
            label_encoder = { reader = { kind = "pooled", width = 4 } }
            plan = { steps = 9, optimizer = { rate = 0.01 } }
            "#,
            r#"
            batch = 8
            loss = { kind = "asymmetric", gamma_negative = 7 }
            grounding = { batch = 4, weight = 1.0 }
            synthetic = { weight = 0.5 }
            label_encoder = { reader = { kind = "prompting", blocks = 2, width = 16, heads = 4 } }
            plan = { steps = 9, optimizer = { rate = 0.01 } }
            "#,
        ]
        .map(|text| toml::from_str(text).unwrap());
        assert_eq!(settings, expected);

        let config = table.config(&table.rows[0], 7, "nano", Path::new("/stage")).unwrap();
        assert_eq!((config.seed, config.model.as_str(), config.batch), (7, "nano", 4));
        assert_eq!(config.manifest, Path::new("/stage/manifest.jsonl"));
        assert_eq!(config.labels, Path::new("/stage/vocabulary.json"));
        assert_eq!(config.grounding.unwrap().words, Path::new("/stage/words.json"));
        let config = table.config(&table.rows[2], 7, "nano", Path::new("/stage")).unwrap();
        assert_eq!(config.synthetic.unwrap().review, Path::new("/stage/synthetic.csv"));
    }

    #[test]
    fn mistakes_are_told_with_their_row() {
        let row = |fields: &str| format!("{BASE}[[row]]\nname = \"a\"\nsections = [\"one\"]\n{fields}\n");
        let claim = "[[claim]]\nwhat = \"w\"\ncolumn = \"ECE\"\nrow = \"a\"\nthan = [\"b\"]\nat_least = 1.0\n";
        for (text, expected) in [
            (row("modle = 3"), "row \"a\": unknown field `modle`"),
            (row("seed = 3"), "row \"a\": expected no \"seed\", which is filled in"),
            (row("label_encoder = { attributes = 0 }"), "row \"a\": [label_encoder]: expected at least 1 attribute"),
            (row("[[row]]\nname = \"a\"\nsections = [\"one\"]"), "expected one row \"a\", found two"),
            (row("[[row]]\nname = \"a/b\"\nsections = [\"one\"]"), "hyphens, got \"a/b\""),
            (row("[[row]]\nname = \"b\"\nsections = []"), "row \"b\": expected a section"),
            (row(claim), "claim \"w\": there is no row \"b\""),
            (row(&claim.replace("ECE", "U3 things")), "unknown column \"U3 things\""),
            (row(&claim.replace("at_least = 1.0", "")), "claim \"w\": expected at_least or at_most_times"),
            ("base = 3".into(), "invalid type"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.starts_with("tables/mine.toml: ") && error.contains(expected), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn the_table_that_comes_with_lexivid_is_one() {
        let table = MethodTable::standard();
        assert!(table.rows[0].untrained, "the model as it is comes first");
        assert!(!table.claims.is_empty());
    }
}
