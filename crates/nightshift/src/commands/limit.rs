//! `nightshift limit`: limits in force, set and cleared while the daemon runs.

use nightshift_api::{LimitLine, limit_lines};
use nightshift_domain::{
    ids::{CommandId, QueueId},
    queue::{Command, Limit, LimitKey, QueueDecider},
    run::Asked,
};
use nightshift_ports::clock::IdSource;

use super::Env;
use crate::{
    app::{self, Mode},
    args,
    control::{Control, user_name},
    exit::{Code, Exit},
    facts, output,
    real::RandomIds,
    registry,
};

/// Tokens a second where nothing is said, as in the file.
const REFILL: f64 = 10.0;

/// Runs the command.
///
/// # Errors
/// It failed; the error has the exit code.
pub async fn run(env: &Env, command: args::Limit) -> Result<Code, Exit> {
    match command {
        args::Limit::List => list(env).await,
        args::Limit::Set { key, amount, refill, note } => {
            let limit = limit(&key, amount, refill)?;
            tell(env, Command::SetLimit { key, limit, by: asked(note) }).await
        }
        args::Limit::Clear { key, note } => tell(env, Command::ClearLimit { key, by: asked(note) }).await,
    }
}

/// Who asks, and why.
pub(super) fn asked(note: String) -> Asked {
    Asked { by: user_name(), note }
}

/// What an amount means for a key. What names no limit is for the queue to turn down.
fn limit(key: &str, amount: f64, refill: Option<f64>) -> Result<Limit, Exit> {
    let tokens = matches!(LimitKey::parse(key), Some(LimitKey::Bucket(_))) || refill.is_some();
    if tokens {
        return Ok(Limit::Rate { capacity: amount, refill_per_s: refill.unwrap_or(REFILL) });
    }
    if amount.fract() != 0.0 || !(0.0..=f64::from(u32::MAX)).contains(&amount) {
        return Err(Exit::new(Code::Usage, format!("{key}: {amount} is no number of steps; a whole number is needed")));
    }
    Ok(Limit::Places { places: amount as u32 })
}

/// Tells the queue, and shows what counts then.
pub(super) async fn submit(env: &Env, command: Command) -> Result<(), Exit> {
    let control = Control::open(env).await?;
    control.submit(QueueId::the().stream(), command, CommandId(RandomIds.fresh())).await?;
    control.close().await;
    Ok(())
}

async fn tell(env: &Env, command: Command) -> Result<Code, Exit> {
    submit(env, command).await?;
    list(env).await
}

async fn list(env: &Env) -> Result<Code, Exit> {
    let lines = match facts::of_daemon::<Vec<LimitLine>>(env, "/api/limits").await? {
        Some(lines) => lines,
        None => {
            let store = app::open(&env.config, Mode::Read).await?;
            let set = facts::fold::<QueueDecider>(&*store.log(), QueueId::the().stream()).await?;
            let file = registry::limits(env.config.queue.limits_file.as_deref())?;
            limit_lines(&file, usize::from(env.config.queue.concurrency), &set, None)
        }
    };
    if env.json {
        output::json(&lines);
        return Ok(Code::Ok);
    }
    let cells = |line: &LimitLine| {
        let most = match line.refill_per_s {
            Some(refill) => format!("{} + {refill}/s", line.capacity),
            None => line.capacity.to_string(),
        };
        let taken = line.taken.map(|taken| taken.to_string());
        let now = taken.or_else(|| line.tokens.map(|tokens| format!("{tokens:.1} left"))).unwrap_or_default();
        let at = line.set_at.as_deref().map(output::short_instant).unwrap_or_default();
        let by = line.set_by.clone().unwrap_or_default();
        let held = if line.held == 0 { String::new() } else { line.held.to_string() };
        vec![line.key.clone(), most, now, held, line.source.clone(), by, at, line.note.clone().unwrap_or_default()]
    };
    let headings = ["limit", "most", "now", "held", "from", "by", "since", "note"];
    output::table(&headings, lines.iter().map(cells).collect(), "no limits");
    Ok(Code::Ok)
}
