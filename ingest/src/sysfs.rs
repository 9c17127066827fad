//! Files that the kernel writes as they are read: `/proc` and `/sys`.

mod attribute;
mod file;
mod text;

pub use attribute::{Attribute, Gone};
pub use file::{KernelFile, KernelFileError, Reading};
pub use text::{fields, lines, number, signed};
