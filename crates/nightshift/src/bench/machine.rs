//! What is measured on, and what the process itself costs.
//!
//! Owns: every reading of `/proc`; the refusal of servers that lose confirmed work.
//! Refuses to know: what is measured.

use std::{collections::BTreeMap, path::Path};

use nightshift_store::bench::{durability, sqlite_version};

use crate::exit::{Code, Exit};

/// The kernel counts processor time in hundredths of a second, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// Facts of the machine and of the databases, by name.
///
/// # Errors
/// The server is not reached, or not safe.
pub(super) async fn facts(folder: &Path, postgres: Option<&str>) -> Result<BTreeMap<&'static str, String>, Exit> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let after = |text: String, name: &str| {
        let found = text.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(':'));
        found.map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mut facts = BTreeMap::from([
        ("cpu", format!("{cores} x {}", after(read("/proc/cpuinfo"), "model name"))),
        ("memory", after(read("/proc/meminfo"), "MemTotal")),
        ("kernel", read("/proc/sys/kernel/osrelease").trim().to_owned()),
        ("filesystem", filesystem(&read("/proc/mounts"), folder)),
        ("sqlite", format!("{}, WAL, synchronous=FULL", sqlite_version().await?)),
        (
            "program",
            format!(
                "{}{}",
                env!("CARGO_PKG_VERSION"),
                if cfg!(debug_assertions) { ", NOT a release build" } else { "" }
            ),
        ),
    ]);
    if let Some(url) = postgres {
        let server = durability(url).await?;
        refuse_unsafe(&server)?;
        let text = format!(
            "{}, fsync={}, synchronous_commit={}, full_page_writes={}",
            server.version, server.fsync, server.synchronous_commit, server.full_page_writes
        );
        facts.insert("postgres", text);
    }
    Ok(facts)
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

/// The kind of file system under a folder: that of the longest mount point above it.
fn filesystem(mounts: &str, folder: &Path) -> String {
    let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let under = mounts.filter(|(point, _)| folder.starts_with(point));
    under.max_by_key(|(point, _)| point.len()).map_or_else(|| "unknown".to_owned(), |(_, kind)| kind.to_owned())
}

/// Resident memory of this process, in MiB.
pub(super) fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().map_or(f64::NAN, |kib| kib / 1_024.0)
}

/// Processor time of this process with all its threads, in seconds.
pub(super) fn cpu_seconds() -> f64 {
    cpu_of(&std::fs::read_to_string("/proc/self/stat").unwrap_or_default())
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
        for (folder, kind) in [("/nowhere/deep/x", "xfs"), ("/nowhere/other", "tmpfs"), ("/elsewhere", "ext4")] {
            assert_eq!(filesystem(mounts, Path::new(folder)), kind);
        }
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
