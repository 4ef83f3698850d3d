//! The label embedding database: vocabularies by name, and embeddings, each computed once for a model and a text.
//!
//! SQLite has the record: which labels a vocabulary has, and which row of a model's matrix a label's embedding is. The vectors
//! stand in one matrix file a model ([`matrix`]). Rows are only ever added, and reach the disk before the record that names
//! them: whatever is recorded can be read, and what a crash leaves beyond the last recorded row is written over.

mod error;
mod matrix;
mod vocabulary;

pub use error::DatabaseError;
pub use vocabulary::{Added, Embedded, Renamed, StoredLabel, VocabularySummary};

use super::{Calibration, LabelEmbedding};
use crate::label::Label;
use matrix::MatrixFile;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use sha2::{Digest, Sha256};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// What the file's tables look like, counted up with every change. Version 0 kept vectors in SQLite.
const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "
    DROP TABLE IF EXISTS label_embedding;
    CREATE TABLE model (
        id        INTEGER PRIMARY KEY,
        key       TEXT NOT NULL UNIQUE,
        name      TEXT NOT NULL,
        dimension INTEGER NOT NULL
    );
    CREATE TABLE embedding (
        model     INTEGER NOT NULL REFERENCES model,
        text_key  BLOB NOT NULL,
        row       INTEGER NOT NULL,
        checksum  INTEGER NOT NULL,
        scale     REAL NOT NULL,
        bias      REAL NOT NULL,
        origin    TEXT NOT NULL,
        PRIMARY KEY (model, text_key),
        UNIQUE (model, row)
    ) WITHOUT ROWID;
    CREATE TABLE label (
        id         INTEGER PRIMARY KEY,
        vocabulary TEXT NOT NULL,
        name       TEXT NOT NULL,
        label      TEXT NOT NULL,
        text_key   BLOB NOT NULL,
        UNIQUE (vocabulary, name)
    );
";

/// Vocabularies and label embeddings on disk. Several programs may use them at the same time.
#[derive(Debug)]
pub struct LabelDatabase {
    connection: Connection,
    /// Where the models' matrices are.
    matrices: PathBuf,
}

/// What an embedding was computed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedWith {
    /// Fingerprint and precision: another key, another embedding.
    pub key: String,
    /// What people call the model.
    pub name: String,
}

impl LabelDatabase {
    /// Opens the database, or makes it. Its matrices lie beside it, in a directory of the same name ending in `.matrices`.
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(30))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // Commits reach the disk: what was reported as stored outlives a power cut, too.
        connection.pragma_update(None, "synchronous", "FULL")?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        match transaction.pragma_query_value(None, "user_version", |row| row.get(0))? {
            SCHEMA_VERSION => {}
            0 => {
                transaction.execute_batch(SCHEMA)?;
                transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            }
            found => return Err(DatabaseError::Newer { path: path.into(), found, known: SCHEMA_VERSION }),
        }
        transaction.commit()?;
        Ok(Self { connection, matrices: path.with_extension("matrices") })
    }

    /// What is stored of `labels` for a model: one entry a label, in order. A row that is not on disk as it was recorded is
    /// not there.
    pub fn get(&self, model: &EmbeddedWith, labels: &[Label]) -> Result<Vec<Option<LabelEmbedding>>, DatabaseError> {
        let mut found = vec![None; labels.len()];
        let known = self.connection.query_row("SELECT id, dimension FROM model WHERE key = ?1", [&model.key], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, usize>(1)?))
        });
        let Some((id, dimension)) = known.optional()? else { return Ok(found) };
        let mut select = self.connection.prepare_cached(
            "SELECT row, checksum, scale, bias, origin FROM embedding WHERE model = ?1 AND text_key = ?2",
        )?;
        let mut recorded = Vec::new();
        for (index, label) in labels.iter().enumerate() {
            let record = select.query_row(params![id, text_key(label)], Record::read).optional()?;
            recorded.extend(record.map(|record| (index, record)));
        }
        recorded.sort_unstable_by_key(|(_, record)| record.row);
        let rows: Vec<u64> = recorded.iter().map(|(_, record)| record.row).collect();
        MatrixFile::of(&self.matrices, &model.key, dimension).read(&rows, |at, bytes| {
            let (index, record) = &recorded[at];
            if crc32fast::hash(bytes) == record.checksum {
                found[*index] = Some(LabelEmbedding {
                    vector: bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
                    calibration: record.calibration,
                    origin: record.origin.clone(),
                });
            }
        })?;
        Ok(found)
    }

    /// Stores one embedding a label, all or none; they are on disk when this returns.
    pub fn put(
        &mut self,
        model: &EmbeddedWith,
        labels: &[Label],
        embeddings: &[LabelEmbedding],
    ) -> Result<(), DatabaseError> {
        assert_eq!(labels.len(), embeddings.len(), "one embedding a label");
        let Some(dimension) = embeddings.first().map(|e| e.vector.len()) else { return Ok(()) };
        // One writer at a time, from here to the commit: nobody else takes the same rows.
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(
            "INSERT INTO model (key, name, dimension) VALUES (?1, ?2, ?3)
             ON CONFLICT (key) DO UPDATE SET name = excluded.name",
            params![model.key, model.name, dimension],
        )?;
        let (id, expected): (i64, usize) =
            transaction.query_row("SELECT id, dimension FROM model WHERE key = ?1", [&model.key], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        if let Some(other) = embeddings.iter().find(|e| e.vector.len() != expected) {
            return Err(DatabaseError::Width { expected, got: other.vector.len() });
        }
        let first: u64 =
            transaction.query_row("SELECT coalesce(max(row) + 1, 0) FROM embedding WHERE model = ?1", [id], |row| {
                row.get(0)
            })?;
        let bytes: Vec<u8> = embeddings.iter().flat_map(|e| &e.vector).flat_map(|x| x.to_le_bytes()).collect();
        MatrixFile::of(&self.matrices, &model.key, dimension).write(first, &bytes)?;
        {
            let mut insert =
                transaction.prepare_cached("INSERT OR REPLACE INTO embedding VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
            let rows = bytes.chunks_exact(4 * dimension).zip(first..);
            for ((label, embedding), (bytes, row)) in labels.iter().zip(embeddings).zip(rows) {
                let origin = serde_json::to_string(&embedding.origin)
                    .map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
                let Calibration { scale, bias } = embedding.calibration;
                insert.execute(params![id, text_key(label), row, crc32fast::hash(bytes), scale, bias, origin])?;
            }
        }
        Ok(transaction.commit()?)
    }
}

/// What SQLite says of an embedding.
struct Record {
    row: u64,
    checksum: u32,
    calibration: Calibration,
    origin: super::Origin,
}

impl Record {
    fn read(row: &rusqlite::Row) -> rusqlite::Result<Self> {
        let origin: String = row.get(4)?;
        Ok(Self {
            row: row.get(0)?,
            checksum: row.get(1)?,
            calibration: Calibration { scale: row.get(2)?, bias: row.get(3)? },
            origin: serde_json::from_str(&origin)
                .map_err(|e| rusqlite::Error::FromSqlConversionFailure(4, rusqlite::types::Type::Text, e.into()))?,
        })
    }
}

/// SHA-256 over everything of a label that its embedding may depend on (so not its threshold), and over this program's
/// version: prompts may change with it.
fn text_key(label: &Label) -> [u8; 32] {
    let text = serde_json::json!([env!("CARGO_PKG_VERSION"), label.name, label.kind, label.definition, label.synonyms]);
    Sha256::digest(text.to_string()).into()
}

#[cfg(test)]
mod tests;
