//! Windows -> the columns of the heat map.

use super::axis::Axis;
use crate::decisions::Span;
use std::ops::Range;

/// More columns than this cannot be told apart on a screen.
const MAX_COLUMNS: usize = 240;
/// Steps of the colour scale; the lowest is the colour of an empty lane.
const LEVELS: u8 = 10;

/// The columns that all labels of one video share: the stretches of time between the windows' edges.
#[derive(Debug)]
pub(super) struct Columns {
    columns: Vec<Column>,
    /// Indices of the windows that cover each column.
    covering: Vec<Range<usize>>,
}

/// One column: its place on the axis, and its time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Column {
    /// Left edge in percent of the axis.
    pub(super) left: f64,
    /// Right edge in percent of the axis.
    pub(super) right: f64,
    /// Start in seconds.
    pub(super) start: f64,
    /// End in seconds.
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
    /// Lays out windows whose starts and ends are in order of time. A column shows the highest probability of all
    /// windows that cover it, as a label's spans do: it holds where one of them says so. Time that no window covers
    /// gets no column.
    pub(super) fn new(windows: &[Span], axis: Axis) -> Self {
        let mut edges: Vec<f64> = windows.iter().flat_map(|w| [w.start, w.end]).collect();
        edges.sort_by(f64::total_cmp);
        edges.dedup();
        let stretches: Vec<(Span, Range<usize>)> = edges
            .windows(2)
            .map(|edge| {
                let first = windows.partition_point(|w| w.end <= edge[0]);
                let end = windows.partition_point(|w| w.start <= edge[0]);
                (Span { start: edge[0], end: edge[1] }, first..end)
            })
            .filter(|(_, covering)| !covering.is_empty())
            .collect();
        let (columns, covering) = stretches
            .chunks(stretches.len().div_ceil(MAX_COLUMNS).max(1))
            .map(|group| {
                let ((first, from), (last, to)) = (&group[0], &group[group.len() - 1]);
                let column = Column {
                    left: axis.percent(first.start),
                    right: axis.percent(last.end),
                    start: first.start,
                    end: last.end,
                };
                (column, from.start..to.end)
            })
            .unzip();
        Self { columns, covering }
    }

    /// The columns, in order of time.
    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Highest probability of each column, in thousandths. Empty if the label has no timeline.
    pub(super) fn peaks(&self, timeline: &[f32]) -> Vec<u16> {
        if timeline.is_empty() {
            return Vec::new();
        }
        self.covering
            .iter()
            .map(|windows| {
                let peak = timeline[windows.clone()].iter().copied().fold(0.0, f32::max);
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
    use crate::decisions::spans_above;

    fn windows(n: usize, length: f64, hop: f64) -> Vec<Span> {
        (0..n).map(|i| Span { start: i as f64 * hop, end: i as f64 * hop + length }).collect()
    }

    #[test]
    fn a_column_shows_the_highest_of_the_windows_that_cover_it() {
        let columns = Columns::new(&windows(4, 8.0, 4.0), Axis::new(20.0));
        let edges: Vec<_> = columns.columns().iter().map(|c| (c.left, c.right)).collect();
        assert_eq!(edges, [(0.0, 20.0), (20.0, 40.0), (40.0, 60.0), (60.0, 80.0), (80.0, 100.0)]);
        assert_eq!((columns.columns()[1].start, columns.columns()[1].end), (4.0, 8.0));
        assert_eq!(columns.peaks(&[0.1, 0.9, 0.2, 0.3]), [100, 900, 900, 300, 300]);
    }

    #[test]
    fn spans_end_where_strong_cells_end() {
        let (windows, timeline) = (windows(6, 2.0, 1.5), [0.1, 0.6, 0.2, 0.1, 0.8, 0.9]);
        let axis = Axis::new(10.0);
        let columns = Columns::new(&windows, axis);
        let peaks = columns.peaks(&timeline);
        let spans = spans_above(0.5, &windows, &timeline);
        for (column, peak) in columns.columns().iter().zip(peaks) {
            let inside = spans.iter().any(|s| s.start <= column.start && column.end <= s.end);
            assert_eq!(peak >= 500, inside, "{column:?}");
        }
    }

    #[test]
    fn gaps_between_windows_are_left_blank() {
        let columns = Columns::new(&windows(2, 2.0, 5.0), Axis::new(10.0));
        let edges: Vec<_> = columns.columns().iter().map(|c| (c.left, c.right)).collect();
        assert_eq!(edges, [(0.0, 20.0), (50.0, 70.0)]);
    }

    #[test]
    fn many_windows_share_columns_and_keep_their_peaks() {
        let columns = Columns::new(&windows(600, 8.0, 4.0), Axis::new(2404.0));
        assert_eq!(columns.columns().len(), 201);
        let mut timeline = vec![0.0; 600];
        timeline[301] = 0.876;
        let cells = columns.cells(&columns.peaks(&timeline));
        // 1204 s to 1212 s, of 2404 s in steps of 12 s.
        assert!(!cells.is_empty() && cells.iter().all(|cell| cell.level == 8));
        assert_eq!(cells[0].left, 49.92);
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
