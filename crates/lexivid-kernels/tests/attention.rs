//! Attention against f64, on every instruction set.

mod support;

use half::bf16;
use lexivid_kernels::{Attention, Heads, Isa, Mask, Precision, Values, attention};
use proptest::prelude::*;
use support::*;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Masked {
    No,
    Causal,
    Added,
}

#[derive(Debug, Clone)]
struct Case {
    batch: usize,
    queries: usize,
    keys: usize,
    kv_heads: usize,
    /// Heads of queries for each of keys.
    group: usize,
    head_width: usize,
    scale: f32,
    masked: Masked,
    /// Of queries, keys and values: whether they come as bf16.
    in_bf16: [bool; 3],
    /// Of the same: values of a row before and after the heads.
    around: [(usize, usize); 3],
    precision: Precision,
    seed: u64,
}

fn case() -> impl Strategy<Value = Case> {
    let sizes = (1..=3usize, 1..=70usize, 1..=90usize, 1..=2usize, 1..=3usize, prop_oneof![1..=40usize, 40..=90usize]);
    let masked = prop::sample::select(&[Masked::No, Masked::Causal, Masked::Added]);
    let around = [(0..20usize, 0..20usize), (0..20usize, 0..20usize), (0..20usize, 0..20usize)];
    (sizes, 0.01f32..0.5, masked, any::<[bool; 3]>(), around, precision(), any::<u64>()).prop_map(
        |((batch, queries, keys, kv_heads, group, head_width), scale, masked, in_bf16, around, precision, seed)| Case {
            batch,
            queries,
            keys,
            kv_heads,
            group,
            head_width,
            scale,
            masked,
            in_bf16,
            around,
            precision,
            seed,
        },
    )
}

/// Queries, keys and values, `[rows, heads * width]` each, and the mask.
#[derive(Clone)]
struct Inputs {
    qkv: [Vec<f32>; 3],
    mask: Vec<f32>,
}

impl Case {
    fn heads(&self) -> usize {
        self.kv_heads * self.group
    }

    /// Values in a row of queries, keys and values.
    fn widths(&self) -> [usize; 3] {
        [self.heads() * self.head_width, self.kv_heads * self.head_width, self.kv_heads * self.head_width]
    }

    fn inputs(&self) -> Inputs {
        let rows = [self.queries, self.keys, self.keys].map(|length| self.batch * length);
        let qkv = std::array::from_fn(|i| values(self.seed ^ i as u64, rows[i] * self.widths()[i]));
        // A quarter of the keys are hidden, of some queries all.
        let mut mask = values(self.seed ^ 3, self.queries * self.keys);
        mask.iter_mut().filter(|x| **x < -0.5).for_each(|x| *x = f32::NEG_INFINITY);
        Inputs { qkv, mask }
    }

    /// Keys that a query sees.
    fn seen(&self, query: usize) -> usize {
        match self.masked {
            Masked::Causal => (query + 1 + self.keys).saturating_sub(self.queries).max(1),
            _ => self.keys,
        }
    }

    /// What an operand of this precision then holds.
    fn run(&self, isa: Isa, inputs: &Inputs) -> Vec<f32> {
        let widths = self.widths();
        // Between the rows' heads is NaN, which nobody may read.
        let rows: [Vec<f32>; 3] = std::array::from_fn(|i| {
            let (before, after) = self.around[i];
            let row = |row: &[f32]| [&vec![f32::NAN; before], row, &vec![f32::NAN; after]].concat();
            inputs.qkv[i].chunks(widths[i]).flat_map(row).collect()
        });
        let rounded = rows.clone().map(|rows| rows.into_iter().map(bf16::from_f32).collect::<Vec<_>>());
        let [q, k, v] = std::array::from_fn(|i| Heads {
            values: if self.in_bf16[i] { Values::Bf16(&rounded[i]) } else { Values::F32(&rows[i]) },
            stride: widths[i] + self.around[i].0 + self.around[i].1,
            offset: self.around[i].0,
        });
        let sizes = Attention {
            batch: self.batch,
            queries: self.queries,
            keys: self.keys,
            heads: self.heads(),
            kv_heads: self.kv_heads,
            head_width: self.head_width,
            scale: self.scale,
            mask: match self.masked {
                Masked::No => Mask::None,
                Masked::Causal => Mask::Causal,
                Masked::Added => Mask::Add(&inputs.mask),
            },
        };
        let mut out = operand(self.precision);
        attention(isa, &sizes, q, k, v, &mut out);
        assert_eq!((out.rows(), out.width()), (self.batch * self.queries, widths[0]));
        contents(&out, self.precision)
    }

