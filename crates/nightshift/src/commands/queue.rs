//! `nightshift queue`: who waits and who runs, pausing and resuming.

use nightshift_actors::queue::overlay::overlaid;
use nightshift_api::{Queues, queues};
use nightshift_domain::{
    ids::QueueId,
    queue::{Command, QueueDecider},
};

use super::{Env, limit};
use crate::{
    app::{self, Mode},
    args,
    exit::{Code, Exit},
    facts, output, registry,
};

/// Runs the command.
///
/// # Errors
/// It failed; the error has the exit code.
pub async fn run(env: &Env, command: args::Queue) -> Result<Code, Exit> {
    let command = match command {
        args::Queue::Show => return show(env).await,
        args::Queue::Pause { which, note } => Command::Pause { queue: named(which)?, by: limit::asked(note) },
        args::Queue::Resume { which, note } => Command::Resume { queue: named(which)?, by: limit::asked(note) },
    };
    limit::submit(env, command).await?;
    show(env).await
}

/// The queue that is meant; none: all.
fn named(which: args::WhichQueue) -> Result<Option<String>, Exit> {
    match (which.name, which.all) {
        (None, false) => Err(Exit::new(Code::Usage, "name a queue, or say --all; `nightshift queue show` lists them")),
        (name, _) => Ok(name),
    }
}

async fn show(env: &Env) -> Result<Code, Exit> {
    let found = match facts::of_daemon::<Queues>(env, "/api/queues").await? {
        Some(found) => found,
        None => {
            let store = app::open(&env.config, Mode::Read).await?;
            let set = facts::fold::<QueueDecider>(&*store.log(), QueueId::the().stream()).await?;
            let file = registry::limits(env.config.queue.limits_file.as_deref())?;
            queues(&overlaid(&file, &set), usize::from(env.config.queue.concurrency), &set, None)
        }
    };
    if env.json {
        output::json(&found);
        return Ok(Code::Ok);
    }
    match found.taken {
        Some(taken) => println!("{taken} of {} places are taken", found.places),
        None => println!("no daemon runs on this store; {} places when one does", found.places),
    }
    if let Some(pause) = &found.paused {
        println!("all queues are paused by {} since {}: {}", pause.by, output::short_instant(&pause.since), pause.note);
    }
    let number = |count: usize| if count == 0 { String::new() } else { count.to_string() };
    let lines = found.queues.iter().map(|queue| {
        let paused = queue
            .paused
            .as_ref()
            .map(|pause| format!("by {} since {}: {}", pause.by, output::short_instant(&pause.since), pause.note));
        vec![
            queue.name.clone(),
            number(queue.waiting),
            number(queue.held),
            number(queue.taken),
            queue.oldest.as_deref().map(output::short_instant).unwrap_or_default(),
            queue.places.map(|places| places.to_string()).unwrap_or_default(),
            paused.unwrap_or_default(),
        ]
    });
    output::table(
        &["queue", "waiting", "held", "taken", "oldest since", "places", "paused"],
        lines.collect(),
        "no queues",
    );
    Ok(Code::Ok)
}
