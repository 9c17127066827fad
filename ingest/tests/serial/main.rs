//! Virtual boards and the source that records them, over real PTYs.

mod record;
mod recording;