    /// Values and errors, by the bound that [`attention`] states.
    fn exact(&self, isa: Isa, inputs: &Inputs) -> Vec<(f64, f64)> {
        let d = self.head_width;
        let is_f32 = self.precision == Precision::F32 || !isa.multiplies_bf16();
        let qkv: [Vec<f64>; 3] = std::array::from_fn(|i| {
            let rounds = self.in_bf16[i] || !is_f32;
            inputs.qkv[i].iter().map(|&x| if rounds { bf16::from_f32(x).into() } else { x.into() }).collect()
        });
        let widths = self.widths();
        let head = |i: usize, row: usize, head: usize| &qkv[i][row * widths[i] + head * d..][..d];
        let mut all = Vec::new();
        for (row, h) in (0..self.batch * self.queries).flat_map(|row| (0..self.heads()).map(move |h| (row, h))) {
            let (item, query, kv_head) = (row / self.queries, row % self.queries, h / self.group);
            let keys = item * self.keys..item * self.keys + self.seen(query);
            let (mut scores, sizes): (Vec<f64>, Vec<f64>) = keys
                .clone()
                .map(|key| product(head(0, row, h), head(1, key, kv_head), d))
                .map(|(s, e)| (s[0], e[0]))
                .unzip();
            let mut of_scores = 0.0f64;
            for (key, (score, size)) in scores.iter_mut().zip(sizes).enumerate() {
                let mask = if self.masked == Masked::Added { inputs.mask[query * self.keys + key].into() } else { 0.0 };
                *score = f64::from(self.scale) * *score + mask;
                if mask.is_finite() {
                    of_scores = of_scores.max((d + 8) as f64 * F32 * (f64::from(self.scale) * size + mask.abs()));
                }
            }
            let greatest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|score| (score - greatest).exp()).collect();
            let sum: f64 = weights.iter().sum();
            for column in 0..d {
                let of_keys = keys.clone().map(|key| head(2, key, kv_head)[column]);
                let greatest = of_keys.clone().fold(0.0, |a: f64, v| a.max(v.abs()));
                let exact = of_keys.zip(&weights).map(|(v, weight)| weight * v).sum::<f64>() / sum;
                let of_weights = if is_f32 { 0.0 } else { BF16 };
                let error = 2.0 * of_scores + (2 * self.keys + 40) as f64 * F32 + of_weights;
                all.push((exact, error * greatest));
            }
        }
        all
    }
}

/// NaN into the scratch memory, which is kept, and laid out in the same way for every instruction set.
fn soil() {
    let nan = vec![f32::NAN; 8 * 128 * 96];
    let heads = Heads { values: Values::F32(&nan), stride: 96, offset: 0 };
    let (batch, length) = (8, 128);
    let sizes = Attention {
        batch,
        queries: length,
        keys: length,
        heads: 1,
        kv_heads: 1,
        head_width: 96,
        scale: 1.0,
        mask: Mask::None,
    };
    for precision in [Precision::F32, Precision::Bf16] {
        attention(Isa::best(), &sizes, heads, heads, heads, &mut operand(precision));
    }
}

