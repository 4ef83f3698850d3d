use super::{
    metrics::{
        Counts, Ranking, average_precision, brier, chance_average_precision, expected_calibration_error,
        global_average_precision, reliability,
    },
    *,
};
use crate::{
    dataset::{Truth, Truths, Vocabulary},
    label::{Entry, Label},
};
use proptest::prelude::*;
use serde_json::Value;

fn vocabulary(labels: usize) -> Vocabulary {
    Vocabulary::new((0..labels).map(|i| Label::new(format!("label {i}")).into())).unwrap()
}

/// 0 negative, 1 positive, 2 unknown.
fn truth(code: u8) -> Truth {
    [Truth::Negative, Truth::Positive, Truth::Unknown][usize::from(code)]
}

fn matrices(scores: &[Vec<f32>], codes: &[Vec<u8>]) -> (Scores, Truths) {
    let (mut all, mut truths) = (Scores::new(scores[0].len()), Truths::new(scores[0].len()));
    for (row, codes) in scores.iter().zip(codes) {
        all.push(row).unwrap();
        truths.push(&codes.iter().map(|code| truth(*code)).collect::<Vec<_>>());
    }
    (all, truths)
}

/// scripts/goldens/metrics.py
#[test]
fn agrees_with_scikit_learn() {
    let cases: serde_json::Map<String, Value> =
        serde_json::from_str(include_str!("../../tests/goldens/metrics.json")).unwrap();
    assert_eq!(cases.len(), 8);
    for (name, case) in cases {
        let rows = |what: &str| case[what].clone();
        let scores: Vec<Vec<f32>> = serde_json::from_value(rows("scores")).unwrap();
        let codes: Vec<Vec<u8>> = serde_json::from_value(rows("truths")).unwrap();
        let (scores, truths) = matrices(&scores, &codes);
        let options = EvaluationOptions {
            k: 3,
            sources: case["sources"].as_array().unwrap().iter().map(|s| Some(s.to_string())).collect(),
            ..EvaluationOptions::new(scores.labels(), 0.5)
        };
        let found = evaluate(&scores, &truths, &vocabulary(scores.labels()), &options).unwrap();
        let agrees = |what: &str, got: Option<f64>, expected: &Value| {
            let (got, expected) = (got.unwrap_or(-1.0), expected.as_f64().unwrap_or(-1.0));
            assert!((got - expected).abs() < 1e-9, "{name}: {what}: {got} {expected}");
        };
        let all = &found.groups[0];
        for (what, got) in [
            ("micro_average_precision", all.micro_average_precision),
            ("peak_f1", all.peak_f1.map(|peak| peak.f1)),
            ("f1_at_k", Some(all.at_k.f1)),
            ("gap_at_20", all.gap_at_20),
            ("hit_at_1", all.hit_at_1),
            ("perr", all.perr),
            ("cf1", all.class_at_threshold.map(|c| c.f1)),
            ("of1", Some(all.overall_at_threshold.f1)),
            ("calibration_error", all.calibration_error),
            ("calibration_error_above_0_1", all.calibration_error_above_0_1),
            ("brier", all.brier),
        ] {
            agrees(what, got, &case[what]);
        }
        let mut means = [(0.0, 0.0); 3];
        for (label, expected) in found.labels.iter().zip(case["labels"].as_array().unwrap()) {
            let values = [
                ("average_precision", label.average_precision),
                ("interpolated_average_precision", label.interpolated_average_precision),
                ("weighted_average_precision", label.weighted_average_precision),
                ("calibration_error", label.calibration_error),
            ];
            for (index, (what, got)) in values.into_iter().enumerate() {
                agrees(&format!("{} {what}", label.label), got, &expected[what]);
                if let (Some(mean), Some(value)) = (means.get_mut(index), expected[what].as_f64()) {
                    *mean = (mean.0 + value, mean.1 + 1.0);
                }
            }
        }
        let [plain, interpolated, weighted] = means.map(|(sum, n)| if n > 0.0 { sum / n } else { -1.0 });
        agrees("mAP", all.mean_average_precision, &plain.into());
        agrees("interpolated", all.activitynet_mean_average_precision, &interpolated.into());
        agrees("weighted", all.weighted_mean_average_precision, &weighted.into());
        assert_eq!(all.labels_with_positives, means[0].1 as usize);
        let with_empty = plain.max(0.0) * means[0].1 / found.labels.len() as f64;
        agrees("with empty labels", Some(all.mean_average_precision_empty_as_0), &with_empty.into());
    }
}

