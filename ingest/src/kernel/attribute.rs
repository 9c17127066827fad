//! One number in sysfs that a device may or may not have.

use std::path::Path;

use super::{KernelFile, signed};

/// An attribute of sysfs that is a number, or absent: what a device does not support is asked once.
#[derive(Debug, Default)]
pub struct Attribute(Option<KernelFile>);

/// The device that an attribute is of has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

impl Attribute {
    /// Opens `root/relative`, if there is such a file and it may be read.
    pub fn open(root: &Path, relative: &str) -> Self {
        Self(KernelFile::open(root, relative).ok())
    }

    /// Whether the device has it.
    pub fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// The bytes of the attribute, through `parse`; `None` where there is none now. A driver that says that it is
    /// not supported, or not permitted, is not asked again.
    ///
    /// # Errors
    /// [`Gone`] when the device has gone.
    pub fn read<T>(&mut self, parse: impl FnOnce(&[u8]) -> Option<T>) -> Result<Option<T>, Gone> {
        let Some(file) = &mut self.0 else { return Ok(None) };
        let error = match file.read_attribute() {
            Ok(reading) => return Ok(parse(reading.text)),
            Err(e) => e,
        };
        let not_supported = rustix::io::Errno::OPNOTSUPP.raw_os_error();
        if error.is_absent() {
            return Err(Gone);
        }
        if error.is_denied() || error.cause.raw_os_error() == Some(not_supported) {
            self.0 = None;
        }
        Ok(None)
    }

    /// The number that the attribute holds, in the driver's unit.
    ///
    /// # Errors
    /// [`Gone`] when the device has gone.
    pub fn number(&mut self) -> Result<Option<i64>, Gone> {
        self.read(signed)
    }

    /// The number that the attribute holds, divided.
    ///
    /// # Errors
    /// [`Gone`] when the device has gone.
    pub fn scaled(&mut self, divisor: f64) -> Result<Option<f64>, Gone> {
        Ok(self.number()?.map(|n| n as f64 / divisor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_may_be_absent_or_odd() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("power1_average"), "23500000\n").unwrap();
        std::fs::write(dir.path().join("odd"), "N/A\n").unwrap();
        let open = |name| Attribute::open(dir.path(), name);
        assert_eq!(open("power1_average").scaled(1e6), Ok(Some(23.5)));
        assert_eq!(open("odd").number(), Ok(None));
        let mut absent = open("absent");
        assert_eq!((absent.is_there(), absent.number()), (false, Ok(None)));
    }
}
