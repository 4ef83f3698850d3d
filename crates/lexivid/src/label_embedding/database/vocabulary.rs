//! Vocabularies: labels under a name, in the order in which they were added.

use super::{DatabaseError, LabelDatabase, text_key};
use crate::label::{Label, LabelList, tidy_name};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

/// What adding labels did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Added {
    /// Labels that the vocabulary did not have.
    pub added: usize,
    /// Labels that it had with another kind, definition, synonyms or threshold, or written otherwise.
    pub changed: usize,
    /// Labels that it had just so.
    pub unchanged: usize,
}

/// What renaming a label did to its embeddings, which belong to its text.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Renamed {
    /// Models that have an embedding of the new text already.
    pub embedded_with: Vec<String>,
    /// Models that had one of the old text, and will have to embed the new one.
    pub to_embed_with: Vec<String>,
}

/// A label of a vocabulary.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct StoredLabel {
    /// The label.
    #[serde(flatten)]
    pub label: Label,
    /// The models that have its embedding.
    pub embedded_with: Vec<String>,
}

/// A vocabulary as a whole.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct VocabularySummary {
    /// Its name.
    pub name: String,
    /// How many labels it has.
    pub labels: usize,
    /// How many of them have an embedding, by model.
    pub embedded: Vec<Embedded>,
}

/// How many labels of a vocabulary a model has embedded.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Embedded {
    /// What people call the model.
    pub model: String,
    /// Its fingerprint and precision.
    pub key: String,
    /// How many labels.
    pub labels: usize,
}