#[test]
fn nothing_known_is_nothing_measured() {
    let (scores, truths) = matrices(&[vec![0.5, 0.9]], &[vec![2, 2]]);
    let all = evaluate(&scores, &truths, &vocabulary(2), &EvaluationOptions::new(2, 0.5)).unwrap().groups.remove(0);
    let measured = [all.mean_average_precision, all.micro_average_precision, all.gap_at_20, all.hit_at_1, all.perr];
    assert_eq!(measured, [None; 5]);
    assert_eq!((all.calibration_error, all.brier, all.chance), (None, None, None));
    assert_eq!((all.positives, all.negatives, all.overall_at_threshold.f1), (0, 0, 0.0));
}

#[test]
fn sizes_that_differ_are_told() {
    let (scores, truths) = matrices(&[vec![0.5, 0.9]], &[vec![0, 1]]);
    let error = evaluate(&scores, &truths, &vocabulary(3), &EvaluationOptions::new(2, 0.5)).unwrap_err();
    assert_eq!(error.to_string(), "expected vocabulary of 2, got 3");
    assert!(evaluate(&scores, &Truths::new(2), &vocabulary(2), &EvaluationOptions::new(2, 0.5)).is_err());
}

/// Four labels: a and b are each other's opposites.
fn with_opposites() -> Vocabulary {
    let opposite = |name: &str, of: &str| Entry { opposite: Some(of.into()), ..Label::new(name).into() };
    Vocabulary::new([opposite("a", "b"), opposite("b", "a"), Label::new("c").into()]).unwrap()
}

#[test]
fn opposites_are_told_apart_only_where_one_of_them_holds() {
    // The last three rows say nothing of the order: both, neither, one unknown.
    let codes = [[1, 0, 0], [0, 1, 1], [1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 2, 0]].map(|r| r.to_vec());
    let scores = [[0.9, 0.1], [0.8, 0.3], [0.7, 0.2], [0.1, 0.9], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]];
    let scores: Vec<_> = scores.iter().map(|[a, b]| vec![*a, *b, 0.5]).collect();
    let (scores, truths) = matrices(&scores, &codes);
    let found = evaluate(&scores, &truths, &with_opposites(), &EvaluationOptions::new(3, 0.5)).unwrap();
    let a = found.labels[0].reversed.unwrap();
    // Positives at ranks 1 and 3 of 4.
    assert_eq!((a.average_precision, a.chance, a.examples), ((1.0 + 2.0 / 3.0) / 2.0, 0.5, 4));
    assert_eq!(found.labels[1].reversed.unwrap().average_precision, 1.0);
    assert_eq!(found.labels[2].reversed, None);
    let all = &found.groups[0];
    assert_eq!((all.reversed_labels, all.reversed_chance), (2, Some(0.5)));
    assert!((all.reversed_mean_average_precision.unwrap() - (5.0 / 6.0 + 1.0) / 2.0).abs() < 1e-12);
}

#[test]
fn seen_labels_take_places_from_unseen_ones_unless_zero_shot() {
    let entry = |name: &str, seen| Entry { seen: Some(seen), ..Label::new(name).into() };
    let vocabulary = Vocabulary::new([entry("s", true), entry("u", false), entry("v", false)]).unwrap();
    let (scores, truths) = matrices(&[vec![0.9, 0.8, 0.7]], &[vec![1, 1, 0]]);
    let options = EvaluationOptions { k: 1, ..EvaluationOptions::new(3, 0.5) };
    let found = evaluate(&scores, &truths, &vocabulary, &options).unwrap();
    let of = |protocol, name: &str| found.groups.iter().find(|g| g.protocol == protocol && g.name == name).unwrap();
    let (generalized, zero_shot) = (of(Protocol::Generalized, "unseen"), of(Protocol::ZeroShot, "all"));
    assert_eq!((generalized.at_k.f1, zero_shot.at_k.f1), (0.0, 1.0));
    assert_eq!((generalized.hit_at_1, zero_shot.hit_at_1), (None, Some(1.0)));
    assert_eq!(generalized.mean_average_precision, zero_shot.mean_average_precision);
}

