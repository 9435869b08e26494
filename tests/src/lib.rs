//! Helpers shared by the workspace's test crates, and the checks that `tests/tidy.rs` applies to the sources.
//!
//! Owns: where the repository is, where the test database is, bounded waiting for another process, worlds in which
//! the program runs as a process, and the tidy checks as plain functions over text.
//! Refuses to know: any crate of the product.

pub mod binary;
pub mod books;
pub mod daemon;
pub mod http;
pub mod lcg;
pub mod postgres;
pub mod proxy;
pub mod server;
pub mod sink;
pub mod tidy;
pub mod torture;
mod wait;
pub mod world;

use std::path::{Path, PathBuf};

pub use wait::{Stopwatch, eventually, within};

/// The variable that `scripts/test` and `scripts/with-postgres` set.
pub const POSTGRES_VARIABLE: &str = "NIGHTSHIFT_TEST_POSTGRES";

/// The root of the repository.
#[must_use]
pub fn repo_root() -> PathBuf {
    let member = Path::new(env!("CARGO_MANIFEST_DIR"));
    member.parent().expect("the tests member lies one folder below the root").to_path_buf()
}

/// The server for tests that need PostgreSQL, or `None` on a machine where `cargo test` was run without one.
///
/// # Panics
/// In CI (`CI` is set) a missing server is a failure: a suite that skips half of itself must not pass there.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "scripts/with-postgres hands its server over in the environment")]
pub fn postgres_url() -> Option<String> {
    postgres_from(std::env::var(POSTGRES_VARIABLE).ok(), std::env::var_os("CI").is_some())
}

fn postgres_from(url: Option<String>, in_ci: bool) -> Option<String> {
    let url = url.filter(|url| !url.is_empty());
    if url.is_none() {
        let advice = format!("{POSTGRES_VARIABLE} is not set: run scripts/test, or scripts/with-postgres cargo test");
        assert!(!in_ci, "{advice}");
        eprintln!("not run on PostgreSQL: {advice}");
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace_manifest() {
        let manifest = std::fs::read_to_string(repo_root().join("Cargo.toml")).expect("readable");
        assert!(manifest.contains("[workspace]"));
    }

    #[test]
    fn an_absent_or_empty_server_is_none_on_a_laptop() {
        assert_eq!(postgres_from(None, false), None);
        assert_eq!(postgres_from(Some(String::new()), false), None);
        assert_eq!(postgres_from(Some("postgres://x".into()), true).as_deref(), Some("postgres://x"));
    }

    #[test]
    #[should_panic(expected = "scripts/test")]
    fn an_absent_server_is_a_failure_in_ci() {
        let _ = postgres_from(None, true);
    }
}
