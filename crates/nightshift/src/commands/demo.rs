//! `nightshift demo`: the whole thing, on real files of this machine, in a folder of its own.
//!
//! Owns: the story that is told. Everything in it is the real program: a real store, real sources, a real clock.

mod feed;
mod workspace;

use std::path::{Path, PathBuf};

use nightshift_actors::system::System;
use nightshift_domain::{
    deliverable::{self, Command, Deliverable, VersionStatus, deliverable_id},
    ids::{CommandId, DeliverableId, UserId},
};
use nightshift_ports::clock::{Clock, IdSource};
use nightshift_spec::{
    edit,
    order_file::{self, Context},
};

use super::{Env, timeline, version};
use crate::{
    app::{self, AnyStore, Mode, Purpose},
    config::{Config, StoreUrl},
    exit::{Code, Exit},
    names,
    observe::Watcher,
    output::cell,
    real::{RandomIds, SystemClock, elapsed, probe},
};

use workspace::Workspace;

/// Lines of a document that are shown.
const SHOWN_LINES: usize = 60;

/// Tells the story.
///
/// # Errors
/// The folder cannot be made, or a part of the story does not come.
pub async fn run(env: &Env, folder: Option<PathBuf>) -> Result<Code, Exit> {
    let _ = elapsed();
    let workspace = Workspace::make(folder)?;
    say(&format!("Workspace: {}", workspace.root.display()));
    workspace.found.iter().for_each(|found| println!("  {found}"));
    let feed = feed::serve(&workspace).await?;
    let order = workspace.write_order(feed.as_deref())?;
    println!("  order:      {}", order.display());
    let config = own_store(&env.config, &workspace.root);
    let store = app::open(&config, Mode::Write).await?;
    let system = app::start(&config, &store, Purpose::daemon(Watcher::new()?)).await?;
    let story = Story { system, store, workspace };
    let outcome = story.tell(&order).await;
    story.system.stop().await;
    outcome.map(|()| Code::Ok)
}

fn say(line: &str) {
    println!("\n== {line}");
}

/// The embedded store in the demo's own folder, whatever else is configured.
fn own_store(config: &Config, root: &Path) -> Config {
    let mut config = config.clone();
    config.store.data_dir = root.join("data");
    config.store.url = StoreUrl::in_dir(&config.store.data_dir);
    config.store.cluster_id = None;
    config
}

struct Story {
    system: System,
    store: AnyStore,
    workspace: Workspace,
}

impl Story {
    async fn tell(&self, order: &Path) -> Result<(), Exit> {
        let id = self.take_order(order).await?;
        say("1. The first slot comes: sources are read, a brief is written");
        self.until(id, |it| it.versions.get(&1).is_some_and(made)).await?;
        let first = self.text(id, 1).await?;
        print_document(&first);
        self.approve(id).await?;
        say("2. The next slot comes and nothing is new");
        let skip = self.until_skipped(id).await?;
        println!("  skipped: {skip}");
        say("3. A note changes; the slot after it makes version 2");
        let note = self.workspace.change_a_note()?;
        println!("  changed:    {}", note.display());
        self.until(id, |it| it.versions.get(&2).is_some_and(made)).await?;
        let second = self.text(id, 2).await?;
        let diff = edit::unified_diff(&first, &second, ("version 1", "version 2"));
        println!("  what is different:");
        print_indented(&diff, 36);
        self.say_to(id, Command::Pause { note: "the demo is over".to_owned() }).await?;
        self.system.settled().await;
        say("4. What happened, from the event log");
        self.timeline(id).await?;
        self.try_next(id);
        Ok(())
    }

    async fn take_order(&self, path: &Path) -> Result<DeliverableId, Exit> {
        let text = std::fs::read_to_string(path)?;
        let calendar = app::calendar();
        let base = self.workspace.root.display().to_string();
        let name = path.display().to_string();
        let context =
            Context { file: &name, base_dir: &base, probe: &probe, calendar: &calendar, now: SystemClock.now() };
        let order = Box::new(order_file::parse(&text, &context)?.order);
        let command = CommandId(RandomIds.fresh());
        let id = deliverable_id(command, self.store.log().info().shard_count);
        let create = Command::Create { user: UserId::default(), order, paused: false };
        self.system.submit(id.stream(), create, (command, "demo")).await.map_err(Exit::failed)?;
        Ok(id)
    }

