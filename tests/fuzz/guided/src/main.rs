//! libFuzzer over the targets of `nightshift-fuzz`.
//!
//! Owns: the entry point that libFuzzer calls; the environment names the target. Refuses to know: everything else.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nightshift_fuzz::{Target, named};

static TARGET: LazyLock<&'static Target> = LazyLock::new(|| {
    let name = std::env::var("NIGHTSHIFT_FUZZ_TARGET").unwrap_or_default();
    named(&name).unwrap_or_else(|| panic!("NIGHTSHIFT_FUZZ_TARGET is {name:?}, which is no target"))
});

fuzz_target!(|input: &[u8]| {
    (TARGET.run)(input);
});
