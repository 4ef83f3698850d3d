//! Windows -> the columns of the heat map.

use super::axis::Axis;
use crate::decisions::Span;

/// More columns than this cannot be told apart on a screen.
const MAX_COLUMNS: usize = 240;
/// Steps of the colour scale; the lowest is the colour of an empty lane.
const LEVELS: u8 = 10;

/// The columns that all labels of one video share.
#[derive(Debug)]
pub(super) struct Columns {
    columns: Vec<Column>,
    /// How many neighbouring windows one column stands for.
    windows_per_column: usize,
}

/// One column: its place on the axis, and the stretch of time that its windows saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Column {
    /// Left edge in percent of the axis.
    pub(super) left: f64,
    /// Right edge in percent of the axis.
    pub(super) right: f64,
    /// Start of its first window in seconds.
    pub(super) start: f64,
    /// End of its last window in seconds.
    pub(super) end: f64,
}

/// One drawn cell.
#[derive(Debug, PartialEq)]
pub(super) struct Cell {
    /// Step of the colour scale, 1 to 9.
    pub(super) level: u8,
    /// Left edge in percent of the axis.
    pub(super) left: f64,
    /// Width in percent of the axis.
    pub(super) width: f64,
}

impl Columns {
    /// Lays out windows that are in order of time. Where two overlap, their cells meet in the middle of the overlap.
    pub(super) fn new(windows: &[Span], axis: Axis) -> Self {
        let windows_per_column = windows.len().div_ceil(MAX_COLUMNS).max(1);
        let groups: Vec<(Span, Span)> =
            windows.chunks(windows_per_column).map(|group| (group[0], group[group.len() - 1])).collect();
        let meet = |i: usize| axis.percent((groups[i].1.end + groups[i + 1].0.start) / 2.0);
        let columns = groups
            .iter()
            .enumerate()
            .map(|(i, (first, last))| Column {
                left: if i == 0 { axis.percent(first.start) } else { meet(i - 1) },
                right: if i + 1 == groups.len() { axis.percent(last.end) } else { meet(i) },
                start: first.start,
                end: last.end,
            })
            .collect();
        Self { columns, windows_per_column }
    }

    /// The columns, in order of time.
    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Highest probability of each column, in thousandths. Empty if the label has no timeline.
    pub(super) fn peaks(&self, timeline: &[f32]) -> Vec<u16> {
        timeline
            .chunks(self.windows_per_column)
            .map(|group| {
                let peak = group.iter().copied().fold(0.0, f32::max);
                (peak.clamp(0.0, 1.0) * 1000.0).round() as u16
            })
            .collect()
    }

    /// The cells that stand out from an empty lane.
    pub(super) fn cells(&self, peaks: &[u16]) -> Vec<Cell> {
        self.columns
            .iter()
            .zip(peaks)
            .map(|(column, &peak)| Cell {
                level: level(peak),
                left: column.left,
                width: ((column.right - column.left) * 100.0).round() / 100.0,
            })
            .filter(|cell| cell.level > 0)
            .collect()
    }
}

fn level(thousandths: u16) -> u8 {
    u8::try_from(thousandths / 100).unwrap_or(u8::MAX).min(LEVELS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(n: usize, length: f64, hop: f64) -> Vec<Span> {
        (0..n).map(|i| Span { start: i as f64 * hop, end: i as f64 * hop + length }).collect()
    }

    #[test]
    fn overlapping_windows_meet_in_the_middle() {
        let columns = Columns::new(&windows(4, 8.0, 4.0), Axis::new(20.0));
        let edges: Vec<_> = columns.columns().iter().map(|c| (c.left, c.right)).collect();
        assert_eq!(edges, [(0.0, 30.0), (30.0, 50.0), (50.0, 70.0), (70.0, 100.0)]);
        assert_eq!((columns.columns()[1].start, columns.columns()[1].end), (4.0, 12.0));
    }

    #[test]
    fn many_windows_share_columns_and_keep_their_peaks() {
        let columns = Columns::new(&windows(600, 8.0, 4.0), Axis::new(2404.0));
        assert_eq!(columns.columns().len(), 200);
        let mut timeline = vec![0.0; 600];
        timeline[301] = 0.876;
        let peaks = columns.peaks(&timeline);
        assert_eq!((peaks.len(), peaks[100]), (200, 876));
        let cells = columns.cells(&peaks);
        assert_eq!((cells.len(), cells[0].level), (1, 8));
    }

    #[test]
    fn certain_is_the_highest_level() {
        let columns = Columns::new(&windows(3, 1.0, 1.0), Axis::new(3.0));
        let levels: Vec<_> = columns.cells(&columns.peaks(&[1.0, 0.1, 0.0999])).iter().map(|c| c.level).collect();
        assert_eq!(levels, [9, 1, 1]);
    }

    #[test]
    fn nothing_gives_nothing() {
        let columns = Columns::new(&[], Axis::new(0.0));
        assert!(columns.columns().is_empty() && columns.cells(&columns.peaks(&[])).is_empty());
        let columns = Columns::new(&windows(2, 1.0, 1.0), Axis::new(2.0));
        assert!(columns.cells(&columns.peaks(&[f32::NAN, 0.0])).is_empty());
    }
}