#[test]
fn charades_puts_unlabelled_examples_last() {
    let (scores, truths) = matrices(&[vec![0.9, 0.1], vec![0.5, 0.2]], &[vec![0, 0], vec![1, 0]]);
    let of = |unlabelled_last| {
        let options = EvaluationOptions { unlabelled_last, ..EvaluationOptions::new(2, 0.5) };
        evaluate(&scores, &truths, &vocabulary(2), &options).unwrap().labels[0].average_precision
    };
    assert_eq!((of(false), of(true)), (Some(0.5), Some(1.0)));
}

#[test]
fn platt_finds_the_sigmoid_that_made_the_pairs() {
    // At every similarity, as many pairs are positive as p = sigmoid(20 s - 5) says.
    let sigmoid = |s: f64| 1.0 / (1.0 + (-(20.0 * s - 5.0)).exp());
    let pairs: Vec<(f32, bool)> = (0..100)
        .map(|i| f64::from(i) / 200.0)
        .flat_map(|s| (0..1000).map(move |n| (s as f32, f64::from(n) < (1000.0 * sigmoid(s)).round())))
        .collect();
    let fitted = platt::fit(pairs.iter().copied()).unwrap();
    assert!((fitted.scale - 20.0).abs() < 0.05 && (fitted.bias + 5.0).abs() < 0.01, "{fitted:?}");
}

#[test]
fn platt_stays_finite_without_overlap_and_refuses_what_says_nothing() {
    let apart = [(0.1, false), (0.12, false), (0.3, true), (0.32, true)];
    let fitted = platt::fit(apart.iter().copied()).unwrap();
    assert!(fitted.scale.is_finite() && fitted.probability(0.3) > 0.6 && fitted.probability(0.12) < 0.4, "{fitted:?}");
    let said = |pairs: &[(f32, bool)]| platt::fit(pairs.iter().copied()).unwrap_err().to_string();
    assert!(said(&[(0.1, false)]).contains("0 positives and 1 negatives"));
    assert!(said(&[(0.1, false), (0.1, true)]).contains("all 0.1"));
    assert!(said(&[(0.3, false), (0.1, true)]).contains("a scale of -"));
}

fn pairs() -> impl Strategy<Value = Vec<(f32, bool)>> {
    // Few levels make many ties.
    prop::collection::vec(((0u8..12).prop_map(|level| f32::from(level) / 11.0), any::<bool>()), 1..60)
}

