//! The label embedding database: every embedding is computed once for a model and a text, and kept on disk.
//!
//! SQLite, because a crash in the middle of a write must not lose what was stored before, and several runs may use the
//! file at the same time.

use super::LabelEmbedding;
use crate::label::Label;
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};
use std::{path::Path, time::Duration};

/// Label embeddings on disk, keyed by the model's fingerprint and all of the label's text.
#[derive(Debug)]
pub struct LabelDatabase {
    connection: Connection,
}

/// Why the label embedding database could not be used.
#[derive(Debug, thiserror::Error)]
#[error("label embedding database: {0}")]
pub struct DatabaseError(#[from] rusqlite::Error);

impl LabelDatabase {
    /// Opens the database, or makes it.
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(30))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS label_embedding (
                 model       TEXT NOT NULL,
                 label       BLOB NOT NULL,
                 vector      BLOB NOT NULL,
                 scale       REAL NOT NULL,
                 bias        REAL NOT NULL,
                 origin      TEXT NOT NULL,
                 PRIMARY KEY (model, label)
             ) WITHOUT ROWID",
        )?;
        Ok(Self { connection })
    }

    /// What is stored of `labels` for the model with this fingerprint: one entry a label, in order.
    pub fn get(&self, fingerprint: &str, labels: &[Label]) -> Result<Vec<Option<LabelEmbedding>>, DatabaseError> {
        let mut select = self.connection.prepare_cached(
            "SELECT vector, scale, bias, origin FROM label_embedding WHERE model = ?1 AND label = ?2",
        )?;
        labels
            .iter()
            .map(|label| Ok(select.query_row(params![fingerprint, key(label)], from_row).optional()?))
            .collect()
    }

    /// Stores one embedding a label, all or none.
    pub fn put(
        &mut self,
        fingerprint: &str,
        labels: &[Label],
        embeddings: &[LabelEmbedding],
    ) -> Result<(), DatabaseError> {
        assert_eq!(labels.len(), embeddings.len(), "one embedding a label");
        let transaction = self.connection.transaction()?;
        {
            let mut insert =
                transaction.prepare_cached("INSERT OR REPLACE INTO label_embedding VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
            for (label, embedding) in labels.iter().zip(embeddings) {
                let vector: Vec<u8> = embedding.vector.iter().flat_map(|x| x.to_le_bytes()).collect();
                let origin = serde_json::to_string(&embedding.origin)
                    .map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
                let calibration = embedding.calibration;
                insert.execute(params![
                    fingerprint,
                    key(label),
                    vector,
                    calibration.scale,
                    calibration.bias,
                    origin
                ])?;
            }
        }
        Ok(transaction.commit()?)
    }
}

/// SHA-256 over everything of a label that its embedding may depend on (so not its threshold), and over this program's
/// version: prompts may change with it.
fn key(label: &Label) -> [u8; 32] {
    let text = serde_json::json!([env!("CARGO_PKG_VERSION"), label.name, label.kind, label.definition, label.synonyms]);
    Sha256::digest(text.to_string()).into()
}

fn from_row(row: &rusqlite::Row) -> rusqlite::Result<LabelEmbedding> {
    let vector: Vec<u8> = row.get(0)?;
    let origin: String = row.get(3)?;
    Ok(LabelEmbedding {
        vector: vector.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        calibration: super::Calibration { scale: row.get(1)?, bias: row.get(2)? },
        origin: serde_json::from_str(&origin)
            .map_err(|e| rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Text, e.into()))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        label::Kind,
        label_embedding::{Calibration, Origin},
    };

    fn embedding(x: f32) -> LabelEmbedding {
        LabelEmbedding {
            vector: vec![x, -x, f32::MIN_POSITIVE],
            calibration: Calibration { scale: 100.0, bias: -25.5 },
            origin: Origin::Inferred { nearest: "violin".into(), similarity: 0.5 },
        }
    }

    #[test]
    fn gives_back_what_was_put_in_after_reopening() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("labels.sqlite");
        let labels = [Label::new("dog"), Label::new("cello")];
        LabelDatabase::open(&path).unwrap().put("model a", &labels, &[embedding(1.0), embedding(2.0)]).unwrap();

        let database = LabelDatabase::open(&path).unwrap();
        let asked = [Label::new("cello"), Label::new("cat"), Label { threshold: Some(0.9), ..Label::new("dog") }];
        let found = database.get("model a", &asked).unwrap();
        assert_eq!(found, [Some(embedding(2.0)), None, Some(embedding(1.0))]);
        assert_eq!(database.get("model b", &labels).unwrap(), [None, None]);
    }

    #[test]
    fn every_text_of_a_label_counts() {
        let directory = tempfile::tempdir().unwrap();
        let mut database = LabelDatabase::open(&directory.path().join("labels.sqlite")).unwrap();
        let plain = Label::new("crane");
        database.put("m", std::slice::from_ref(&plain), &[embedding(1.0)]).unwrap();
        let bird = Label { definition: Some("a wading bird".into()), ..plain.clone() };
        let action = Label { kind: Some(Kind::Action), ..plain.clone() };
        let synonym = Label { synonyms: vec!["derrick".into()], ..plain };
        assert_eq!(database.get("m", &[bird, action, synonym]).unwrap(), [None, None, None]);
    }

    #[test]
    fn a_file_that_is_no_database_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "this is not a database, it is a text that is long enough to be read as a header")
            .unwrap();
        let error = LabelDatabase::open(file.path()).unwrap_err();
        assert!(error.to_string().starts_with("label embedding database: "), "{error}");
    }
}
