//! One number in sysfs that a device may or may not have.

use std::path::Path;

use bl_store::Reason;

use super::{KernelFile, KernelFileError, signed};
use crate::source::Faults;

/// An attribute of sysfs that is a number, or absent: what a device does not support is asked once.
#[derive(Debug, Default)]
pub struct Attribute {
    file: Option<KernelFile>,
    /// It is there and may not be read, which is still to be told.
    refused: Option<KernelFileError>,
}

/// The device that an attribute is of has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

impl Attribute {
    /// Opens `root/relative`, if there is such a file. That it may not be read is told at the first read.
    pub fn open(root: &Path, relative: &str) -> Self {
        match KernelFile::open(root, relative) {
            Ok(file) => Self { file: Some(file), refused: None },
            Err(e) => Self { file: None, refused: e.is_denied().then_some(e) },
        }
    }

    /// Whether the device has it, be it readable or not.
    pub fn is_there(&self) -> bool {
        self.file.is_some() || self.refused.is_some()
    }

    /// The bytes of the attribute, through `parse`; `None` where there is none now. A driver that says that it is
    /// not supported is not asked again; one that refuses for now, as amdgpu does while it resets a card, is.
    ///
    /// # Errors
    /// [`Gone`] when the device has gone.
    pub fn read<T>(
        &mut self,
        faults: &mut Faults,
        parse: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, Gone> {
        if let Some(refused) = self.refused.take() {
            faults.note(Reason::Denied, 1, refused.to_string());
        }
        let Some(file) = &mut self.file else { return Ok(None) };
        let error = match file.read_attribute() {
            Ok(reading) => return Ok(parse(reading.text)),
            Err(e) => e,
        };
        let not_supported = rustix::io::Errno::OPNOTSUPP.raw_os_error();
        match () {
            () if error.is_absent() => return Err(Gone),
            () if error.is_denied() => faults.note(Reason::Denied, 1, error.to_string()),
            () if error.cause.raw_os_error() == Some(not_supported) => self.file = None,
            () => {}
        }
        Ok(None)
    }

    /// The number that the attribute holds, in the driver's unit.
    ///
    /// # Errors
    /// [`Gone`] when the device has gone.
    pub fn number(&mut self, faults: &mut Faults) -> Result<Option<i64>, Gone> {
        let mut is_malformed = false;
        let number = self.read(faults, |text| {
            let number = signed(text);
            is_malformed = number.is_none();
            number
        })?;
        if let Some(file) = self.file.as_ref().filter(|_| is_malformed) {
            faults.note(Reason::Malformed, 1, file.malformed().to_string());
        }
        Ok(number)
    }

    /// The number that the attribute holds, divided.
    ///
    /// # Errors
    /// [`Gone`] when the device has gone.
    pub fn scaled(&mut self, divisor: f64, faults: &mut Faults) -> Result<Option<f64>, Gone> {
        Ok(self.number(faults)?.map(|n| n as f64 / divisor))
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
        let mut faults = Faults::default();
        assert_eq!(open("power1_average").scaled(1e6, &mut faults), Ok(Some(23.5)));
        assert_eq!(open("odd").number(&mut faults), Ok(None));
        let mut absent = open("absent");
        assert_eq!((absent.is_there(), absent.number(&mut faults)), (false, Ok(None)));
    }
}
