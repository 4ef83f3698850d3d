use std::f64::consts::PI;

/// The rate of `step` (from 0): rises linearly over `warm_up` steps to `peak`, then falls to 0 at `steps` along half a cosine
/// (Loshchilov, Hutter, arXiv 1608.03983, without restarts).
pub fn rate_at(step: u64, steps: u64, warm_up: u64, peak: f64) -> f64 {
    if step < warm_up {
        return peak * (step + 1) as f64 / warm_up as f64;
    }
    let done = (step - warm_up) as f64 / (steps.saturating_sub(warm_up)).max(1) as f64;
    peak * 0.5 * (1.0 + (PI * done.min(1.0)).cos())
}

#[cfg(test)]
mod tests {
    use super::rate_at;

    #[test]
    fn rises_then_falls_to_nothing() {
        assert_eq!(rate_at(0, 100, 10, 1.0), 0.1);
        assert_eq!(rate_at(9, 100, 10, 1.0), 1.0);
        assert_eq!(rate_at(10, 100, 10, 1.0), 1.0);
        assert!((rate_at(55, 100, 10, 1.0) - 0.5).abs() < 1e-12);
        assert!(rate_at(100, 100, 10, 1.0) < 1e-12);
        assert_eq!(rate_at(0, 10, 0, 2.0), 2.0);
    }
}
