use super::*;
use crate::{
    dataset::{Truth, Truths, Vocabulary},
    decisions::{ModelSummary, Settings},
    eval::{EvaluationOptions, Failed, Scores, evaluate},
    label::{Entry, Label},
};

const NASTY: &str = "<script>alert(1)</script>\"'&";

fn report(codes: &[[Truth; 2]]) -> EvaluationReport {
    let entry = |name: &str, seen| Entry { seen: Some(seen), ..Label::new(name).into() };
    let vocabulary = Vocabulary::new([entry("riding a bike", true), entry(NASTY, false)]).unwrap();
    let (mut scores, mut truths) = (Scores::new(2), Truths::new(2));
    for (index, row) in codes.iter().enumerate() {
        scores.push(&[0.25, 0.3 * index as f32]).unwrap();
        truths.push(row);
    }
    EvaluationReport {
        manifest: NASTY.into(),
        manifest_sha256: "0123".into(),
        split: Some(NASTY.into()),
        vocabulary: NASTY.into(),
        model: ModelSummary { name: NASTY.into(), fingerprint: "4567".into(), card: NASTY.into() },
        settings: Settings {
            window: None,
            hop: None,
            frames_per_window: 8,
            pool: "max".into(),
            threshold: 0.5,
            shots: false,
            dedup: true,
        },
        failed: vec![Failed { video: NASTY.into(), error: NASTY.into() }],
        warnings: vec![NASTY.into()],
        evaluation: evaluate(&scores, &truths, &vocabulary, &EvaluationOptions::new(2, 0.5)).unwrap(),
    }
}

#[test]
fn shows_groups_curves_bins_and_labels() {
    use Truth::{Negative, Positive};
    let html = render(&report(&[[Positive, Negative], [Negative, Positive], [Negative, Positive]])).unwrap();
    for group in ["<td>all</td>", "<td>actions</td>", "<td>unseen</td>", "<td>zero-shot: all</td>"] {
        assert!(html.contains(group), "{group}");
    }
    // All, actions, seen, unseen.
    for (colour, curves) in [("10", 1), ("11", 1), ("12", 1), ("13", 1), ("14", 0)] {
        let curve = format!("<polyline fill=\"none\" opacity=\"1\" stroke=\"#0000{colour}\"");
        assert_eq!(html.matches(&curve).count(), curves, "{colour}");
    }
    assert!(html.contains("<td>0.20–0.27</td><td>3</td><td>0.250</td><td>0.333</td>"), "{html}");
    assert!(
        html.contains("<td>riding a bike</td><td class=\"note\">action, seen</td><td>1</td><td>0.333</td>"),
        "{html}"
    );
}

#[test]
fn strings_are_escaped() {
    let html = render(&report(&[[Truth::Positive, Truth::Negative]])).unwrap();
    assert!(!html.contains("<script>alert"), "{html}");
    // The page's own script is the only one.
    assert_eq!(html.matches("<script").count(), 1);
}

#[test]
fn nothing_known_renders() {
    render(&report(&[[Truth::Unknown; 2]])).unwrap();
    render(&report(&[])).unwrap();
}