/// Asserts that rows for which `is_hit(sequence, query)` are NaN (all heads: what [`contents`] reads is a product), and the others
/// `clean`.
fn assert_hit(case: &Case, isa: Isa, out: &[f32], clean: &[f32], is_hit: impl Fn(usize, usize) -> bool) {
    let width = case.widths()[0];
    let mut expected = clean.to_vec();
    for (row, values) in expected.chunks_mut(width).enumerate() {
        if is_hit(row / case.queries, row % case.queries) {
            values.fill(f32::NAN);
        }
    }
    assert_identical(&isa.to_string(), out, &expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn attention_is_exact_within_the_bound(case in case()) {
        let inputs = case.inputs();
        let width = case.widths()[0];
        soil();
        for isa in isas() {
            let (mut exact, errors): (Vec<f64>, Vec<f64>) = case.exact(isa, &inputs).into_iter().unzip();
            // A query that sees nothing is NaN in all heads, and all heads are a row.
            let greatest: Vec<f64> = exact.chunks(width).map(|row| row.iter().fold(0.0, |a: f64, x| a.max(x.abs()))).collect();
            exact.iter_mut().filter(|x| !x.is_finite()).for_each(|x| *x = f64::NAN);
            assert_within(&isa.to_string(), &case.run(isa, &inputs), &exact, |i| {
                let to_bf16 = BF16 * (exact[i].abs() + errors[i]);
                errors[i] + match case.precision {
                    Precision::F32 => 0.0,
                    Precision::Bf16 => to_bf16,
                    // Half a step besides.
                    Precision::Int8 => to_bf16 + 1.01 * (greatest[i / width] + errors[i]) / 254.0,
                }
            });
        }
    }

    /// A query that is not finite hits itself, a key that is NaN those who see it, and a value that is NaN its sequence.
    #[test]
    fn what_is_not_finite_stays_in_its_place(case in case(), places in places(2)) {
        let case = Case { masked: if case.masked == Masked::Added { Masked::No } else { case.masked }, ..case };
        let inputs = case.inputs();
        let widths = case.widths();
        for isa in isas() {
            let clean = case.run(isa, &inputs);
            let rows_of = |i: usize| {
                let len = inputs.qkv[i].len();
                places.iter().map(|(place, _)| place % len / widths[i]).collect::<Vec<_>>()
            };

            let mut poisoned = inputs.clone();
            poison(&mut poisoned.qkv[0], &places);
            let out = case.run(isa, &poisoned);
            assert_hit(&case, isa, &out, &clean, |item, query| rows_of(0).contains(&(item * case.queries + query)));

            let nan: Vec<_> = places.iter().map(|(place, _)| (*place, f32::NAN)).collect();
            let mut poisoned = inputs.clone();
            poison(&mut poisoned.qkv[1], &nan);
            let out = case.run(isa, &poisoned);
            assert_hit(&case, isa, &out, &clean, |item, query| {
                rows_of(1).iter().any(|key| key / case.keys == item && key % case.keys < case.seen(query))
            });

            let unmasked = Case { masked: Masked::No, ..case.clone() };
            let clean = unmasked.run(isa, &inputs);
            let mut poisoned = inputs.clone();
            poison(&mut poisoned.qkv[2], &nan);
            let out = unmasked.run(isa, &poisoned);
            assert_hit(&case, isa, &out, &clean, |item, _| rows_of(2).iter().any(|key| key / case.keys == item));
        }
    }

    /// Bit for bit.
    #[test]
    fn queries_do_not_depend_on_each_other(case in case(), row in any::<prop::sample::Index>()) {
        let case = Case { masked: Masked::No, ..case };
        let inputs = case.inputs();
        let [width, kv_width, _] = case.widths();
        let row = row.index(case.batch * case.queries);
        let [q, k, v] = &inputs.qkv;
        let of_item = |x: &[f32]| x[row / case.queries * case.keys * kv_width..][..case.keys * kv_width].to_vec();
        let alone = Case { batch: 1, queries: 1, ..case.clone() };
        let of_alone = Inputs { qkv: [q[row * width..][..width].to_vec(), of_item(k), of_item(v)], mask: Vec::new() };
        for isa in isas() {
            let all = case.run(isa, &inputs);
            assert_identical(&isa.to_string(), &alone.run(isa, &of_alone), &all[row * width..][..width]);
        }
    }
}
