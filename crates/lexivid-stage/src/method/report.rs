use super::{Column, Judgement, MethodTable, Row, RunResult, Spread};
use serde::Serialize;

/// Results of a table, side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The table's.
    pub rows: Vec<ReportedRow>,
    /// What a ranking that means nothing comes to, as soon as there is a result.
    pub chance: Vec<Chance>,
    /// What should come out, and whether it did.
    pub claims: Vec<Judgement>,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReportedRow {
    /// Its name.
    pub name: String,
    /// The parts of the table that it stands in.
    pub sections: Vec<String>,
    /// It is the model beneath as it is.
    pub untrained: bool,
    /// How many results there should be.
    pub runs: usize,
    /// What was measured in those that are there.
    pub columns: Vec<Measured>,
    /// Those that are there.
    pub results: Vec<RunResult>,
}

/// What a row came to in a column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// The column.
    pub column: Column,
    /// In points of a hundred.
    #[serde(flatten)]
    pub points: Spread,
}

/// What chance comes to in a column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chance {
    /// The column.
    pub column: Column,
    /// In points of a hundred.
    pub points: f64,
}

impl Report {
    /// `results` has one entry a row of the table: what there is of it. `seeds`: how many of a trained row there should be.
    pub fn new(table: &MethodTable, seeds: usize, results: Vec<Vec<RunResult>>) -> Self {
        let rows: Vec<_> =
            (table.rows.iter().zip(results)).map(|(row, results)| reported(row, seeds, results)).collect();
        // The same videos, the same chance.
        let any = rows.iter().find_map(|row| row.results.first());
        let chance = |column: Column| Some(Chance { column, points: column.of(any?).1? });
        let claims = table.claims.iter().map(|claim| claim.judged(&rows)).collect();
        Self { chance: Column::ALL.into_iter().filter_map(chance).collect(), claims, rows }
    }

    /// The sections' names, in the order in which rows first stand in them.
    pub fn sections(&self) -> Vec<&str> {
        let mut sections: Vec<&str> = Vec::new();
        for section in self.rows.iter().flat_map(|row| &row.sections) {
            if !sections.contains(&section.as_str()) {
                sections.push(section);
            }
        }
        sections
    }
}

fn reported(row: &Row, seeds: usize, results: Vec<RunResult>) -> ReportedRow {
    let measured = |column: Column| {
        let values = results.iter().filter_map(|result| column.of(result).0).collect();
        Some(Measured { column, points: Spread::of(values)? })
    };
    ReportedRow {
        name: row.name.clone(),
        sections: row.sections.clone(),
        untrained: row.untrained,
        runs: if row.untrained { 1 } else { seeds },
        columns: Column::ALL.into_iter().filter_map(measured).collect(),
        results,
    }
}

impl ReportedRow {
    /// What it came to in a column, in points of a hundred.
    pub fn spread(&self, column: Column) -> Option<&Spread> {
        self.columns.iter().find(|measured| measured.column == column).map(|measured| &measured.points)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Size,
        bench::{self, Reversed},
        method::{Recipe, StageIdentity},
    };
    use lexivid::label::Kind;
    use std::path::Path;

    const TABLE: &str = r#"
        [base]
        batch = 8
        loss = { kind = "bce" }
        plan = { steps = 9 }
        [[row]]
        name = "plain"
        sections = ["all", "parts"]
        untrained = true
        [[row]]
        name = "part"
        sections = ["parts"]
        [[row]]
        name = "whole"
        sections = ["all"]
    "#;

    /// U1 is what the test is about; U2 has no label, as on a small stage.
    fn result(u1: f64, ece: f64) -> RunResult {
        let row = |subset: &str, kind, mean_average_precision, chance| bench::Row {
            subset: subset.into(),
            kind,
            labels: 3,
            mean_average_precision,
            chance,
        };
        RunResult {
            recipe: Recipe {
                base: "f".into(),
                stage: StageIdentity { size: Size::Small, version: 1, seed: 1 },
                seed: None,
                settings: serde_json::Value::Null,
            },
            lexivid: "0".into(),
            seconds_trained: None,
            videos: 3,
            rows: vec![row("U1", Kind::Entity, u1, 0.25), row("seen", Kind::Action, 0.5, 0.125)],
            reversed: vec![Reversed { subset: "seen".into(), labels: 2, mean_average_precision: 0.75, chance: 0.5 }],
            micro_average_precision: None,
            calibration_error: Some(ece),
        }
    }

    fn column(name: &str) -> Column {
        Column::ALL.into_iter().find(|column| column.to_string() == name).unwrap()
    }

    fn judged(claim: &str, whole: &[(f64, f64)], part: &[(f64, f64)]) -> Judgement {
        let text = format!("{TABLE}[[claim]]\nwhat = \"w\"\nrow = \"whole\"\n{claim}");
        let table = MethodTable::parse(&text, Path::new("t.toml")).unwrap();
        let results = |of: &[(f64, f64)]| of.iter().map(|&(u1, ece)| result(u1, ece)).collect();
        let report = Report::new(&table, 2, vec![results(&[(0.5, 0.25)]), results(part), results(whole)]);
        report.claims.into_iter().next().unwrap()
    }

