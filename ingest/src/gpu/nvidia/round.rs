//! One sample of every card.

use bl_store::clock::monotonic_ns;

use super::NAME;
use super::card::{Card, Taken};
use super::turns::Turns;
use crate::gpu::card::{GpuTable, Sample};
use crate::source::{Context, Faults, Reason};

/// One sample of every card, and of one of them what takes long.
pub(super) struct Round {
    period_ns: i64,
    pcie: Turns,
    details: Turns,
}

impl Round {
    pub(super) fn new(hz: f64) -> Self {
        let period_ns = (1e9 / hz) as i64;
        Self { period_ns, pcie: Turns::default(), details: Turns::default() }
    }

    pub(super) fn sample(
        &mut self,
        cards: &mut [Card],
        table: &mut GpuTable,
        context: &Context,
        faults: &mut Faults,
    ) {
        let mut taken: Vec<_> = cards.iter_mut().map(|card| card.sample(faults)).collect();
        let now_ns = monotonic_ns();
        if let Some(turn) = self.details.take(now_ns, cards.len()) {
            ask(cards, &mut taken, turn, |card, sample| card.ask_details(sample, faults));
        }
        if let Some(turn) = self.pcie.take(now_ns, 2 * cards.len()) {
            let from_ns = monotonic_ns();
            let sends = turn % 2 == 1;
            ask(cards, &mut taken, turn / 2, |card, sample| card.ask_pcie(sample, sends, faults));
            self.pcie.took(from_ns, monotonic_ns(), self.period_ns);
        }
        for (card, taken) in cards.iter_mut().zip(taken) {
            match taken {
                Taken::Sample(at_ns, sample) => {
                    table.add(context.anchor().ts(at_ns), NAME, &card.identity, &sample);
                }
                Taken::Lost => {
                    let text = format!("{} has fallen off the bus", card.who());
                    context.health(Reason::Unplugged, 1, text);
                }
                Taken::Rests => {}
            }
            if let Some((count, text)) = card.newly_unsupported() {
                context.health(Reason::Unsupported, count, text);
            }
        }
    }
}

/// Asks one of the cards, if it has been sampled and is awake.
fn ask(
    cards: &mut [Card],
    taken: &mut [Taken],
    which: usize,
    mut what: impl FnMut(&mut Card, &mut Sample),
) {
    if let (Some(card), Some(Taken::Sample(_, sample))) =
        (cards.get_mut(which), taken.get_mut(which))
        && card.is_asked(sample)
    {
        what(card, sample);
    }
}
