//! Upkeep of a session: one process at a time changes what is sealed of it.

use std::fmt;

use crate::error::{Result, StoreError};
use crate::layout::SessionDir;
use crate::lock::{Attempt, Lock};

/// What is done to a session's sealed files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Task {
    /// What a dead recorder left is sealed.
    Recovery,
    /// What is damaged is mended or set aside.
    Repair,
    /// Small files become large ones.
    Compaction,
    /// What is old is removed.
    Retention,
    /// Files go elsewhere.
    Shipping,
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Task::Recovery => "recovered",
            Task::Repair => "repaired",
            Task::Compaction => "compacted",
            Task::Retention => "thinned out",
            Task::Shipping => "shipped",
        })
    }
}

/// The right to change the sealed files of a session, and their indexes: one holder a session, until it is dropped or its
/// process dies. It lies beside the lock of the writer, who adds files meanwhile and changes none.
///
/// Whoever needs both takes the writer's first.
#[derive(Debug)]
pub struct Maintenance {
    dir: SessionDir,
    _lock: Lock,
}

impl Maintenance {
    /// Takes it, for that task.
    ///
    /// # Errors
    /// [`StoreError::Busy`] with the holder's process number when somebody has it, and what the disk says.
    pub fn take(dir: &SessionDir, task: Task) -> Result<Self> {
        match Lock::try_take(&dir.maintenance(), &task.to_string())? {
            Attempt::Got(lock) => Ok(Self { dir: dir.clone(), _lock: lock }),
            Attempt::Held(holder) => {
                Err(StoreError::Busy { name: dir.name(), pid: holder.pid, what: holder.what })
            }
        }
    }

    /// The session's folder.
    pub fn dir(&self) -> &SessionDir {
        &self.dir
    }
}
