//! Files that the kernel writes as they are read: `/proc` and `/sys`.

mod file;
mod text;

pub use file::{KernelFile, KernelFileError, Reading};
pub use text::{fields, lines, number, signed};
