//! What is measured on, and what the process itself costs.
//!
//! Owns: every reading of `/proc`; the refusal of servers that lose confirmed work.
//! Refuses to know: what is measured.

use std::{collections::BTreeMap, io::Write, path::Path};

use nightshift_store::bench::{durability, server_settings, sqlite_version};

use super::{
    place::{self, Place},
    result::{Database, Machine, Spread},
};
use crate::{
    app::AnyStore,
    exit::{Code, Exit},
    real::elapsed,
};

/// The kernel counts processor time in hundredths of a second, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// Writes of [`SYNCED_BYTES`] that are timed.
const SYNCS: usize = 60;

/// What a small commit writes at least.
const SYNCED_BYTES: usize = 4_096;

/// What is measured on: the machine, the folder of the files, the databases.
///
/// # Errors
/// The folder cannot be written, the server is not reached or not safe.
pub(super) async fn facts(place: &Place, postgres: Option<&str>) -> Result<Machine, Exit> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let folder = &place.files;
    let (device, filesystem) = mount_of(&read("/proc/mounts"), folder);
    let memory = after(&read("/proc/meminfo"), "MemTotal");
    let kib: u64 = memory.trim_end_matches(" kB").parse().unwrap_or_default();
    Ok(Machine {
        processor: after(&read("/proc/cpuinfo"), "model name"),
        cores: std::thread::available_parallelism().map_or(0, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
        memory_mib: kib / 1_024,
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        filesystem,
        disk: disk(Path::new("/sys/class/block"), &device),
        fsync_ms: fsync_ms(folder)?,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: option_env!("NIGHTSHIFT_REVISION").map(str::to_owned),
        build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
        databases: databases(place, postgres).await?,
    })
}

/// Versions and settings. The settings of SQLite are those of a store that was just made.
async fn databases(place: &Place, postgres: Option<&str>) -> Result<BTreeMap<String, Database>, Exit> {
    let mut databases = BTreeMap::new();
    let store = place.open().await?;
    if let AnyStore::Sqlite(store) = &store {
        let (version, settings) = (sqlite_version().await?, store.settings().await?);
        databases.insert("sqlite".to_owned(), Database { version, settings });
    }
    place::close(store).await;
    if let Some(url) = postgres {
        let server = durability(url).await?;
        refuse_unsafe(&server)?;
        let settings = server_settings(url).await?;
        databases.insert("postgres".to_owned(), Database { version: server.version, settings });
    }
    Ok(databases)
}

/// What stands behind a name in a file of the kernel.
fn after(text: &str, name: &str) -> String {
    let found = text.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(':'));
    found.map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
}

/// Milliseconds of small writes that are on the disk when they return, one after the other.
fn fsync_ms(folder: &Path) -> Result<Spread, Exit> {
    let path = folder.join("fsync");
    let mut file = std::fs::File::create(&path)?;
    let mut taken = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let began = elapsed();
        file.write_all(&[7; SYNCED_BYTES])?;
        file.sync_data()?;
        taken.push((elapsed() - began).as_secs_f64() * 1_000.0);
    }
    std::fs::remove_file(&path)?;
    Spread::of(taken).ok_or_else(|| Exit::failed("the writes took no time that is a number"))
}

fn refuse_unsafe(server: &nightshift_store::bench::Durability) -> Result<(), Exit> {
    let settings = [
        ("fsync", &server.fsync),
        ("synchronous_commit", &server.synchronous_commit),
        ("full_page_writes", &server.full_page_writes),
    ];
    match settings.into_iter().find(|(_, found)| *found == "off") {
        Some((setting, _)) => Err(Exit::new(
            Code::StoreUnavailable,
            format!(
                "the server has {setting}=off: it loses confirmed work, and its figures mean nothing; set {setting}=on"
            ),
        )),
        None => Ok(()),
    }
}

/// The device and the kind of file system under a folder: those of the longest mount point above it.
fn mount_of(mounts: &str, folder: &Path) -> (String, String) {
    let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?, words.next()?, words.next()?))
    });
    let under = mounts.filter(|(_, point, _)| folder.starts_with(point));
    let unknown = || ("unknown".to_owned(), "unknown".to_owned());
    let longest = under.max_by_key(|(_, point, _)| point.len());
    longest.map_or_else(unknown, |(device, _, kind)| (device.to_owned(), kind.to_owned()))
}

