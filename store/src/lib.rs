//! Sessions on disk: write-ahead segments, sealed Parquet, recovery and reading.
//!
//! The store is the bus between what records and what reads: one [`SessionWriter`] a session, any number of
//! readers through [`Store`] and [`Session`], which see sealed and open rows together. `docs/format.md` draws
//! the files byte by byte.

pub mod clock;
mod count;
mod error;
mod follow;
mod frame;
mod health;
pub mod index;
mod layout;
mod lock;
mod maintenance;
mod manifest;
mod memory;
mod merge;
mod names;
mod overlap;
mod parquet_file;
mod recover;
mod repair;
mod rest;
mod rows;
mod seal;
mod segment;
mod sequence;
mod session;
pub mod storage;
mod store;
mod verified;
pub mod verify;
mod writer;

pub use count::Footer;
pub use error::{Result, StoreError};
pub use follow::Follower;
pub use health::{Reason, health_row};
pub use layout::{SealedFile, SessionDir};
pub use maintenance::{Maintenance, Task};
pub use manifest::{FORMAT, FirstFrame, Import, Manifest, State, boot_id};
pub use memory::give_back_memory;
pub use names::{NameError, SessionId};
pub use overlap::chains;
pub use parquet_file::write_parquet;
pub use recover::Recovered;
pub use repair::{Mended, Mending, Repair, repair};
pub use rest::{Origin, at_rest};
pub use rows::{ColumnIndex, Rows};
pub use segment::{Damage, SegmentReader};
pub use session::{Files, Session, Snapshot};
pub use storage::replace_file;
pub use store::Store;
pub use verified::Verified;
pub use writer::{Full, SessionSpec, SessionWriter, WriteOptions};
