//! Clocks and disks.

use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

use super::Finding;
use crate::host::supplies;
use crate::sysfs::KernelFile;

/// Clock sources that are read without a call into the kernel's slow paths.
const FAST_CLOCKS: [&str; 5] =
    ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "riscv_clocksource"];

/// Below this a recording ends soon.
const SCARCE_BYTES: u64 = 1 << 30;

/// What the kernel keeps time with.
pub fn clock_source(root: &Path) -> Finding {
    const SUBJECT: &str = "clock source";
    let path = root.join("sys/devices/system/clocksource/clocksource0/current_clocksource");
    match std::fs::read_to_string(path) {
        Ok(name) if FAST_CLOCKS.contains(&name.trim()) => Finding::works(SUBJECT, name.trim()),
        Ok(name) => {
            let text = format!("{} is slow to read, so that stamps cost more", name.trim());
            Finding::limited(SUBJECT, text)
                .mended_by("dmesg | grep -i tsc   # tells why the kernel left it")
        }
        Err(e) => Finding::absent(SUBJECT, format!("the kernel does not tell it: {e}")),
    }
}

/// Whether the wall clock is kept in step with others. Stamps of one machine do not need it.
pub fn clock_sync() -> Finding {
    const SUBJECT: &str = "wall clock";
    // SAFETY: all zero is a timex that asks and sets nothing; the call writes to it alone.
    let state = unsafe { libc::adjtimex(&mut std::mem::zeroed()) };
    match state {
        -1 | libc::TIME_ERROR => {
            let text = "not synchronised: sessions of several machines cannot be compared by time";
            Finding::limited(SUBJECT, text).mended_by("sudo timedatectl set-ntp true")
        }
        _ => Finding::works(SUBJECT, "synchronised"),
    }
}

/// Whether processors, memory, interfaces and disks can be read.
pub fn host(root: &Path) -> Finding {
    const SUBJECT: &str = "host";
    const FILES: [&str; 4] = ["proc/stat", "proc/meminfo", "proc/net/dev", "proc/diskstats"];
    let failed = FILES.iter().find_map(|file| KernelFile::open(root, file).err());
    match failed {
        None => Finding::works(SUBJECT, "processors, memory, interfaces and disks can be read"),
        Some(e) => Finding::failing(SUBJECT, e.to_string(), true)
            .mended_by("sudo mount -t proc proc /proc   # or cpu.enabled = false, and so on"),
    }
}

/// Whether the kernel accounts for what waits (PSI).
pub fn pressure(root: &Path, is_asked: bool) -> Finding {
    const SUBJECT: &str = "pressure";
    match KernelFile::open(root, "proc/pressure/cpu")
        .and_then(|mut file| Ok(file.read()?.text.len()))
    {
        Ok(_) => Finding::works(SUBJECT, "the kernel tells what waits for what"),
        // A kernel that has it and was told not to use it has the files, which refuse to be read.
        Err(e) if is_asked => Finding::failing(SUBJECT, e.to_string(), true)
            .mended_by("psi=1 on the kernel's command line   # or pressure.enabled = false"),
        Err(_) => Finding::absent(SUBJECT, "the kernel does not account for it (CONFIG_PSI)"),
    }
}

/// Batteries and power adapters.
pub fn power_supplies(root: &Path, is_asked: bool) -> Finding {
    const SUBJECT: &str = "power supply";
    let names = supplies(root).unwrap_or_default();
    match names.as_slice() {
        [] if is_asked => Finding::failing(SUBJECT, "no battery and no adapter", true)
            .mended_by("ls /sys/class/power_supply   # or power_supply.enabled = false"),
        [] => Finding::absent(SUBJECT, "no battery and no adapter"),
        names => Finding::works(SUBJECT, names.join(", ")),
    }
}

/// Whether the processes of other users can be looked at closely. Their processor time and memory can be in any case.
pub fn processes(root: &Path) -> Finding {
    const SUBJECT: &str = "processes";
    // Process 1 is somebody else's, but for root and in a container.
    match KernelFile::open(root, "proc/1/io").and_then(|mut file| Ok(file.read()?.text.len())) {
        Ok(_) => Finding::works(SUBJECT, "all can be looked at"),
        Err(e) if e.is_denied() => {
            let text = "disk traffic and GPU time of other users' processes are for root alone";
            Finding::limited(SUBJECT, text)
                .mended_by("sudo setcap cap_sys_ptrace+ep $(command -v bl)   # or run bl as root")
        }
        Err(e) => Finding::limited(SUBJECT, e.to_string()),
    }
}

/// Whether sessions can be written there.
pub fn data_root(folder: &Path) -> Finding {
    const SUBJECT: &str = "data root";
    let shown = folder.display();
    match existing(folder) {
        Some(there) if !there.is_dir() => {
            Finding::failing(SUBJECT, format!("{} is no folder", there.display()), true)
                .mended_by("bl ingest --data-root DIR   # or general.data_root")
        }
        // Root has access to folders that take no file, such as those of the kernel; this one has no name.
        Some(there) if tempfile::tempfile_in(&there).is_ok() => {
            Finding::works(SUBJECT, format!("{shown} can be written"))
        }
        _ => Finding::failing(SUBJECT, format!("{shown} cannot be written"), true)
            .mended_by(format!("sudo install -d -o $USER {shown}   # or --data-root DIR")),
    }
}

/// Room on the disk of the data root.
pub fn free_space(folder: &Path) -> Finding {
    const SUBJECT: &str = "disk";
    let there = existing(folder).unwrap_or_else(|| "/".into());
    match statvfs(&there) {
        Ok(disk) => {
            let bytes = disk.f_bavail * disk.f_frsize;
            let text = format!("{:.1} GiB are free", bytes as f64 / f64::from(1 << 30));
            match bytes < SCARCE_BYTES {
                true => Finding::limited(SUBJECT, text)
                    .mended_by("bl sessions   # and remove old ones, or --data-root DIR"),
                false => Finding::works(SUBJECT, text),
            }
        }
        Err(e) => Finding::limited(SUBJECT, format!("{}: {e}", there.display())),
    }
}

/// The folder, or the nearest one above that exists.
fn existing(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().find(|f| f.exists()).map(Path::to_owned)
}
