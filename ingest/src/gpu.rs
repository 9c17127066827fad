//! Graphics cards: AMD's and Intel's through sysfs, NVIDIA's through NVML.

mod amd;
mod card;
mod drm;
mod intel;
mod metrics;
mod nvidia;
mod pci;

/// How often cards that were not there are looked for.
const CARDS_COME: std::time::Duration = std::time::Duration::from_secs(10);

pub use card::Choice;
pub use drm::DrmSource;
pub(crate) use drm::card_names;
pub use nvidia::NvidiaSource;
pub(crate) use nvidia::sleeping as sleeping_nvidia;

/// The cards of this machine, as they are chosen.
pub(crate) fn identities(root: &std::path::Path) -> Vec<card::Identity> {
    [nvidia::nvml_identities(root), drm::identities(root)].concat()
}

#[cfg(test)]
mod tests;
