//! Pairing of any number of pipelines that share a stream of events.

use std::ops::{Add, Range};

use arrow_buffer::NullBuffer;

use super::{KeyColumn, PairCounts, PairOptions, Paired, PipelinePairer, Side, StageEvents};

/// Rows of one pipeline that follow one another are taken as they lie where there are so many of
/// them; else they are gathered.
const LONG_RUN: usize = 64;

/// A [`PipelinePairer`] for each pipeline, and their rows together.
pub struct Pipelines<P = ()> {
    options: PairOptions,
    pairers: Vec<PipelinePairer<P>>,
    /// Finished rows that were not taken.
    done: Vec<Paired<P>>,
    watermark_ns: i64,
    finished: bool,
    /// Rows of a batch by pipeline, kept for their memory.
    rows: Vec<Vec<u32>>,
}

impl<P: Copy + Default> Pipelines<P> {
    /// Nothing seen yet.
    pub fn new(options: PairOptions) -> Self {
        Self {
            options,
            pairers: Vec::new(),
            done: Vec::new(),
            watermark_ns: i64::MIN,
            finished: false,
            rows: Vec::new(),
        }
    }

    /// Takes events; `side` and `carry` are asked for each row.
    ///
    /// # Panics
    /// When the columns differ in length.
    pub fn push_columns(
        &mut self,
        events: &StageEvents<'_>,
        side: impl Fn(usize) -> Option<Side>,
        carry: impl Fn(usize) -> P,
    ) {
        match events.pipeline {
            None => self.pairer(0).push_columns(events, side, carry),
            Some(of) if is_in_runs(of) => self.push_runs(events, of, side, carry),
            Some(of) => self.push_gathered(events, of, side, carry),
        }
        if let Some(&last_ns) = events.ts_ns.iter().max() {
            self.advance(last_ns.saturating_sub(self.options.lateness_ns.max(0)));
        }
    }

    fn push_runs(
        &mut self,
        events: &StageEvents<'_>,
        pipelines: &[u32],
        side: impl Fn(usize) -> Option<Side>,
        carry: impl Fn(usize) -> P,
    ) {
        let mut start = 0;
        for run in pipelines.chunk_by(PartialEq::eq) {
            let rows = start..start + run.len();
            let keys: Vec<_> = events.keys.iter().map(|key| cut(*key, rows.clone())).collect();
            let keys: Vec<_> = keys.iter().map(|(id, nulls)| (*id, nulls.as_ref())).collect();
            let ts_ns = &events.ts_ns[rows];
            let of_run = StageEvents { ts_ns, keys: &keys, pipeline: None };
            self.pairer(run[0] as usize).push_columns(
                &of_run,
                |row| side(start + row),
                |row| carry(start + row),
            );
            start += run.len();
        }
    }

    fn push_gathered(
        &mut self,
        events: &StageEvents<'_>,
        pipelines: &[u32],
        side: impl Fn(usize) -> Option<Side>,
        carry: impl Fn(usize) -> P,
    ) {
        let mut rows = std::mem::take(&mut self.rows);
        for (row, pipeline) in pipelines.iter().enumerate() {
            let pipeline = *pipeline as usize;
            if pipeline >= rows.len() {
                rows.resize_with(pipeline + 1, Vec::new);
            }
            if side(row).is_some() {
                rows[pipeline].push(row as u32);
            }
        }
        for (pipeline, rows) in rows.iter_mut().enumerate() {
            if !rows.is_empty() {
                self.pairer(pipeline).push_rows(events, rows, &side, &carry);
                rows.clear();
            }
        }
        self.rows = rows;
    }

    /// Pipelines are numbered as they come.
    fn pairer(&mut self, pipeline: usize) -> &mut PipelinePairer<P> {
        while self.pairers.len() <= pipeline {
            self.pairers.push(PipelinePairer::new(self.pairers.len() as u32, self.options));
        }
        &mut self.pairers[pipeline]
    }

    /// Tells that every event before `watermark_ns` has been pushed.
    pub fn advance(&mut self, watermark_ns: i64) {
        self.watermark_ns = self.watermark_ns.max(watermark_ns);
        self.pairers.iter_mut().for_each(|pairer| pairer.advance(watermark_ns));
        self.collect();
    }

    /// Tells that no event will come any more.
    pub fn finish(&mut self) {
        self.pairers.iter_mut().for_each(PipelinePairer::finish);
        self.finished = true;
        self.collect();
    }

    /// Ends as it is, with more to come: see [`PipelinePairer::leave`].
    pub fn leave(&mut self) {
        self.pairers.iter_mut().for_each(PipelinePairer::leave);
        self.collect();
    }

    fn collect(&mut self) {
        self.done.extend(self.pairers.iter_mut().flat_map(PipelinePairer::take));
    }

    /// The rows that are finished, in no order, and forgets them.
    pub fn take(&mut self) -> Vec<Paired<P>> {
        std::mem::take(&mut self.done)
    }

