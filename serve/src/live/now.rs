//! What the follower knows at a moment.

use bl_store::clock::{Anchor, realtime_ns};

use super::catalog::{Catalog, Entry};
use super::log::Log;
use super::status::{Exporter, StoreState};
use super::window::Window;

/// What the follower knows, behind one lock that is held for moments only.
pub struct Now {
    /// The sessions of the store.
    pub catalog: Catalog,
    /// The session that is shown as live, also for a while after its end.
    pub window: Option<Window>,
    /// What was sent.
    pub log: Log,
    pub(super) store: StoreState,
    pub(super) exporters: Vec<Exporter>,
}

impl Now {
    /// Nothing is known yet of what `catalog` will find.
    pub(super) fn new(catalog: Catalog) -> Self {
        Self {
            catalog,
            window: None,
            log: Log::default(),
            store: StoreState::default(),
            exporters: Vec::new(),
        }
    }

    /// Now on the timeline of the session that is shown, else of this host.
    pub fn time_ns(&self) -> i64 {
        self.window.as_ref().map_or_else(realtime_ns, |w| clock_of(&w.entry))
    }
}

/// Now on the session's timeline. One of another boot has a clock that has ended: then this host's.
pub(super) fn clock_of(entry: &Entry) -> i64 {
    let m = entry.session.manifest();
    let is_of_this_boot = m.boot_id.is_some() && m.boot_id == bl_store::boot_id();
    if is_of_this_boot { m.anchor.now() } else { Anchor::measure().now() }
}