    #[test]
    fn rows_chance_and_sections() {
        let table = MethodTable::parse(TABLE, Path::new("t.toml")).unwrap();
        let report =
            Report::new(&table, 2, vec![vec![result(0.5, 0.25)], vec![], vec![result(0.25, 0.5), result(0.75, 0.5)]]);
        assert_eq!(report.sections(), ["all", "parts"]);
        let runs: Vec<_> = report.rows.iter().map(|row| (row.results.len(), row.runs)).collect();
        assert_eq!(runs, [(1, 1), (0, 2), (2, 2)]);
        let whole = &report.rows[2];
        let u1 = whole.spread(column("U1 entities")).unwrap();
        // 25 and 75: 25 away from their mean, twice, over 1.
        assert_eq!((u1.mean, u1.deviation), (50.0, Some(1250f64.sqrt())));
        assert_eq!(whole.spread(column("seen reversed")).unwrap().mean, 75.0);
        assert_eq!(whole.spread(column("ECE")).unwrap().values, [50.0, 50.0]);
        assert_eq!(whole.spread(column("U2 entities")), None);
        assert_eq!(report.rows[1].spread(column("ECE")), None);
        let chance: Vec<_> = report.chance.iter().map(|chance| (chance.column.to_string(), chance.points)).collect();
        let expected = [("U1 entities", 25.0), ("seen actions", 12.5), ("seen reversed", 50.0)];
        assert_eq!(chance, expected.map(|(column, points)| (column.to_owned(), points)));
    }

    #[test]
    fn a_claim_holds_against_every_row_beyond_the_spread() {
        let claim = "column = \"U1 entities\"\nthan = [\"plain\", \"part\"]\nat_least = 5.0\nspreads = 3.0\n";
        let holds = |whole: [f64; 2], part: [f64; 2]| {
            let judged = judged(claim, &whole.map(|u1| (u1, 0.5)), &part.map(|u1| (u1, 0.5)));
            (judged.holds.unwrap(), judged.comparisons.iter().map(|c| c.holds).collect::<Vec<_>>())
        };
        // plain has 50.
        assert_eq!(holds([0.60, 0.60], [0.40, 0.40]), (true, vec![true, true]));
        assert_eq!(holds([0.60, 0.60], [0.56, 0.56]), (false, vec![true, false]), "4 points are fewer than 5");
        assert_eq!(holds([0.54, 0.54], [0.40, 0.40]), (false, vec![false, true]));
        // 58 and 62 deviate by 2.8, and so do 38 and 42; together by 4.
        assert_eq!(holds([0.58, 0.62], [0.38, 0.42]), (true, vec![true, true]), "10 points of spread 2.8, 20 of 4");
        assert_eq!(holds([0.58, 0.62], [0.47, 0.51]), (false, vec![true, false]), "11 points of spread 4");
    }

    #[test]
    fn a_claim_may_be_a_share_or_a_loss() {
        let share = "column = \"ECE\"\nthan = [\"plain\"]\nat_most_times = 0.5\n";
        for (ece, holds) in [(0.1, true), (0.125, true), (0.15, false)] {
            assert_eq!(judged(share, &[(0.5, ece); 2], &[(0.5, 0.5); 2]).holds, Some(holds), "{ece} of .25");
        }
        let loss = "column = \"U1 entities\"\nthan = [\"plain\"]\nat_least = -1.0\n";
        for (u1, holds) in [(0.495, true), (0.485, false)] {
            assert_eq!(judged(loss, &[(u1, 0.5); 2], &[]).holds, Some(holds), "{u1}");
        }
    }

    #[test]
    fn a_claim_is_open_while_results_are_missing() {
        let claim = "column = \"U1 entities\"\nthan = [\"plain\", \"part\"]\nat_least = 5.0\n";
        let open = judged(claim, &[(0.9, 0.5)], &[]);
        assert_eq!(open.holds, None);
        assert_eq!(open.open.as_deref(), Some("whole has 1 of 2 seeds, part has 0 of 2 seeds"));
        assert_eq!(open.comparisons.len(), 1, "what there is is compared");
        let unmeasured = judged(&claim.replace("U1", "U2"), &[(0.9, 0.5); 2], &[(0.5, 0.5); 2]);
        assert!(unmeasured.open.unwrap().contains("whole has no U2 entities"));
        let table = format!("{TABLE}[[claim]]\nwhat = \"w\"\nrow = \"whole\"\n{claim}spreads = 1.0");
        let table = MethodTable::parse(&table, Path::new("t.toml")).unwrap();
        let one = |u1| vec![result(u1, 0.5)];
        let report = Report::new(&table, 1, vec![one(0.5), one(0.5), one(0.9)]);
        assert_eq!(report.claims[0].open.as_deref(), Some("one seed has no spread"));
    }
}