    async fn say_to(&self, id: DeliverableId, command: Command) -> Result<(), Exit> {
        let asked = (CommandId(RandomIds.fresh()), "demo");
        self.system.submit(id.stream(), command, asked).await.map(drop).map_err(Exit::failed)
    }

    /// Waits until the deliverable is as wanted; every change of the read models is a reason to look.
    async fn until(
        &self,
        id: DeliverableId,
        wanted: impl Fn(&Deliverable) -> bool + Send + Clone + 'static,
    ) -> Result<(), Exit> {
        let mut changes = self.system.context().projector.watch();
        loop {
            let wanted = wanted.clone();
            let question = move |state: &deliverable::State, _| state.taken().is_some_and(wanted);
            if self.system.ask(id.stream(), question).await.map_err(Exit::failed)? {
                self.system.caught_up().await.map_err(Exit::failed)?;
                return Ok(());
            }
            changes.changed().await.map_err(Exit::failed)?;
        }
    }

    async fn until_skipped(&self, id: DeliverableId) -> Result<String, Exit> {
        let models = self.store.read_models();
        let mut changes = self.system.context().projector.watch();
        loop {
            let (_, row) = names::deliverable(&*models, &id.to_string()).await?;
            let skip = cell(&row, "last_skip_reason");
            if !skip.is_empty() {
                return Ok(skip);
            }
            changes.changed().await.map_err(Exit::failed)?;
        }
    }

    async fn text(&self, id: DeliverableId, number: u32) -> Result<String, Exit> {
        let models = self.store.read_models();
        let row = names::version(&*models, id, Some(number)).await?;
        version::text_of(&self.store, &row).await
    }

    async fn approve(&self, id: DeliverableId) -> Result<(), Exit> {
        let approve = Command::Approve { number: 1, by: "demo".to_owned(), note: None, digest: None };
        self.say_to(id, approve).await?;
        let delivered = |it: &Deliverable| it.versions.get(&1).is_some_and(|it| it.status == VersionStatus::Delivered);
        self.until(id, delivered).await?;
        let row = names::version(&*self.store.read_models(), id, Some(1)).await?;
        println!("\n  approved and delivered: {}", cell(&row, "delivery_external_url"));
        Ok(())
    }

    async fn timeline(&self, id: DeliverableId) -> Result<(), Exit> {
        let question = |state: &deliverable::State, _| {
            let slots = state.taken().into_iter().flat_map(|it| it.versions.values()).map(|version| version.slot_id);
            slots.collect::<Vec<_>>()
        };
        let slots = self.system.ask(id.stream(), question).await.map_err(Exit::failed)?;
        let runs = slots.into_iter().map(|slot| deliverable::produce_run_id(id, slot).stream());
        let streams: Vec<_> = std::iter::once(id.stream()).chain(runs).collect();
        let lines = timeline::of(&*self.store.log(), &streams).await?;
        timeline::print(&lines);
        Ok(())
    }

    fn try_next(&self, id: DeliverableId) {
        let dir = self.workspace.root.join("data");
        let program = std::env::args().next().unwrap_or_else(|| "nightshift".to_owned());
        let with = format!("{program} --data-dir {}", dir.display());
        let id = id.to_string();
        let id = id.get(..8).unwrap_or(&id);
        say(&format!("Done in {:.1} s. Try next:", elapsed().as_secs_f32()));
        for (command, why) in [
            (format!("version show {id} 2 --details"), "the document, its sources and how it was made"),
            (format!("version diff {id} 1 2"), "the whole difference"),
            ("run list".to_owned(), "every execution"),
            (format!("explain {id}"), "why it stands where it stands"),
            (
                format!("capture --deliverable {id} -o {}/fixture", self.workspace.root.display()),
                "what happened, as a fixture",
            ),
            (format!("replay {}/fixture", self.workspace.root.display()), "decide all of it again and compare"),
            ("verify".to_owned(), "check the store against its invariants"),
            (format!("deliverable resume {id}"), "go on"),
            ("serve".to_owned(), "run it as a daemon"),
        ] {
            println!("  {with} {command}\n      {why}");
        }
    }
}

fn made(version: &deliverable::Version) -> bool {
    !matches!(version.status, VersionStatus::Generating)
}

fn print_document(text: &str) {
    println!();
    print_indented(text, SHOWN_LINES);
}

fn print_indented(text: &str, most: usize) {
    let total = text.lines().count();
    text.lines().take(most).for_each(|line| println!("  | {line}"));
    if total > most {
        println!("  | … {} more line(s)", total - most);
    }
}
