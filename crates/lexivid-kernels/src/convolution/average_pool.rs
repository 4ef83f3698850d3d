use super::{Volume, number::Number};
use crate::{
    Isa, Values,
    simd::{Kernel, LANES, Simd},
};
use rayon::prelude::*;

/// The mean over time, height and width: `[N, C]`, in f32.
///
/// Error against exact arithmetic: at most (T H W + 1) 2^-23 times the mean of the sizes.
///
/// # Panics
/// If shapes do not fit, or there is nothing to average.
pub fn average_pool(isa: Isa, x: &Volume, out: &mut [f32]) {
    x.check();
    let (sites, channels) = (x.size.iter().product::<usize>(), x.channels);
    assert!(sites > 0 && channels > 0, "something to average, got {:?} of {channels} channels", x.size);
    assert_eq!(out.len(), x.batch * channels, "means [{}, {channels}]", x.batch);
    match x.values {
        Values::F32(values) => means(isa, values, sites, channels, out),
        Values::Bf16(values) => means(isa, values, sites, channels, out),
    }
}

fn means<X: Number>(isa: Isa, values: &[X], sites: usize, channels: usize, out: &mut [f32]) {
    out.par_chunks_mut(channels)
        .zip(values.par_chunks(sites * channels))
        .for_each(|(out, values)| isa.run(Mean { values, sites, out }));
}

/// Of one item.
struct Mean<'a, X> {
    values: &'a [X],
    sites: usize,
    out: &'a mut [f32],
}

impl<X: Number> Kernel for Mean<'_, X> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        self.out.fill(0.0);
        for site in self.values.chunks_exact(self.out.len()) {
            for (sum, x) in self.out.chunks_mut(LANES).zip(site.chunks(LANES)) {
                match sum.as_mut_array() {
                    Some(sum) => s.store(s.add(s.load(sum), X::load(s, x.try_into().expect("sixteen"))), sum),
                    None => s.store_part(s.add(s.load_part(sum, 0.0), X::load_part(s, x)), sum),
                }
            }
        }
        let inverse = 1.0 / self.sites as f32;
        for mean in self.out {
            *mean *= inverse;
        }
    }
}