    /// The rows that none to come precedes, in order of time and then of the pipelines' numbers, and
    /// forgets them. For [`Order::StageA`](super::Order::StageA).
    pub fn take_settled(&mut self) -> Vec<Paired<P>> {
        let bound_ns = self.settled_until_ns();
        self.done.sort_by_key(|row| (row.pair.ts_ns, row.pair.key.group));
        let due = match self.finished {
            true => self.done.len(),
            false => self.done.partition_point(|row| row.pair.ts_ns < bound_ns),
        };
        let later = self.done.split_off(due);
        std::mem::replace(&mut self.done, later)
    }

    /// How many rows are finished; some may not be settled yet.
    pub fn ready(&self) -> usize {
        self.done.len()
    }

    /// Every frame that began before this instant was finished.
    pub fn settled_until_ns(&self) -> i64 {
        let open = self.pairers.iter().map(PipelinePairer::settled_until_ns).min();
        open.unwrap_or(self.watermark_ns)
    }

    /// Whether any event of this stage came.
    pub fn has_seen(&self, side: Side) -> bool {
        self.pairers.iter().any(|pairer| pairer.has_seen(side))
    }

    /// What became of the events so far.
    pub fn counts(&self) -> PairCounts {
        self.pairers.iter().map(PipelinePairer::counts).fold(PairCounts::default(), Add::add)
    }
}

/// Whether mostly rows of one pipeline follow one another.
fn is_in_runs(pipelines: &[u32]) -> bool {
    let runs = 1 + pipelines.windows(2).filter(|pair| pair[0] != pair[1]).count();
    pipelines.len() >= LONG_RUN * runs || runs == 1
}

/// Some rows of a column.
fn cut<'a>((id, nulls): KeyColumn<'a>, rows: Range<usize>) -> (&'a [i64], Option<NullBuffer>) {
    (&id[rows.clone()], nulls.map(|nulls| nulls.slice(rows.start, rows.len())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Order, Wanted};
    use super::*;

    /// Pipeline, side, frame number, running time, and how long after the event before.
    type Drawn = (u32, bool, Option<i64>, Option<i64>, i64);

    const OPTIONS: PairOptions = PairOptions {
        window_ns: 40,
        lateness_ns: 0,
        hold_ns: 0,
        order: Order::StageA,
        wanted: Wanted::All,
    };

    /// The settled rows, events going in `batch` at a time.
    fn settled(events: &[Drawn], batch: usize) -> Vec<(i64, Option<i64>, u64)> {
        let mut pipelines = Pipelines::new(OPTIONS);
        let (mut rows, mut ts_ns, mut first) = (Vec::new(), 0, 0);
        for events in events.chunks(batch) {
            let stamps: Vec<i64> = events
                .iter()
                .map(|event| {
                    ts_ns += event.4;
                    ts_ns
                })
                .collect();
            let column = |of: fn(&Drawn) -> Option<i64>| {
                let ids: Vec<i64> = events.iter().map(|event| of(event).unwrap_or(0)).collect();
                (ids, events.iter().map(|event| of(event).is_some()).collect::<NullBuffer>())
            };
            let columns = [column(|event| event.2), column(|event| event.3)];
            let keys = columns.each_ref().map(|(ids, nulls)| (ids.as_slice(), Some(nulls)));
            let pipeline: Vec<u32> = events.iter().map(|event| event.0).collect();
            let events_of = StageEvents { ts_ns: &stamps, keys: &keys, pipeline: Some(&pipeline) };
            let side = |row: usize| Some(if events[row].1 { Side::A } else { Side::B });
            pipelines.push_columns(&events_of, side, |row| first + row as u64);
            first += events.len() as u64;
            rows.extend(pipelines.take_settled());
        }
        pipelines.finish();
        rows.extend(pipelines.take_settled());
        assert!(rows.is_sorted_by_key(|row| (row.pair.ts_ns, row.pair.key.group)), "in order");
        let rows =
            rows.into_iter().map(|row| (row.pair.ts_ns, row.pair.latency_ns, row.pair.carry));
        rows.collect()
    }

    proptest! {
        #[test]
        fn rows_are_the_same_however_events_come_in(
            events in proptest::collection::vec(
                (
                    0..3_u32,
                    any::<bool>(),
                    proptest::option::weighted(0.8, 0..6_i64),
                    proptest::option::weighted(0.8, 0..6_i64),
                    0..9_i64,
                ),
                0..120,
            ),
            batch in 1..50_usize,
        ) {
            let at_once = settled(&events, usize::MAX);
            prop_assert_eq!(&settled(&events, batch), &at_once);
            // A pipeline is paired as if it were alone.
            for alone in 0..3 {
                let mut after_ns = 0;
                let own: Vec<Drawn> = events
                    .iter()
                    .filter_map(|event| {
                        after_ns += event.4;
                        let own = event.0 == alone;
                        own.then(|| Drawn::from((alone, event.1, event.2, event.3, std::mem::take(&mut after_ns))))
                    })
                    .collect();
                let rows = |events: &[Drawn], rows: Vec<(i64, Option<i64>, u64)>| -> Vec<_> {
                    let of = rows.into_iter().filter(|row| events[row.2 as usize].0 == alone);
                    of.map(|row| (row.0, row.1)).collect()
                };
                prop_assert_eq!(rows(&own, settled(&own, 7)), rows(&events, at_once.clone()));
            }
        }
    }
}