/// What the kernel says of a device: its name, its model, whether it turns.
fn disk(blocks: &Path, device: &str) -> String {
    let path = std::fs::canonicalize(device).unwrap_or_else(|_| device.into());
    let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|_| device.starts_with("/dev/")) else {
        return device.to_owned();
    };
    let block = std::fs::canonicalize(blocks.join(name)).unwrap_or_else(|_| blocks.join(name));
    // What a partition does not say, the disk it is a part of does.
    let said = |what: &str| {
        let found = [Some(block.as_path()), block.parent()].into_iter().flatten();
        found.filter_map(|at| std::fs::read_to_string(at.join(what)).ok()).map(|text| text.trim().to_owned()).next()
    };
    let turning =
        said("queue/rotational").map(|turns| if turns == "1" { "rotating" } else { "not rotating" }.to_owned());
    let facts: Vec<String> =
        [said("device/model"), turning].into_iter().flatten().filter(|fact| !fact.is_empty()).collect();
    if facts.is_empty() { name.to_owned() } else { format!("{name} ({})", facts.join(", ")) }
}

/// Resident memory of this process, in MiB.
pub(super) fn resident_mib() -> f64 {
    memory_mib("VmRSS")
}

/// The most that was ever resident of this process, in MiB.
pub(super) fn resident_most_mib() -> f64 {
    memory_mib("VmHWM")
}

fn memory_mib(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    after(&status, name).trim_end_matches(" kB").parse::<f64>().map_or(f64::NAN, |kib| kib / 1_024.0)
}

/// Processor time of this process with all its threads, in seconds.
pub(super) fn cpu_seconds() -> f64 {
    cpu_of(&std::fs::read_to_string("/proc/self/stat").unwrap_or_default())
}

/// Processor time since an earlier reading, to divide by: what is less than the kernel counts is the least that it counts.
pub(super) fn cpu_since(earlier: f64) -> f64 {
    (cpu_seconds() - earlier).max(1.0 / TICKS_PER_SECOND)
}

/// The name of the program may hold spaces and brackets; the numbers begin behind its last bracket.
fn cpu_of(stat: &str) -> f64 {
    let numbers = stat.rsplit_once(')').map_or("", |(_, numbers)| numbers);
    let ticks: Vec<f64> = numbers.split_whitespace().skip(11).take(2).filter_map(|word| word.parse().ok()).collect();
    if ticks.len() == 2 { (ticks[0] + ticks[1]) / TICKS_PER_SECOND } else { f64::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_the_name() {
        let stat = "42 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9 0 100 1 1";
        assert!((cpu_of(stat) - 2.0).abs() < 1e-9);
        assert!(cpu_of("").is_nan());
    }

    #[test]
    fn the_longest_mount_point_counts() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /nowhere tmpfs rw 0 0\n/dev/b /nowhere/deep xfs rw 0 0\n";
        for (folder, device, kind) in [
            ("/nowhere/deep/x", "/dev/b", "xfs"),
            ("/nowhere/other", "tmpfs", "tmpfs"),
            ("/elsewhere", "/dev/a", "ext4"),
        ] {
            assert_eq!(mount_of(mounts, Path::new(folder)), (device.to_owned(), kind.to_owned()));
        }
    }

    #[test]
    fn a_partition_is_described_by_its_disk() {
        let blocks = tempfile::tempdir().expect("a folder");
        let at = |path: &str| blocks.path().join(path);
        for folder in ["sda/queue", "sda/device", "sda/sda1"] {
            std::fs::create_dir_all(at(folder)).expect("made");
        }
        std::fs::write(at("sda/queue/rotational"), "1\n").expect("written");
        std::fs::write(at("sda/device/model"), "Spinner 3\n").expect("written");
        assert_eq!(disk(&at("sda"), "/dev/sda1"), "sda1 (Spinner 3, rotating)");
        assert_eq!(disk(blocks.path(), "/dev/other"), "other");
        assert_eq!(disk(blocks.path(), "overlay"), "overlay");
    }

    #[test]
    fn a_server_that_loses_work_is_refused() {
        let safe = nightshift_store::bench::Durability {
            version: "17".to_owned(),
            fsync: "on".to_owned(),
            synchronous_commit: "on".to_owned(),
            full_page_writes: "on".to_owned(),
        };
        assert!(refuse_unsafe(&safe).is_ok());
        let unsafe_one = nightshift_store::bench::Durability { synchronous_commit: "off".to_owned(), ..safe };
        assert!(refuse_unsafe(&unsafe_one).is_err_and(|error| error.message.contains("synchronous_commit=off")));
    }
}
