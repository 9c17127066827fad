//! Which boards of a server deliver, and since when others do not.

use std::collections::BTreeMap;

use crate::source::{Context, Reason};

/// The boards of one server.
#[derive(Debug, Default)]
pub(super) struct Presence(BTreeMap<String, Board>);

#[derive(Debug)]
struct Board {
    present: bool,
    last_ns: i64,
}

impl Presence {
    /// Notes that a board has delivered: a row of `health` when it is new or back.
    pub fn seen(&mut self, context: &Context, uid: &str, now_ns: i64) {
        let known = self.0.get(uid).is_some_and(|board| board.present);
        if !known {
            let back = if self.0.contains_key(uid) { "delivers again" } else { "delivers" };
            context.up(format!("{uid} {back}"));
        }
        self.0.insert(uid.to_owned(), Board { present: true, last_ns: now_ns });
    }

    /// Notes that a board is away: a row of `health` the first time.
    pub fn away(&mut self, context: &Context, uid: &str, why: &str) {
        if let Some(board) = self.0.get_mut(uid).filter(|board| board.present) {
            board.present = false;
            context.health(Reason::Down, 1, format!("{uid} delivers nothing: {why}"));
        }
    }

    /// Notes as away what has not delivered for `patience_ns`.
    pub fn expire(&mut self, context: &Context, now_ns: i64, patience_ns: i64) {
        let silent = |board: &Board| board.present && now_ns - board.last_ns > patience_ns;
        let uids: Vec<String> =
            self.0.iter().filter(|(_, b)| silent(b)).map(|(uid, _)| uid.clone()).collect();
        for uid in uids {
            let why = format!("nothing came for {} s", patience_ns / 1_000_000_000);
            self.away(context, &uid, &why);
        }
    }
}
