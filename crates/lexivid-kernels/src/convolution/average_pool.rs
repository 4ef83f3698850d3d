use super::Volume;
use crate::{
    Isa, Values,
    simd::{Kernel, LANES, Simd},
};
use rayon::prelude::*;

/// The mean over time, height and width: `[N, C]`, f32.
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
    let Values::F32(values) = x.values else { panic!("f32 to average, got bf16") };
    out.par_chunks_mut(channels)
        .zip(values.par_chunks(sites * channels))
        .for_each(|(out, values)| isa.run(Mean { values, sites, out }));
}

/// Of one item.
struct Mean<'a> {
    values: &'a [f32],
    sites: usize,
    out: &'a mut [f32],
}

impl Kernel for Mean<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        self.out.fill(0.0);
        for site in self.values.chunks_exact(self.out.len()) {
            for (sum, x) in self.out.chunks_mut(LANES).zip(site.chunks(LANES)) {
                match sum.as_mut_array() {
                    Some(sum) => s.store(s.add(s.load(sum), s.load(x.try_into().expect("sixteen"))), sum),
                    None => s.store_part(s.add(s.load_part(sum, 0.0), s.load_part(x, 0.0)), sum),
                }
            }
        }
        let inverse = 1.0 / self.sites as f32;
        for mean in self.out {
            *mean *= inverse;
        }
    }
}
