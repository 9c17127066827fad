//! Boards, cards, sensors and the tracer.

use std::path::Path;
use std::process::Command;

use super::Finding;
use crate::gpu::card_names;
use crate::probe::find_plugin;
use crate::rapl;
use crate::serial::{ConnectOptions, Found, Occupant, Roots, Selector, discover};
use crate::source::Stop;

/// Group that may open serial ports on Debian and Ubuntu.
const JOIN_DIALOUT: &str =
    "sudo usermod -aG dialout $USER   # then log in again; or install deploy/udev's rule";

/// BENCHLAB boards at USB: one finding a port, and one for each selected board that is not there.
pub fn boards(roots: &Roots, selectors: &[Selector], stop: &Stop) -> Vec<Finding> {
    let found = discover(roots, &ConnectOptions::default(), stop);
    let mut findings: Vec<Finding> = found.iter().map(board).collect();
    for selector in selectors {
        findings.extend(missing(selector, &found));
    }
    if findings.is_empty() {
        findings.push(
            Finding::absent("board", "no BENCHLAB board is plugged in")
                .mended_by("bl ingest --simulate   # records a virtual one meanwhile"),
        );
    }
    findings
}

fn board(found: &Found) -> Finding {
    let path = found.port.path.display();
    match &found.occupant {
        Occupant::Board(identity) => {
            let text = format!("{path}: {}, UID {}", identity.contract, identity.uid);
            Finding::works("board", text)
        }
        Occupant::Other(what) => Finding::absent("board", format!("{path}: {what}")),
        Occupant::Unreachable(why) => {
            Finding::failing("board", format!("{path}: {why}"), false).mended_by(JOIN_DIALOUT)
        }
    }
}

/// A selected board that is not among those found.
fn missing(selector: &Selector, found: &[Found]) -> Option<Finding> {
    let is_there = match selector {
        Selector::Auto => true,
        Selector::Path(path) => path.exists(),
        Selector::Uid(uid) => found.iter().any(|f| match &f.occupant {
            Occupant::Board(identity) => identity.uid == *uid,
            _ => false,
        }),
    };
    (!is_there).then(|| {
        Finding::failing("board", format!("benchlab.device {selector} is not there"), true)
            .mended_by("bl device list")
    })
}

/// NVIDIA's library, with its cards.
pub fn nvidia(root: &Path, is_asked: bool) -> Finding {
    const SUBJECT: &str = "NVIDIA";
    match nvml_wrapper::Nvml::init().and_then(|nvml| nvml.device_count()) {
        Ok(count) => Finding::works(SUBJECT, format!("NVML reads {count} cards")),
        Err(e) if root.join("sys/module/nvidia").exists() || is_asked => {
            Finding::failing(SUBJECT, format!("NVML cannot be used: {e}"), is_asked)
                .mended_by("sudo apt install libnvidia-ml1   # the version of the driver")
        }
        Err(_) => Finding::absent(SUBJECT, "no driver is loaded"),
    }
}

/// Cards of AMD and Intel in `/sys/class/drm`.
pub fn cards(root: &Path) -> Finding {
    const SUBJECT: &str = "AMD, Intel GPU";
    match card_names(root, &["amdgpu", "i915", "xe"]).as_slice() {
        [] => Finding::absent(SUBJECT, "no card of the drivers amdgpu, i915 or xe"),
        names => Finding::works(SUBJECT, names.join(", ")),
    }
}

/// Chips in `/sys/class/hwmon`.
pub fn sensors(root: &Path) -> Finding {
    const SUBJECT: &str = "sensors";
    match std::fs::read_dir(root.join("sys/class/hwmon")).map(Iterator::count) {
        Ok(count @ 1..) => Finding::works(SUBJECT, format!("{count} chips in /sys/class/hwmon")),
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
            "echo '{}' | sudo tee /etc/udev/rules.d/70-benchlab-rapl.rules && sudo udevadm trigger -s powercap",
            rapl::UDEV_RULE
        )),
    }
}

/// GStreamer's tools and the tracer plugin of `bl probe`. `configured` is BL_GST_PLUGIN_DIR.
pub fn gstreamer(executable: &Path, configured: Option<&Path>) -> Vec<Finding> {
    let tools = match Command::new("gst-launch-1.0").arg("--version").output() {
        Ok(out) => {
            let text = String::from_utf8_lossy(&out.stdout);
            let version = text.lines().find(|line| line.starts_with("GStreamer"));
            Finding::works("GStreamer", version.unwrap_or("gst-launch-1.0 runs"))
        }
        Err(_) => Finding::absent("GStreamer", "gst-launch-1.0 is not installed")
            .mended_by("sudo apt install gstreamer1.0-tools gstreamer1.0-plugins-base"),
    };
    let plugin = match find_plugin(executable, configured) {
        Ok(folder) => Finding::works("tracer plugin", folder.display().to_string()),
        Err(e) if configured.is_some() => Finding::failing("tracer plugin", e.to_string(), true),
        Err(_) => Finding::absent("tracer plugin", "not built: bl probe needs it")
            .mended_by("make gst-plugin"),
    };
    vec![tools, plugin]
}
