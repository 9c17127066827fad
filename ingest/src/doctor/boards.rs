//! Boards at USB, and who may open them.

use std::path::Path;

use super::Finding;
use crate::serial::{
    ConnectOptions, Device, DeviceError, Found, Occupant, PortError, Roots, Selector, discover,
};
use crate::source::Stop;

/// Group that may open serial ports on Debian and Ubuntu.
const GROUP: &str = "dialout";

const JOIN: &str =
    "sudo usermod -aG dialout $USER   # then log in again; or install deploy/udev's rule";

/// Where a rule of udev lies, as packaged and as put there by hand.
const RULES: [&str; 3] = [
    "etc/udev/rules.d/60-benchlab.rules",
    "usr/lib/udev/rules.d/60-benchlab.rules",
    "lib/udev/rules.d/60-benchlab.rules",
];

const INSTALL_RULE: &str = "sudo cp deploy/udev/60-benchlab.rules /etc/udev/rules.d/ && sudo udevadm control --reload && sudo \
                            udevadm trigger";

/// BENCHLAB boards at USB: one finding a port, and one for each selected board that is not among them.
pub fn boards(roots: &Roots, selectors: &[Selector], stop: &Stop) -> Vec<Finding> {
    let found = discover(roots, &ConnectOptions::default(), stop);
    let mut findings: Vec<Finding> = found.iter().map(|found| board(found, selectors)).collect();
    findings.extend(selectors.iter().filter_map(|selector| selected(selector, &found, stop)));
    if findings.is_empty() {
        findings.push(
            Finding::absent("board", "no BENCHLAB board is plugged in")
                .mended_by("bl ingest --simulate   # records a virtual one meanwhile"),
        );
    }
    findings
}

fn board(found: &Found, selectors: &[Selector]) -> Finding {
    let path = found.port.path.display();
    let is_asked = selectors.contains(&Selector::Path(found.port.path.clone()));
    match &found.occupant {
        Occupant::Board(identity) => {
            let text = format!("{path}: {}, UID {}", identity.contract, identity.uid);
            Finding::works("board", text)
        }
        Occupant::Other(what) if is_asked => {
            Finding::failing("board", format!("{path}: {what}"), true).mended_by("bl device list")
        }
        Occupant::Other(what) => Finding::absent("board", format!("{path}: {what}")),
        Occupant::Unreachable(e) => unreachable(e, is_asked),
    }
}

/// A selected board that is not among the ports with its USB ids.
fn selected(selector: &Selector, found: &[Found], stop: &Stop) -> Option<Finding> {
    let path = match selector {
        Selector::Auto => return None,
        Selector::Uid(uid) => {
            let is_it = |f: &Found| matches!(&f.occupant, Occupant::Board(b) if b.uid == *uid);
            return (!found.iter().any(is_it)).then(|| absent(selector));
        }
        Selector::Path(path) if found.iter().any(|f| f.port.path == *path) => return None,
        Selector::Path(path) if !path.exists() => return Some(absent(selector)),
        Selector::Path(path) => path,
    };
    // Whatever is there by another name, or with other USB ids: it counts if it answers.
    Some(match Device::connect(path, &ConnectOptions::default(), stop) {
        Ok(device) => {
            let identity = device.identity();
            let text = format!("{}: {}, UID {}", path.display(), identity.contract, identity.uid);
            Finding::works("board", text)
        }
        Err(DeviceError::Port(e)) => unreachable(&e, true),
        Err(e) => Finding::failing("board", e.to_string(), true).mended_by("bl device list"),
    })
}

fn absent(selector: &Selector) -> Finding {
    Finding::failing("board", format!("benchlab.device {selector} is not there"), true)
        .mended_by("bl device list   # shows which are; or plug it in")
}

fn unreachable(error: &PortError, is_asked: bool) -> Finding {
    let finding = Finding::failing("board", error.to_string(), is_asked);
    match error {
        PortError::Denied(_) => finding.mended_by(JOIN),
        PortError::Busy(path) => finding.mended_by(format!("sudo fuser -v {}", path.display())),
        _ => finding
            .mended_by("sudo dmesg | tail   # plug it out and in, and see what the kernel says"),
    }
}

/// Whether this user may open boards: as root, as a member of the group, or by udev's rule.
pub fn permission(root: &Path) -> Finding {
    const SUBJECT: &str = "serial ports";
    if rustix::process::geteuid().is_root() {
        return Finding::works(SUBJECT, "root may open them");
    }
    let group = std::fs::read_to_string(root.join("etc/group"));
    let id = group.as_deref().ok().and_then(|text| group_id(text, GROUP));
    let groups = rustix::process::getgroups().unwrap_or_default();
    let is_member = |id| {
        groups.iter().any(|group| group.as_raw() == id) || rustix::process::getegid().as_raw() == id
    };
    let rule = RULES.iter().find(|rule| root.join(rule).exists());
    match (id, rule) {
        (Some(id), _) if is_member(id) => {
            Finding::works(SUBJECT, format!("this user is in the group {GROUP}"))
        }
        (_, Some(rule)) => Finding::works(
            SUBJECT,
            format!("by /{rule}, for whoever sits at the machine and the group {GROUP}"),
        ),
        (Some(_), None) => Finding::limited(
            SUBJECT,
            format!("this user is not in the group {GROUP}, and udev has no rule for boards"),
        )
        .mended_by(JOIN),
        (None, None) => {
            Finding::limited(SUBJECT, "udev has no rule for boards").mended_by(INSTALL_RULE)
        }
    }
}

/// The number of a group in the text of `/etc/group`.
fn group_id(text: &str, name: &str) -> Option<u32> {
    let of = |line: &str| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok()).flatten()
    };
    text.lines().find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_group() {
        let text = "root:x:0:\ndialout2:x:7:\ndialout:x:20:me,you\n";
        assert_eq!([group_id(text, GROUP), group_id(text, "tty")], [Some(20), None]);
    }
}
