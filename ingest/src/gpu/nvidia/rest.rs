//! How a card that may sleep is let to.

/// For how long a card has to be idle until it is left alone.
const IDLE_NS: i64 = 10_000_000_000;

/// For how long it is left alone then, so that its driver may put it to sleep: a question keeps it awake.
const REST_NS: i64 = 5_000_000_000;

/// Leaves an idle card alone for a while, again and again, until it sleeps or works.
#[derive(Debug)]
pub(super) struct Rest {
    /// Whether the kernel lets the card sleep at all.
    may_sleep: bool,
    idle_since_ns: Option<i64>,
    until_ns: i64,
}

impl Rest {
    pub(super) fn new(may_sleep: bool) -> Self {
        Self { may_sleep, idle_since_ns: None, until_ns: 0 }
    }

    /// Whether the card is left alone now.
    pub(super) fn is_on(&self, now_ns: i64) -> bool {
        now_ns < self.until_ns
    }

    /// Takes in that the card was asked, and whether it had nothing to do.
    pub(super) fn asked(&mut self, now_ns: i64, is_idle: bool) {
        if !self.may_sleep || !is_idle {
            self.idle_since_ns = None;
            return;
        }
        let since_ns = *self.idle_since_ns.get_or_insert(now_ns);
        if now_ns - since_ns >= IDLE_NS {
            self.until_ns = now_ns + REST_NS;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    /// Whether it is left alone after it was asked then.
    fn asked(rest: &mut Rest, seconds: i64, is_idle: bool) -> bool {
        rest.asked(seconds * S, is_idle);
        rest.is_on(seconds * S)
    }

    #[test]
    fn an_idle_card_is_asked_less_often_until_it_works() {
        let mut rest = Rest::new(true);
        assert!((1..11).all(|s| !asked(&mut rest, s, true)));
        assert!(asked(&mut rest, 11, true), "it has been idle for ten seconds");
        assert!(rest.is_on(15 * S) && !rest.is_on(16 * S));
        assert!(asked(&mut rest, 16, true), "still idle");
        assert!(!rest.is_on(21 * S) && !asked(&mut rest, 21, false));
        assert!((22..32).all(|s| !asked(&mut rest, s, true)), "idle anew");
        assert!(asked(&mut rest, 32, true));
    }

    #[test]
    fn one_that_never_sleeps_is_always_asked() {
        let mut rest = Rest::new(false);
        assert!((0..100).all(|s| !asked(&mut rest, s, true)));
    }
}
