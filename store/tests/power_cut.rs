//! Power cuts: the image of a disk, taken while a recorder in another process writes to it, is mounted again.
//!
//! Needs root, `mkfs.ext4` and loop devices: where it cannot run it says so.
//!
//!     BL_POWER_CUTS=30 cargo test -p bl-store --test power_cut -- --ignored --nocapture

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod own_reader;
mod recording;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bl_store::{SessionWriter, Store, WriteOptions};

use recording::{events, spec};

/// A file system in a file.
struct Mounted(PathBuf);

impl Mounted {
    /// None where this machine cannot, with what it said.
    fn mount(image: &Path, at: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(at).unwrap();
        // Its journal is written when somebody syncs, so that it stands still while the recorder is stopped.
        run(Command::new("mount").args(["-o", "loop,commit=600"]).args([image, at]))?;
        Ok(Self(at.into()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg("-l").arg(&self.0));
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let out = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    match out.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&out.stderr).trim())),
    }
}

fn disk(folder: &Path) -> Result<(PathBuf, Mounted), String> {
    let image = folder.join("disk.img");
    std::fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
    run(Command::new("mkfs.ext4").arg("-q").arg(&image))?;
    let mounted = Mounted::mount(&image, &folder.join("disk"))?;
    Ok((image, mounted))
}

/// The recorder that is cut off, in a process of its own: it tells which frames are to be on the disk.
#[test]
#[ignore = "run by the other test"]
fn recorder() {
    let Ok(root) = std::env::var("BL_POWER_CUT_ROOT") else { return };
    let options = WriteOptions {
        flush_every: Duration::from_millis(5),
        sync_every: Duration::from_millis(40),
        seal_bytes: 40_000,
        ..WriteOptions::default()
    };
    let writer = SessionWriter::begin(&Store::new(root), spec("run"), options).unwrap();
    let table = bl_schemas::table("pipeline").unwrap();
    for from in (0..).step_by(20) {
        writer.append(table, events(&writer, from..from + 20)).unwrap();
        if from % 200 == 180 {
            writer.flush().unwrap();
            std::thread::sleep(Duration::from_millis(200));
            assert_eq!(writer.trouble(), None);
            println!("synced {}", from + 20);
        }
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs root and loop devices"]
fn a_power_cut_costs_no_synced_row() {
    let cuts: u32 = std::env::var("BL_POWER_CUTS").map_or(5, |n| n.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (image, mounted) = match disk(folder.path()) {
        Ok(disk) => disk,
        Err(why) => return eprintln!("skipped: {why}"),
    };
    let mut recorder = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "recorder", "--nocapture"])
        .env("BL_POWER_CUT_ROOT", &mounted.0)
        .stdout(Stdio::piped())
        .spawn()
        .map(Killed)
        .unwrap();
    let synced = Arc::new(AtomicI64::new(0));
    let lines = BufReader::new(recorder.0.stdout.take().unwrap()).lines();
    let told = Arc::clone(&synced);
    std::thread::Builder::new()
        .spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some(n) = line.strip_prefix("synced ") {
                    told.store(n.parse().unwrap(), Ordering::Release);
                }
            }
        })
        .unwrap();
    recording::wait_for("the recorder", || synced.load(Ordering::Acquire) > 0);
    let mut before = 0;
    for cut in 0..cuts {
        std::thread::sleep(Duration::from_millis(130 + u64::from(cut) * 37 % 300));
        let signal =
            |name: &str| run(Command::new("kill").args([name, &recorder.0.id().to_string()]));
        signal("-STOP").unwrap();
        std::thread::sleep(Duration::from_millis(20));
        let must = synced.load(Ordering::Acquire);
        let copy = folder.path().join(format!("cut-{cut}.img"));
        std::fs::copy(&image, &copy).unwrap();
        signal("-CONT").unwrap();
        let after = Mounted::mount(&copy, &folder.path().join(format!("cut-{cut}"))).unwrap();
        let session = after.0.join("sessions/run");
        let check = |when: &str| {
            let found = own_reader::frames(&session);
            let twice = found.windows(2).filter(|w| w[0] == w[1]).count();
            let missing = (0..must).filter(|f| found.binary_search(f).is_err()).count();
            assert_eq!((missing, twice), (0, 0), "cut {cut}, {when}: missing of {must}, twice");
            found.len()
        };
        let rows = check("as it was found");
        for (_, recovered) in Store::new(&after.0).recover().unwrap() {
            recovered.unwrap();
        }
        assert_eq!(check("recovered"), rows, "cut {cut}");
        let report = bl_store::verify::verify(
            Store::new(&after.0).session(&"run".parse().unwrap()).unwrap().dir(),
        );
        let report = report.unwrap();
        assert_ne!(report.verdict(), bl_store::verify::Verdict::Damaged, "cut {cut}: {report:?}");
        eprintln!("cut {cut}: {must} frames were to be there, {rows} are");
        before = must;
        drop(after);
        std::fs::remove_file(copy).unwrap();
    }
    assert!(before > 200, "the recorder went on");
}
