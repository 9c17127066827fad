//! Cards, sensors and the tracer.

use std::path::Path;
use std::process::Command;

use super::Finding;
use crate::gpu::{self, Choice, card_names};
use crate::probe::{PLUGIN_FILE, find_plugin};
use crate::rapl;

/// NVIDIA's library, with its cards.
pub fn nvidia(root: &Path, is_asked: bool) -> Finding {
    const SUBJECT: &str = "NVIDIA";
    let asleep = gpu::sleeping_nvidia(root);
    if !asleep.is_empty() {
        let text = format!("asleep, and left so: {}", asleep.join(", "));
        return Finding::works(SUBJECT, text);
    }
    match nvml_wrapper::Nvml::init().and_then(|nvml| nvml.device_count()) {
        Ok(count) => Finding::works(SUBJECT, format!("NVML reads {count} cards")),
        Err(e) if root.join("sys/module/nvidia").exists() || is_asked => {
            Finding::failing(SUBJECT, format!("NVML cannot be used: {e}"), is_asked)
                .mended_by("sudo apt install libnvidia-ml1   # the version of the driver")
        }
        Err(_) => Finding::absent(SUBJECT, "no driver is loaded"),
    }
}

/// Cards of AMD in `/sys/class/drm`.
pub fn amd(root: &Path, is_asked: bool) -> Finding {
    cards(root, "AMD GPU", &["amdgpu"], is_asked)
}

/// Cards of Intel in `/sys/class/drm`.
pub fn intel(root: &Path, is_asked: bool) -> Finding {
    cards(root, "Intel GPU", &["xe", "i915"], is_asked)
}

fn cards(root: &Path, subject: &'static str, drivers: &[&str], is_asked: bool) -> Finding {
    match card_names(root, drivers).as_slice() {
        [] => {
            let text = format!("no card of driver {}", drivers.join(" or "));
            match is_asked {
                true => Finding::failing(subject, text, true).mended_by(format!(
                    "sudo modprobe {}   # or another gpu.provider",
                    drivers.first().copied().unwrap_or_default()
                )),
                false => Finding::absent(subject, text),
            }
        }
        names => Finding::works(subject, names.join(", ")),
    }
}

/// Cards that were chosen, by index, UUID or PCI address, and are none of those that NVML or the kernel shows.
pub fn chosen_cards(root: &Path, chosen: &[String]) -> Vec<Finding> {
    let cards = gpu::identities(root);
    let is_there = |name: &&String| {
        let choice = Choice::only(vec![(*name).clone()]);
        cards.iter().any(|card| choice.takes(card))
    };
    let known: Vec<&str> = cards.iter().map(|card| card.uuid.as_str()).collect();
    let known = if known.is_empty() { "there is none".to_owned() } else { known.join(", ") };
    let missing = chosen.iter().filter(|name| !is_there(name));
    missing
        .map(|name| {
            Finding::failing("chosen GPU", format!("{name} is not there; cards: {known}"), true)
                .mended_by("bl config show   # gpu.device_index and gpu.device_uuid")
        })
        .collect()
}

/// Chips in `/sys/class/hwmon`.
pub fn sensors(root: &Path, is_asked: bool) -> Finding {
    const SUBJECT: &str = "sensors";
    match std::fs::read_dir(root.join("sys/class/hwmon")).map(Iterator::count) {
        Ok(count @ 1..) => Finding::works(SUBJECT, format!("{count} chips in /sys/class/hwmon")),
        _ if is_asked => Finding::failing(SUBJECT, "no chip in /sys/class/hwmon", true)
            .mended_by("sudo sensors-detect   # of lm-sensors; or hwmon.enabled = false"),
        _ => Finding::absent(SUBJECT, "no chip in /sys/class/hwmon (virtual machines have none)"),
    }
}

/// Energy counters of the processor.
pub fn rapl(root: &Path, is_asked: bool) -> Finding {
    const SUBJECT: &str = "RAPL";
    match rapl::domains(root) {
        Ok(names) => Finding::works(SUBJECT, format!("energy of {}", names.join(", "))),
        Err(None) if is_asked => Finding::failing(SUBJECT, "this machine shows no energy counters", true)
            .mended_by("sudo modprobe intel_rapl_msr   # or cpu.enable_rapl = false"),
        Err(None) => Finding::absent(SUBJECT, "no energy counters (virtual machines have none)"),
        Err(Some(denied)) => Finding::failing(SUBJECT, denied, is_asked).mended_by(format!(
            "sudo groupadd -rf benchlab && sudo usermod -aG benchlab $USER && echo '{}' | sudo tee /etc/udev/rules.d/70-benchlab-rapl.rules && sudo udevadm trigger -s powercap",
            rapl::UDEV_RULE
        )),
    }
}

/// GStreamer's tools and the tracer plugin of `bl probe`. `configured` is BL_GST_PLUGIN_DIR.
pub fn gstreamer(executable: &Path, configured: Option<&Path>) -> Vec<Finding> {
    let tools = match Command::new("gst-launch-1.0").arg("--version").output() {
        Ok(out) if !out.status.success() => {
            let said = String::from_utf8_lossy(&out.stderr);
            let said = said.lines().next().unwrap_or_default();
            Finding::limited("GStreamer", format!("gst-launch-1.0 does not run: {said}"))
                .mended_by("sudo apt install --reinstall gstreamer1.0-tools")
        }
        Ok(out) => {
            let text = String::from_utf8_lossy(&out.stdout);
            let version = text.lines().find(|line| line.starts_with("GStreamer"));
            Finding::works("GStreamer", version.unwrap_or("gst-launch-1.0 runs"))
        }
        Err(_) => Finding::absent("GStreamer", "gst-launch-1.0 is not installed")
            .mended_by("sudo apt install gstreamer1.0-tools gstreamer1.0-plugins-base"),
    };
    let plugin = match find_plugin(executable, configured) {
        Ok(folder) => loads(&folder),
        Err(e) if configured.is_some() => Finding::failing("tracer plugin", e.to_string(), true)
            .mended_by(
                "make gst-plugin   # and BL_GST_PLUGIN_DIR names the folder of what it makes",
            ),
        Err(_) => Finding::absent("tracer plugin", "not built: bl probe needs it")
            .mended_by("make gst-plugin"),
    };
    vec![tools, plugin]
}

/// Whether GStreamer can load the plugin: it may have been built for another one. Its registry stays as it is.
fn loads(folder: &Path) -> Finding {
    const SUBJECT: &str = "tracer plugin";
    let shown = folder.display().to_string();
    let Ok(scratch) = tempfile::tempdir() else { return Finding::works(SUBJECT, shown) };
    let out = Command::new("gst-inspect-1.0")
        .arg(folder.join(PLUGIN_FILE))
        .env("GST_REGISTRY", scratch.path().join("registry.bin"))
        .env("GST_PLUGIN_SYSTEM_PATH", scratch.path())
        .output();
    match out {
        Ok(out) if !out.status.success() => {
            let said = String::from_utf8_lossy(&out.stderr);
            let said = said.lines().map(str::trim).find(|line| !line.is_empty());
            let said = said.unwrap_or("it does not say why");
            Finding::limited(SUBJECT, format!("{shown}: GStreamer cannot load it: {said}"))
                .mended_by("make gst-plugin")
        }
        Ok(_) => Finding::works(SUBJECT, shown),
        // What is said of GStreamer itself says enough.
        Err(_) => {
            Finding::works(SUBJECT, format!("{shown}, not tried: gst-inspect-1.0 is not here"))
        }
    }
}