impl LabelDatabase {
    /// Puts labels into a vocabulary, which is made if there is none of this name: all or none. Of a label that it has, the
    /// new fields replace the old ones.
    pub fn add(&mut self, vocabulary: &str, labels: &LabelList) -> Result<Added, DatabaseError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut added = Added::default();
        {
            let mut before = transaction.prepare("SELECT label FROM label WHERE vocabulary = ?1 AND name = ?2")?;
            let mut upsert = transaction.prepare(
                "INSERT INTO label (vocabulary, name, label, text_key) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (vocabulary, name) DO UPDATE SET label = excluded.label, text_key = excluded.text_key",
            )?;
            for label in labels.iter() {
                let name = tidy_name(&label.name);
                let before = before.query_row(params![vocabulary, name], stored).optional()?;
                *match before {
                    None => &mut added.added,
                    Some(before) if before == *label => &mut added.unchanged,
                    Some(_) => &mut added.changed,
                } += 1;
                upsert.execute(params![vocabulary, name, json(label)?, text_key(label)])?;
            }
        }
        transaction.commit()?;
        Ok(added)
    }

    /// The labels of a vocabulary, in the order in which they were added.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn labels(&self, vocabulary: &str) -> Result<Vec<Label>, DatabaseError> {
        let mut select = self.connection.prepare("SELECT label FROM label WHERE vocabulary = ?1 ORDER BY id")?;
        let labels: Vec<Label> = select.query_map([vocabulary], stored)?.collect::<Result<_, _>>()?;
        match labels.is_empty() {
            true => Err(self.no_such(vocabulary)?),
            false => Ok(labels),
        }
    }

    /// The same, with the models that have their embeddings.
    pub fn list(&self, vocabulary: &str) -> Result<Vec<StoredLabel>, DatabaseError> {
        let with = |label: Label| {
            let embedded_with = models_with(&self.connection, &text_key(&label))?;
            Ok(StoredLabel { label, embedded_with })
        };
        self.labels(vocabulary)?.into_iter().map(with).collect()
    }

    /// All vocabularies, in the order of their names.
    pub fn vocabularies(&self) -> Result<Vec<VocabularySummary>, DatabaseError> {
        let mut names = self.connection.prepare("SELECT vocabulary, count(*) FROM label GROUP BY vocabulary")?;
        let mut models = self.connection.prepare(
            "SELECT model.name, model.key, count(*) FROM label
             JOIN embedding USING (text_key) JOIN model ON model.id = embedding.model
             WHERE vocabulary = ?1 GROUP BY model.id ORDER BY model.id",
        )?;
        let summaries = names.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.map(|row| {
            let (name, labels): (String, usize) = row?;
            let embedded = models
                .query_map([&name], |row| Ok(Embedded { model: row.get(0)?, key: row.get(1)?, labels: row.get(2)? }))?;
            Ok(VocabularySummary { embedded: embedded.collect::<Result<_, rusqlite::Error>>()?, name, labels })
        });
        summaries.collect()
    }

    /// Takes labels out of a vocabulary, all or none. Their embeddings are kept: they belong to texts, which other vocabularies
    /// may share.
    ///
    /// # Errors
    /// When it does not have one of them.
    pub fn remove(&mut self, vocabulary: &str, names: &[String]) -> Result<(), DatabaseError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for name in names {
            let tidy = tidy_name(name);
            if transaction.execute("DELETE FROM label WHERE vocabulary = ?1 AND name = ?2", [vocabulary, &tidy])? == 0 {
                return Err(no_such_label(vocabulary, name));
            }
        }
        Ok(transaction.commit()?)
    }

    /// Takes a whole vocabulary away; gives how many labels it had.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn remove_all(&mut self, vocabulary: &str) -> Result<usize, DatabaseError> {
        match self.connection.execute("DELETE FROM label WHERE vocabulary = ?1", [vocabulary])? {
            0 => Err(self.no_such(vocabulary)?),
            removed => Ok(removed),
        }
    }

    /// Gives a label another name; kind, definition, synonyms, threshold and place stay. An embedding belongs to its text: the
    /// new name has one only where the same text was embedded before.
    ///
    /// # Errors
    /// When the vocabulary does not have the label, or has another of the new name.
    pub fn rename(&mut self, vocabulary: &str, old: &str, new: &str) -> Result<Renamed, DatabaseError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (from, to) = (tidy_name(old), tidy_name(new));
        let label = find(&transaction, vocabulary, &from)?.ok_or_else(|| no_such_label(vocabulary, old))?;
        if from != to && find(&transaction, vocabulary, &to)?.is_some() {
            return Err(DatabaseError::NameTaken { vocabulary: vocabulary.into(), label: new.into() });
        }
        let name = new.split_whitespace().collect::<Vec<_>>().join(" ");
        let renamed = Label { name, ..label.clone() };
        transaction.execute(
            "UPDATE label SET name = ?3, label = ?4, text_key = ?5 WHERE vocabulary = ?1 AND name = ?2",
            params![vocabulary, from, to, json(&renamed)?, text_key(&renamed)],
        )?;
        let embedded_with = models_with(&transaction, &text_key(&renamed))?;
        let mut to_embed_with = models_with(&transaction, &text_key(&label))?;
        to_embed_with.retain(|model| !embedded_with.contains(model));
        transaction.commit()?;
        Ok(Renamed { embedded_with, to_embed_with })
    }

    fn no_such(&self, vocabulary: &str) -> Result<DatabaseError, DatabaseError> {
        let found = self.vocabularies()?.into_iter().map(|v| v.name).collect();
        Ok(DatabaseError::NoSuchVocabulary { name: vocabulary.into(), found })
    }
}

fn no_such_label(vocabulary: &str, label: &str) -> DatabaseError {
    DatabaseError::NoSuchLabel { vocabulary: vocabulary.into(), label: label.into() }
}

fn find(transaction: &Transaction, vocabulary: &str, tidy: &str) -> rusqlite::Result<Option<Label>> {
    let select = "SELECT label FROM label WHERE vocabulary = ?1 AND name = ?2";
    transaction.query_row(select, [vocabulary, tidy], stored).optional()
}

/// Names of the models that have an embedding of a text, each with its precision.
fn models_with(connection: &Connection, text_key: &[u8; 32]) -> rusqlite::Result<Vec<String>> {
    let mut select = connection.prepare_cached(
        "SELECT DISTINCT model.name FROM model JOIN embedding ON embedding.model = model.id
         WHERE text_key = ?1 ORDER BY model.id",
    )?;
    select.query_map([text_key], |row| row.get(0))?.collect()
}

fn json(label: &Label) -> rusqlite::Result<String> {
    serde_json::to_string(label).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))
}

fn stored(row: &Row) -> rusqlite::Result<Label> {
    let label: String = row.get(0)?;
    serde_json::from_str(&label)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, e.into()))
}
