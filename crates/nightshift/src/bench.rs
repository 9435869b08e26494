//! `nightshift bench`: what this machine does, beside what its databases can do at best.

use crate::{
    args,
    commands::Env,
    exit::{Code, Exit},
};

/// Measures and prints.
///
/// # Errors
/// A store could not be made.
pub async fn run(_env: &Env, _args: args::Bench) -> Result<Code, Exit> {
    Err(Exit::failed("not built yet"))
}
