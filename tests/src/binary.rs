//! The program under test: where its binary is, and that it is built from the sources as they stand.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::repo_root;

/// Names another binary to test than the one of this workspace, e.g. an installed one.
pub const VARIABLE: &str = "NIGHTSHIFT_TEST_BINARY";

/// The `nightshift` binary of the profile that this test was built with. The first call builds it.
///
/// # Panics
/// It cannot be built; the message has what cargo said.
#[must_use]
pub fn nightshift() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(named_or_built)
}

#[expect(clippy::disallowed_methods, reason = "a variable of the tests, and cargo is a program")]
fn named_or_built() -> PathBuf {
    if let Some(named) = std::env::var_os(VARIABLE) {
        return PathBuf::from(named);
    }
    let profile_folder = profile_folder();
    let profile = match profile_folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let target = profile_folder.parent().expect("the folder of a profile lies in the target folder");
    // With the package of the tests, so that features are unified as in the build of the tests, and nothing is
    // compiled twice.
    let mut cargo = Command::new(env!("CARGO"));
    // What the test runner tells us of our own package. Build scripts that look at these variables would run again, and all
    // that stands on them would be compiled again.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_BIN_") {
            cargo.env_remove(name);
        }
    }
    let built = cargo
        .current_dir(repo_root())
        .args(["build", "--locked", "--quiet", "-p", "nightshift", "-p", "nightshift-tests", "--bin", "nightshift"])
        .args(["--profile", profile, "--target-dir"])
        .arg(target)
        .output()
        .expect("cargo runs");
    assert!(built.status.success(), "nightshift cannot be built:\n{}", String::from_utf8_lossy(&built.stderr));
    profile_folder.join("nightshift")
}

/// `target/debug` for a test at `target/debug/deps/name-hash`, and for a helper at `target/debug/name`.
fn profile_folder() -> PathBuf {
    let exe = std::env::current_exe().expect("a test knows where it is");
    let folder = exe.parent().expect("a file is in a folder");
    if folder.file_name().is_none_or(|name| name != "deps") {
        return folder.to_path_buf();
    }
    folder.parent().expect("tests are built into the folder `deps` of their profile").to_path_buf()
}
