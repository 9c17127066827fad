//! Graphics cards: AMD's and Intel's through sysfs, NVIDIA's through NVML.

mod amd;
mod card;
mod drm;
mod intel;
mod metrics;
mod nvidia;

pub use card::Choice;
pub use drm::DrmSource;
pub(crate) use drm::{card_names, identities};
pub use nvidia::NvidiaSource;
pub(crate) use nvidia::nvml_identities;

#[cfg(test)]
mod tests;
