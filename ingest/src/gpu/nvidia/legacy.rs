//! What drivers before 510 answer in a function of its own.

use std::ffi::OsString;
use std::sync::OnceLock;

use nvml_wrapper::Device;
use nvml_wrapper::error::{NvmlError, nvml_try};
use nvml_wrapper_sys::bindings::{NvmlLib, nvmlMemory_t};

/// The library once more, opened when it is asked for the first time: the wrapper knows the newer functions only. The
/// system gives the same copy of it, which the wrapper has initialised.
pub(super) struct Legacy {
    path: OsString,
    library: OnceLock<Option<NvmlLib>>,
}

impl Legacy {
    pub(super) fn new(path: OsString) -> Self {
        Self { path, library: OnceLock::new() }
    }

    /// Memory in use, with what the driver keeps for itself, and in all, of `nvmlDeviceGetMemoryInfo`.
    pub(super) fn memory(&self, device: &Device) -> Result<(u64, u64), NvmlError> {
        // SAFETY: it is the library that the wrapper has loaded, and loading runs nothing of it again.
        let library = self.library.get_or_init(|| unsafe { NvmlLib::new(&self.path) }.ok());
        let call =
            library.as_ref().and_then(|library| library.nvmlDeviceGetMemoryInfo.as_ref().ok());
        let call = call.ok_or(NvmlError::FunctionNotFound)?;
        let mut memory = nvmlMemory_t { total: 0, free: 0, used: 0 };
        // SAFETY: the handle is valid as long as `device`, and the function writes to `memory` alone (nvml.h).
        nvml_try(unsafe { call(device.handle(), &raw mut memory) })?;
        Ok((memory.used, memory.total))
    }
}
