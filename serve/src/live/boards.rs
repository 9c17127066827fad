//! The boards of a session, and which of them the power of frames is of.

use arrow::array::RecordBatch;

use bl_align::driver::FirstBoard;

use super::cells::Cells;
use super::power::{Board, PowerRow};

/// Boards in the order in which they came.
#[derive(Debug, Default)]
pub struct Boards {
    all: Vec<Board>,
    /// Samples that are not told yet, one list a board.
    new: Vec<Vec<PowerRow>>,
    /// The board with the first sample of those that were read.
    earliest: FirstBoard,
    /// UID of the board with the first sample of the session, once that is known.
    first: Option<String>,
    /// Samples of that board that are not taken yet.
    of_first: Vec<PowerRow>,
}

impl Boards {
    /// None yet. `first` is the board with the first sample of the session, where that lies before what is read.
    pub(super) fn new(first: Option<String>) -> Self {
        Self { first, ..Self::default() }
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Board> {
        self.all.iter()
    }

    /// The board with the first sample of the session, as far as that is known: the rule of the SQL function `latency`.
    pub fn first(&self) -> Option<&Board> {
        let uid = self.first.as_deref().or(self.earliest.uid())?;
        self.all.iter().find(|board| board.uid == uid)
    }

    /// Takes rows of table `benchlab`.
    pub(super) fn push(&mut self, rows: &RecordBatch) {
        let cells = Cells(rows);
        for row in 0..cells.rows() {
            let Some(uid) = cells.text("device_uid", row) else { continue };
            let place = self.all.iter().position(|b| b.uid == uid).unwrap_or_else(|| {
                let source = cells.text("source", row).unwrap_or_default();
                self.all.push(Board::new(uid, source));
                self.new.push(Vec::new());
                self.all.len() - 1
            });
            self.earliest.see(cells.ts()[row], uid);
            let Some(sample) = self.all[place].push(&cells, row) else { continue };
            self.new[place].push(sample);
            if self.first.as_deref() == Some(uid) {
                self.of_first.push(sample);
            }
        }
    }

    /// Samples of the first board since the last call; none until it is known which one that is.
    pub(super) fn take_first(&mut self, now_ns: i64) -> Vec<PowerRow> {
        if self.first.is_none()
            && let Some(uid) = self.earliest.decided(now_ns)
            && let Some(board) = self.all.iter().find(|board| board.uid == uid)
        {
            (self.first, self.of_first) =
                (Some(board.uid.clone()), board.rows.iter().copied().collect());
        }
        std::mem::take(&mut self.of_first)
    }

    /// Samples since the last call, of each board that has any.
    pub(super) fn take_new(&mut self) -> Vec<(&str, Vec<PowerRow>)> {
        let new = self.new.iter_mut().map(std::mem::take);
        let told = self.all.iter().map(|board| board.uid.as_str()).zip(new);
        told.filter(|(_, new)| !new.is_empty()).collect()
    }

    /// Forgets samples before `ts_ns`, and more where there are more than `most` of a board.
    pub(super) fn trim_before(&mut self, ts_ns: i64, most: usize) {
        for board in &mut self.all {
            let surplus = board.rows.len().saturating_sub(most);
            board.rows.drain(..surplus);
            board.trim_before(ts_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use bl_store::Rows;

    use super::*;

    fn rows(uid: &str, stamps: &[i64]) -> RecordBatch {
        let mut rows = Rows::new(bl_schemas::table("benchlab").unwrap());
        let (device, sys) = (rows.column("device_uid"), rows.column("sys_w"));
        for ts in stamps {
            rows.begin(*ts, "t.board");
            rows.str(device, uid);
            rows.decimal(sys, 100_000);
        }
        rows.finish()
    }

    fn stamps(samples: &[PowerRow]) -> Vec<i64> {
        samples.iter().map(|sample| sample.ts_ns).collect()
    }

    #[test]
    fn the_first_board_is_that_of_the_first_sample_however_late_it_comes() {
        let mut boards = Boards::new(None);
        boards.push(&rows("B2", &[20, 40]));
        assert!(boards.take_first(100).is_empty(), "another may have been before");
        boards.push(&rows("B1", &[10, 30]));
        assert_eq!(stamps(&boards.take_first(10 + 1_000_000_000)), [10, 30]);
        boards.push(&rows("B2", &[60]));
        boards.push(&rows("B0", &[5]));
        boards.push(&rows("B1", &[50]));
        assert_eq!(stamps(&boards.take_first(20 + 1_000_000_000)), [50], "it stays");
        assert_eq!(boards.first().map(|b| b.uid.as_str()), Some("B1"));
        let new = boards.take_new();
        let new: Vec<_> = new.iter().map(|(uid, samples)| (*uid, samples.len())).collect();
        assert_eq!(new, [("B2", 3), ("B1", 3), ("B0", 1)]);
        assert!(boards.take_new().is_empty());
    }

    #[test]
    fn a_first_board_of_before_is_not_another_one_of_now() {
        let mut boards = Boards::new(Some("B1".into()));
        boards.push(&rows("B2", &[20]));
        assert!(boards.take_first(i64::MAX).is_empty());
        assert!(boards.first().is_none());
        boards.push(&rows("B1", &[30]));
        assert_eq!(stamps(&boards.take_first(40)), [30]);
    }
}