proptest! {
    #[test]
    fn metrics_are_shares(pairs in pairs()) {
        let ranking = Ranking::new(pairs.iter().copied());
        let positives = pairs.iter().filter(|(_, present)| *present).count();
        prop_assert_eq!(ranking.average_precision().is_some(), positives > 0);
        let share = |value: f64| (-1e-12..=1.0 + 1e-12).contains(&value);
        if let (Some(ap), Some(interpolated), Some(peak)) =
            (ranking.average_precision(), ranking.interpolated_average_precision(), ranking.peak_f1())
        {
            // No ranking is worse than the one that puts all positives last.
            let worst: f64 = (1..=positives).map(|i| i as f64 / (pairs.len() - positives + i) as f64).sum::<f64>();
            prop_assert!(share(ap) && ap >= worst / positives as f64 - 1e-12 && interpolated >= ap - 1e-12);
            prop_assert!(share(interpolated) && share(peak.f1));
            let all = 2.0 * positives as f64 / (pairs.len() + positives) as f64;
            prop_assert!(peak.f1 >= all - 1e-12, "everything present is one of the thresholds");
            let there = Counts::at(peak.threshold, pairs.iter().copied()).precision_recall();
            prop_assert!((there.f1 - peak.f1).abs() < 1e-12 && (there.recall - peak.recall).abs() < 1e-12);
            let curve = ranking.curve(1000);
            prop_assert_eq!(curve.last().unwrap().recall, 1.0);
            prop_assert!(curve.is_sorted_by(|a, b| a.recall < b.recall));
        }
        let bins = reliability(pairs.iter().copied());
        let (error, brier) = (expected_calibration_error(&bins).unwrap(), brier(pairs.iter().copied()).unwrap());
        prop_assert!(share(error) && share(brier));
        prop_assert_eq!(bins.iter().map(|bin| bin.pairs).sum::<u64>(), pairs.len() as u64);
        for bin in bins.iter().filter(|bin| bin.pairs > 0) {
            prop_assert!(bin.lower <= bin.mean_probability + 1e-9 && bin.mean_probability <= bin.upper + 1e-9);
        }
    }

    #[test]
    fn order_does_not_matter((pairs, shuffled) in pairs().prop_flat_map(|p| (Just(p.clone()), Just(p).prop_shuffle()))) {
        prop_assert_eq!(average_precision(&pairs), average_precision(&shuffled));
        prop_assert_eq!(Ranking::new(pairs.iter().copied()).peak_f1(), Ranking::new(shuffled.iter().copied()).peak_f1());
        let error = |pairs: &[(f32, bool)]| expected_calibration_error(&reliability(pairs.iter().copied())).unwrap();
        prop_assert!((error(&pairs) - error(&shuffled)).abs() < 1e-12);
    }

    #[test]
    fn what_keeps_the_order_keeps_the_average_precision(pairs in pairs()) {
        let bent: Vec<_> = pairs.iter().map(|(score, present)| ((3.0 * score).exp() - 7.0, *present)).collect();
        prop_assert_eq!(average_precision(&pairs), average_precision(&bent));
    }

    #[test]
    fn gap_of_everything_is_the_micro_average_precision(pairs in pairs(), width in 1usize..7) {
        let rows: Vec<&[(f32, bool)]> = pairs.chunks(width).collect();
        prop_assert_eq!(global_average_precision(rows.iter().copied(), width), average_precision(&pairs));
        let (few, all) = (global_average_precision(rows.iter().copied(), 1), average_precision(&pairs));
        prop_assert_eq!(few.is_some(), all.is_some());
    }

    /// A weight of n is n copies.
    #[test]
    fn weights_are_copies(pairs in pairs(), weights in prop::collection::vec(1u8..4, 60)) {
        let weighted = pairs.iter().zip(&weights).map(|((s, p), w)| (*s, *p, f64::from(*w)));
        let copies: Vec<_> = pairs.iter().zip(&weights).flat_map(|(pair, w)| vec![*pair; usize::from(*w)]).collect();
        let (a, b) = (Ranking::weighted(weighted).average_precision(), average_precision(&copies));
        prop_assert!((a.unwrap_or(-1.0) - b.unwrap_or(-1.0)).abs() < 1e-12);
    }

    /// Unknown pairs are as good as not there, and the order of labels and examples is of no matter.
    #[test]
    fn unknown_scores_do_not_count(codes in prop::collection::vec(prop::collection::vec(0u8..3, 4), 2..12), noise in 0u8..=9) {
        let score = |row: usize, label: usize, code: u8| match code {
            2 => f32::from(noise) / 9.0,
            // No ties: their order in a row decides who is among the first K.
            _ => ((row * 7 + label * 13) % 97) as f32 / 97.0,
        };
        let scores = |noisy: bool| -> Vec<Vec<f32>> {
            let cell = |row, (label, code): (usize, &u8)| score(row, label, if noisy { *code } else { 0 });
            codes.iter().enumerate().map(|(row, codes)| codes.iter().enumerate().map(|c| cell(row, c)).collect()).collect()
        };
        let of = |scores: &[Vec<f32>]| {
            let (scores, truths) = matrices(scores, &codes);
            evaluate(&scores, &truths, &vocabulary(4), &EvaluationOptions { k: 2, ..EvaluationOptions::new(4, 0.5) }).unwrap()
        };
        prop_assert_eq!(of(&scores(true)), of(&scores(false)));
    }
}

/// All rankings, one by one.
#[test]
fn chance_is_the_mean_over_all_rankings() {
    for (positives, total) in [(1usize, 1usize), (1, 6), (2, 7), (5, 8), (8, 8)] {
        let (mut sum, mut rankings) = (0.0, 0);
        for places in (0u32..1 << total).filter(|places| places.count_ones() as usize == positives) {
            let ranked: Vec<(f32, bool)> = (0..total).map(|i| (-(i as f32), places >> i & 1 == 1)).collect();
            sum += average_precision(&ranked).unwrap();
            rankings += 1;
        }
        let expected = sum / f64::from(rankings);
        let chance = chance_average_precision(positives, total - positives);
        assert!((chance - expected).abs() < 1e-12, "{positives} of {total}");
    }
}
