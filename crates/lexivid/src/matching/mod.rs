//! Video embedding x label embedding -> similarity s = f_t(l) . f_v(v), and similarity -> probability.

use crate::label_embedding::{Calibration, LabelEmbedding};
use candle_core::{Device, Tensor};

/// The label embeddings of a run, ready to be matched against many videos.
#[derive(Debug, Clone)]
pub struct LabelMatrix {
    /// `[D, L]`: one column a label.
    vectors: Tensor,
    calibrations: Vec<Calibration>,
}

impl LabelMatrix {
    /// Stacks L label embeddings of width D, L >= 1.
    pub fn new(labels: &[LabelEmbedding]) -> candle_core::Result<Self> {
        let d = labels.first().map_or(0, |l| l.vector.len());
        let rows: Vec<f32> = labels.iter().flat_map(|l| l.vector.iter().copied()).collect();
        Ok(Self {
            vectors: Tensor::from_vec(rows, (labels.len(), d), &Device::Cpu)?.t()?,
            calibrations: labels.iter().map(|l| l.calibration).collect(),
        })
    }

    /// Similarities `[W, l]` of W embeddings of windows or frames, `[W, D]`, and the labels `range`.
    pub fn similarities(&self, range: std::ops::Range<usize>, visual: &Tensor) -> candle_core::Result<Tensor> {
        visual.matmul(&self.vectors.narrow(1, range.start, range.len())?)
    }

    /// The `n` labels that are most similar to one embedding, `[D]`, with their similarities, the most similar first.
    pub fn nearest(&self, n: usize, embedding: &[f32]) -> candle_core::Result<Vec<(usize, f32)>> {
        let embedding = Tensor::from_slice(embedding, (1, embedding.len()), &Device::Cpu)?;
        let similarities = self.similarities(0..self.len(), &embedding)?.flatten_all()?.to_vec1::<f32>()?;
        let mut labels: Vec<(usize, f32)> = similarities.into_iter().enumerate().collect();
        let by_similarity = |a: &(usize, f32), b: &(usize, f32)| b.1.total_cmp(&a.1);
        if (1..labels.len()).contains(&n) {
            labels.select_nth_unstable_by(n - 1, by_similarity);
        }
        labels.truncate(n);
        labels.sort_by(by_similarity);
        Ok(labels)
    }

    /// How each label's similarity becomes a probability.
    pub fn calibrations(&self) -> &[Calibration] {
        &self.calibrations
    }

    /// Probabilities of the labels `range` for each of W embeddings of windows or frames, each `[D]`.
    /// Returns one row of W probabilities a label.
    pub fn probabilities(&self, range: std::ops::Range<usize>, visual: &Tensor) -> candle_core::Result<Vec<Vec<f32>>> {
        let similarities = self.similarities(range.clone(), visual)?.t()?.to_vec2::<f32>()?; // [l, W]
        let calibrated = similarities
            .into_iter()
            .zip(&self.calibrations[range])
            .map(|(row, calibration)| row.into_iter().map(|s| calibration.probability(s)).collect());
        Ok(calibrated.collect())
    }

    /// Number of labels L.
    pub fn len(&self) -> usize {
        self.calibrations.len()
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.calibrations.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label_embedding::Origin;
    use proptest::prelude::*;

    fn label(vector: Vec<f32>, scale: f32, bias: f32) -> LabelEmbedding {
        LabelEmbedding { vector, calibration: Calibration { scale, bias }, origin: Origin::TextTower }
    }

    #[test]
    fn is_the_sigmoid_of_the_scaled_dot_product() {
        let labels = [label(vec![1.0, 0.0], 2.0, 0.0), label(vec![0.6, 0.8], 1.0, -1.0)];
        let matrix = LabelMatrix::new(&labels).unwrap();
        let visual = Tensor::new(&[[0.0f32, 1.0], [1.0, 0.0], [0.5, 0.5]], &Device::Cpu).unwrap();
        let found = matrix.probabilities(0..2, &visual).unwrap();
        let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
        let expected = [[0.0, 2.0, 1.0].map(sigmoid), [0.8 - 1.0, 0.6 - 1.0, 0.7 - 1.0].map(sigmoid)];
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }

    proptest! {
        #[test]
        fn the_nearest_are_the_first_of_all_sorted(
            rows in prop::collection::vec(prop::collection::vec(-1f32..1.0, 3), 1..40), n in 0usize..50, asked in prop::collection::vec(-1f32..1.0, 3)
        ) {
            let labels: Vec<_> = rows.iter().map(|r| label(r.clone(), 1.0, 0.0)).collect();
            let found = LabelMatrix::new(&labels).unwrap().nearest(n, &asked).unwrap();
            let mut all: Vec<f32> = rows.iter().map(|r| r.iter().zip(&asked).map(|(a, b)| a * b).sum()).collect();
            all.sort_by(|a, b| b.total_cmp(a));
            prop_assert_eq!(found.len(), n.min(rows.len()));
            for ((index, similarity), expected) in found.into_iter().zip(all) {
                prop_assert!((similarity - expected).abs() < 1e-5);
                let own: f32 = rows[index].iter().zip(&asked).map(|(a, b)| a * b).sum();
                prop_assert!((similarity - own).abs() < 1e-5);
            }
        }

        /// The promise of the whole method: a label's score does not move with the company it keeps.
        #[test]
        fn does_not_depend_on_the_other_labels(
            rows in prop::collection::vec(prop::collection::vec(-1f32..1.0, 3), 2..40), visual in prop::collection::vec(-1f32..1.0, 3)
        ) {
            let labels: Vec<_> = rows.into_iter().map(|r| label(r, 10.0, -2.0)).collect();
            let visual = Tensor::from_vec(visual, (1, 3), &Device::Cpu).unwrap();
            let together = LabelMatrix::new(&labels).unwrap().probabilities(0..labels.len(), &visual).unwrap();
            for (label, together) in labels.iter().zip(together) {
                let alone = LabelMatrix::new(std::slice::from_ref(label)).unwrap().probabilities(0..1, &visual).unwrap();
                prop_assert!((alone[0][0] - together[0]).abs() < 1e-5);
            }
        }
    }
}
