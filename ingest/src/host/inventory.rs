//! What machine this is, for `session.json`.

use std::collections::BTreeSet;
use std::fs::read_to_string;
use std::path::Path;

use serde_json::{Value, json};

/// Describes the machine under `root` (`/`, but for tests): `hostname`, `kernel`, `os`, `cpu` (`model`,
/// `logical`, `cores`, `sockets`), `memory_bytes`, `disks` (`name`, `model`, `bytes`, `rotational`), `board`
/// (`vendor`, `name`, `version`), `system` (`vendor`, `name`), `bios` (`version`, `date`). What is not known is
/// null. Serial numbers and addresses are left out.
pub fn inventory(root: &Path) -> Value {
    let file = |path: &str| one_line(&root.join(path));
    let dmi = |name: &str| file(&format!("sys/class/dmi/id/{name}"));
    // Boards without DMI name themselves in their device tree, whose strings end in a zero byte.
    let model = file("sys/firmware/devicetree/base/model");
    json!({
        "hostname": file("proc/sys/kernel/hostname"),
        "kernel": file("proc/sys/kernel/osrelease"),
        "os": os(root),
        "cpu": cpu(root),
        "memory_bytes": memory_bytes(root),
        "disks": disks(root),
        "board": {
            "vendor": dmi("board_vendor"),
            "name": dmi("board_name").or(model),
            "version": dmi("board_version"),
        },
        "system": { "vendor": dmi("sys_vendor"), "name": dmi("product_name") },
        "bios": { "version": dmi("bios_version"), "date": dmi("bios_date") },
    })
}

/// The text of a file without blanks and zero bytes around it; `None` if it cannot be read or is empty.
fn one_line(path: &Path) -> Option<String> {
    let text = read_to_string(path).ok()?;
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

/// `PRETTY_NAME` of os-release(5), whose values may be quoted.
fn os(root: &Path) -> Option<String> {
    let text = ["etc/os-release", "usr/lib/os-release"]
        .iter()
        .find_map(|path| read_to_string(root.join(path)).ok())?;
    let value = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
}

/// `/proc/cpuinfo`: one block a logical processor; a core is a pair of its ids.
fn cpu(root: &Path) -> Value {
    let text = read_to_string(root.join("proc/cpuinfo")).unwrap_or_default();
    let (mut model, mut logical) = (None, 0);
    let (mut socket, mut sockets, mut cores) = (None, BTreeSet::new(), BTreeSet::new());
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match key.trim() {
            "processor" => logical += 1,
            "model name" | "Model" if model.is_none() => model = Some(value),
            "physical id" => {
                socket = Some(value);
                sockets.insert(value);
            }
            "core id" => {
                cores.insert((socket, value));
            }
            _ => {}
        }
    }
    let some = |count: usize| (count > 0).then_some(count);
    json!({
        "model": model,
        "logical": some(logical),
        "cores": some(cores.len()),
        "sockets": some(sockets.len()),
    })
}

fn memory_bytes(root: &Path) -> Option<u64> {
    let text = read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The block devices of `/sys/block` that have a device below them (so no loop, RAM, mapped or RAID ones), by
/// name; null without `/sys/block`.
fn disks(root: &Path) -> Option<Vec<Value>> {
    let mut names: Vec<_> = std::fs::read_dir(root.join("sys/block"))
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| root.join("sys/block").join(name).join("device").exists())
        .collect();
    names.sort();
    let disk = |name: String| {
        let file = |path: &str| one_line(&root.join("sys/block").join(&name).join(path));
        // "size" counts 512 bytes, whatever the disk's sectors are (Linux block/genhd.c).
        let bytes = file("size").and_then(|s| s.parse::<u64>().ok()?.checked_mul(512));
        let rotational = file("queue/rotational").map(|flag| flag == "1");
        json!({"name": name, "model": file("device/model"), "bytes": bytes, "rotational": rotational})
    };
    Some(names.into_iter().map(disk).collect())
}
