//! Seconds -> the times that people read.

/// How finely times are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Precision {
    /// `m:ss`
    Seconds,
    /// `m:ss`, and `m:ss.t` where the tenth is not 0.
    Tenths,
}

impl Precision {
    /// Tenths matter in a video shorter than a minute, and are noise in a longer one.
    pub(super) fn of(duration: f64) -> Self {
        if duration < 60.0 { Precision::Tenths } else { Precision::Seconds }
    }
}

/// `seconds` as `m:ss`, or `h:mm:ss` from one hour on.
pub(super) fn clock(seconds: f64, precision: Precision) -> String {
    // Rounded before it is split: 59.96 s is 1:00, not 0:60.
    let tenths = match precision {
        Precision::Seconds => seconds.round() as u64 * 10,
        Precision::Tenths => (seconds * 10.0).round() as u64,
    };
    let (whole, tenth) = (tenths / 10, tenths % 10);
    let (h, m, s) = (whole / 3600, whole / 60 % 60, whole % 60);
    let mut text = if h > 0 { format!("{h}:{m:02}:{s:02}") } else { format!("{m}:{s:02}") };
    if tenth > 0 {
        text += &format!(".{tenth}");
    }
    text
}

/// `start`–`end`, joined by an en dash.
pub(super) fn span(start: f64, end: f64, precision: Precision) -> String {
    format!("{}–{}", clock(start, precision), clock(end, precision))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_minutes_and_hours() {
        assert_eq!(clock(0.0, Precision::Seconds), "0:00");
        assert_eq!(clock(65.4, Precision::Seconds), "1:05");
        assert_eq!(clock(3.25, Precision::Tenths), "0:03.3");
        assert_eq!(clock(8.0, Precision::Tenths), "0:08");
        assert_eq!(clock(10_799.0, Precision::Seconds), "2:59:59");
    }

    #[test]
    fn carries_when_it_rounds() {
        assert_eq!(clock(59.96, Precision::Tenths), "1:00");
        assert_eq!(clock(3599.7, Precision::Seconds), "1:00:00");
    }

    #[test]
    fn nonsense_is_zero() {
        assert_eq!(clock(-1.0, Precision::Tenths), "0:00");
        assert_eq!(clock(f64::NAN, Precision::Tenths), "0:00");
    }
}
