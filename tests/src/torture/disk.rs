//! A file system that can be full: small and in memory where the system lets us mount one, else a bound on the length of files.
//!
//! Owns: the namespace in which it is mounted, and what fills it. Nothing of the machine is full at any time.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::world::Node;

/// Size of the file system in memory.
const SIZE: &str = "size=192m";

/// Longest file of a process whose disk is full, in bytes.
const SHORT: u64 = 64 * 1024;

/// Where the store lies.
pub struct Disk {
    folder: PathBuf,
    /// Keeps the namespace alive; none: the length of files is bounded instead.
    holder: Option<Child>,
    /// How it was made, for people.
    pub how: &'static str,
}

impl Disk {
    /// One at `folder`, which exists.
    #[must_use]
    pub fn at(folder: &Path) -> Self {
        for (flags, how) in [("-m", "tmpfs in a mount namespace"), ("-Urm", "tmpfs in a user namespace")] {
            if let Some(holder) = mounted(flags, folder) {
                return Self { folder: folder.to_path_buf(), holder: Some(holder), how };
            }
        }
        Self { folder: folder.to_path_buf(), holder: None, how: "RLIMIT_FSIZE with SIGXFSZ ignored" }
    }

    /// The node, with its commands carried out where the file system is.
    #[must_use]
    pub fn under(&self, node: Node) -> Node {
        let through: Vec<String> = match &self.holder {
            Some(holder) => {
                let target = holder.id().to_string();
                let user = ["-U", "--preserve-credentials"].iter().filter(|_| self.how.contains("user"));
                let words = ["nsenter", "-t", &target, "-m"];
                words.iter().chain(user).chain(&["--"]).map(|word| (*word).to_owned()).collect()
            }
            None => ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"].map(str::to_owned).to_vec(),
        };
        Node { through, ..node }
    }

    /// The folder as it is reached from outside of the namespace.
    #[must_use]
    pub fn outside(&self) -> PathBuf {
        match &self.holder {
            Some(holder) => {
                let inside = self.folder.strip_prefix("/").unwrap_or(&self.folder);
                Path::new("/proc").join(holder.id().to_string()).join("root").join(inside)
            }
            None => self.folder.clone(),
        }
    }

    /// No space is left, for the process `pid` where only that can be bounded.
    ///
    /// # Panics
    /// The system refuses it.
    pub fn fill(&self, pid: u32) {
        if self.holder.is_none() {
            bound(pid, &format!("--fsize={SHORT}:unlimited"));
            return;
        }
        let mut filler = File::create(self.filler()).expect("a file that fills the disk");
        for size in [1 << 20, 4_096, 1] {
            while filler.write_all(&vec![0; size]).is_ok() {}
        }
    }

    /// Space is given back.
    ///
    /// # Panics
    /// The system refuses it.
    pub fn free(&self, pid: Option<u32>) {
        if self.holder.is_some() {
            std::fs::remove_file(self.filler()).expect("the filler is ours");
        } else if let Some(pid) = pid {
            bound(pid, "--fsize=unlimited:unlimited");
        }
    }

    fn filler(&self) -> PathBuf {
        self.outside().join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(mut holder) = self.holder.take() {
            // It ends with its input, and the file system with it.
            drop(holder.stdin.take());
            let _ = holder.wait();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "namespaces are made by a program")]
fn mounted(flags: &str, folder: &Path) -> Option<Child> {
    let script = "mount -t tmpfs -o \"$1\" tmpfs \"$2\" && echo mounted && exec cat";
    let mut command = Command::new("unshare");
    command.args([flags, "sh", "-c", script, "sh", SIZE]).arg(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let mut stdout = BufReader::new(child.stdout.take()?);
    let mut line = String::new();
    let is_mounted = stdout.read_line(&mut line).is_ok() && line.trim() == "mounted";
    if !is_mounted {
        let _ = stdout.read_to_string(&mut line);
        let _ = child.wait();
        return None;
    }
    Some(child)
}

#[expect(clippy::disallowed_methods, reason = "the limits of another process are set by a program")]
fn bound(pid: u32, limit: &str) {
    let done = Command::new("prlimit").args(["--pid", &pid.to_string(), limit]).status();
    assert!(done.is_ok_and(|status| status.success()), "prlimit {limit}");
}
