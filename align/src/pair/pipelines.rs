//! Pairing of any number of pipelines that share a stream of events.

use std::ops::{Add, Range};

use arrow_buffer::NullBuffer;

use super::{
    FirstKeys, KeyColumn, Pair, PairCounts, PairOptions, PipelinePairer, Side, StageEvents,
};

/// A [`PipelinePairer`] for each pipeline, and their rows together.
pub struct Pipelines<P = ()> {
    options: PairOptions,
    pairers: Vec<PipelinePairer<P>>,
    /// Finished rows that were not taken.
    done: Vec<Pair<P>>,
    watermark_ns: i64,
    finished: bool,
}

impl<P: Copy + Default> Pipelines<P> {
    /// Nothing seen yet.
    pub fn new(options: PairOptions) -> Self {
        let (pairers, done) = (Vec::new(), Vec::new());
        Self { options, pairers, done, watermark_ns: i64::MIN, finished: false }
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
        // Rows of one pipeline go in together: mostly there is but one, or they come in runs.
        let mut start = 0;
        while start < events.ts_ns.len() {
            let (pipeline, end) = run(events, start);
            let keys: Vec<_> = events.keys.iter().map(|key| cut(*key, start..end)).collect();
            let keys: Vec<_> = keys.iter().map(|(id, nulls)| (*id, nulls.as_ref())).collect();
            self.pairer(pipeline).push_columns(
                &events.ts_ns[start..end],
                &keys,
                |row| side(start + row),
                |row| carry(start + row),
            );
            start = end;
        }
        if let Some(&last_ns) = events.ts_ns.iter().max() {
            self.advance(last_ns.saturating_sub(self.options.lateness_ns.max(0)));
        }
    }

    /// Pipelines are numbered as they come.
    fn pairer(&mut self, pipeline: usize) -> &mut PipelinePairer<P> {
        while self.pairers.len() <= pipeline {
            self.pairers.push(PipelinePairer::new(self.options, FirstKeys::default()));
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

    fn collect(&mut self) {
        self.done.extend(self.pairers.iter_mut().flat_map(PipelinePairer::take));
    }

    /// The rows that are finished, in no order, and forgets them.
    pub fn take(&mut self) -> Vec<Pair<P>> {
        std::mem::take(&mut self.done)
    }

    /// The rows that none to come precedes, in order of time, and forgets them. For
    /// [`Order::StageA`](super::Order::StageA).
    pub fn take_settled(&mut self) -> Vec<Pair<P>> {
        let bound_ns = self.settled_until_ns();
        self.done.sort_by_key(|pair| pair.ts_ns);
        let due = match self.finished {
            true => self.done.len(),
            false => self.done.partition_point(|pair| pair.ts_ns < bound_ns),
        };
        let later = self.done.split_off(due);
        std::mem::replace(&mut self.done, later)
    }

    /// How many rows are finished; some may not be settled yet.
    pub fn ready(&self) -> usize {
        self.done.len()
    }

    fn settled_until_ns(&self) -> i64 {
        let open = self.pairers.iter().map(PipelinePairer::settled_until_ns).min();
        open.unwrap_or(self.watermark_ns)
    }

    /// Whether a pipeline is paired in order, as its stages share no key.
    pub fn any_keyless(&self) -> bool {
        self.pairers.iter().any(PipelinePairer::is_keyless)
    }

    /// What became of the events so far.
    pub fn counts(&self) -> PairCounts {
        self.pairers.iter().map(PipelinePairer::counts).fold(PairCounts::default(), Add::add)
    }
}

/// The pipeline of a row, and where the rows of that pipeline end that follow it.
fn run(events: &StageEvents<'_>, start: usize) -> (usize, usize) {
    let Some(pipelines) = events.pipeline else { return (0, events.ts_ns.len()) };
    let pipeline = pipelines[start];
    let rows = pipelines[start..].iter().take_while(|other| **other == pipeline).count();
    (pipeline as usize, start + rows)
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

    const OPTIONS: PairOptions =
        PairOptions { window_ns: 40, lateness_ns: 0, order: Order::StageA, wanted: Wanted::All };

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
        assert!(rows.is_sorted_by_key(|pair| pair.ts_ns), "in order of time");
        let mut rows: Vec<_> =
            rows.into_iter().map(|pair| (pair.ts_ns, pair.latency_ns, pair.carry)).collect();
        rows.sort_unstable();
        rows
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
