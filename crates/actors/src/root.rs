//! The root of the tree: starts everything, starts again what failed, ends the process when that does not help.
//!
//! Owns: the order of start, and the consequences of `supervision`.
//! Refuses to know: what the actors do. Supervised by the operating system.

use std::{collections::HashMap, sync::Arc};

use nightshift_domain::{decider::Class, ids::StreamKind};
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use tokio::sync::watch;

use crate::{
    clock::ClockActor,
    context::Context,
    importer::ImporterActor,
    projector::ProjectorActor,
    queue::QueueActor,
    recovery, router,
    supervision::{Consequence, Ended, Intensity, Role, consequence},
};

/// Why the tree ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Collapse {
    /// An actor failed more often than restarts cure.
    GaveUp {
        /// Which.
        role: &'static str,
        /// The last failure.
        why: String,
    },
    /// The shards have another owner.
    Fenced,
    /// A lane of the journal ended.
    JournalEnded,
}

/// The root actor.
pub struct RootActor;

/// A part of the tree: which role, and for streams which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Part {
    role: Role,
    kind: Option<StreamKind>,
}

/// What the root is started with.
pub struct Args {
    /// What the tree shares.
    pub context: Arc<Context>,
    /// Told when the tree ended by itself.
    pub collapse: watch::Sender<Option<Collapse>>,
}

/// What the root remembers.
pub struct Tree {
    args: Args,
    parts: HashMap<ActorId, Part>,
    restarts: HashMap<Part, Intensity>,
}

impl Actor for RootActor {
    type Msg = ();
    type State = Tree;
    type Arguments = Args;

    async fn pre_start(&self, myself: ActorRef<()>, args: Args) -> Result<Tree, ActorProcessingErr> {
        let mut tree = Tree { args, parts: HashMap::new(), restarts: HashMap::new() };
        let roles = [Role::Queue, Role::Importer, Role::Projector, Role::Clock];
        let streams = StreamKind::ALL.map(|kind| Part { role: Role::Streams, kind: Some(kind) });
        let alive = tree.args.context.settings.alive;
        let roles = roles.into_iter().filter(|role| alive || *role != Role::Clock);
        for part in streams.into_iter().chain(roles.map(|role| Part { role, kind: None })) {
            tree.start(part, &myself).await?;
        }
        Ok(tree)
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<()>,
        event: SupervisionEvent,
        tree: &mut Tree,
    ) -> Result<(), ActorProcessingErr> {
        let (cell, ended, why) = match event {
            SupervisionEvent::ActorTerminated(cell, ..) => (cell, Ended::Asked, String::new()),
            SupervisionEvent::ActorFailed(cell, why) => (cell, Ended::Failed, why.to_string()),
            _ => return Ok(()),
        };
        let Some(part) = tree.parts.remove(&cell.get_id()) else { return Ok(()) };
        match consequence(part.role, ended) {
            Consequence::Retire | Consequence::HandOverAgain => Ok(()),
            Consequence::EndProcess => {
                tree.collapse(part, why);
                Ok(())
            }
            Consequence::Restart => tree.restart(part, why, &myself).await,
        }
    }
}

impl Tree {
    fn collapse(&self, part: Part, why: String) {
        tracing::error!(actor = part.role.as_str(), why, "an actor failed too often; the process ends");
        self.args.context.queue.recovered();
        self.args.collapse.send_replace(Some(Collapse::GaveUp { role: part.role.as_str(), why }));
    }

    async fn restart(&mut self, part: Part, why: String, myself: &ActorRef<()>) -> Result<(), ActorProcessingErr> {
        let now = self.args.context.clock_port.now();
        tracing::error!(actor = part.role.as_str(), why, "an actor failed; starting it again");
        self.args.context.gauges.observer().restarted(part.role.as_str());
        if self.restarts.entry(part).or_default().exceeded(now) {
            self.collapse(part, why);
            return Ok(());
        }
        self.start(part, myself).await?;
        let context = Arc::clone(&self.args.context);
        crate::tasks::spawn(async move { hand_over_again(&context, part.role).await });
        Ok(())
    }

    async fn start(&mut self, part: Part, myself: &ActorRef<()>) -> Result<(), SpawnErr> {
        let context = Arc::clone(&self.args.context);
        let parent = myself.get_cell();
        let cell: ActorCell = match (part.role, part.kind) {
            (Role::Clock, _) => {
                let (actor, _) = Actor::spawn_linked(None, ClockActor, Arc::clone(&context), parent).await?;
                context.clock.0.connect(actor.clone());
                actor.get_cell()
            }
            (Role::Queue, _) => {
                let (actor, _) = Actor::spawn_linked(None, QueueActor, Arc::clone(&context), parent).await?;
                context.queue.port.connect(actor.clone());
                actor.get_cell()
            }
            (Role::Importer, _) => {
                let (actor, _) = Actor::spawn_linked(None, ImporterActor, Arc::clone(&context), parent).await?;
                context.importer.0.connect(actor.clone());
                actor.get_cell()
            }
            (Role::Projector, _) => {
                let (actor, _) = Actor::spawn_linked(None, ProjectorActor, Arc::clone(&context), parent).await?;
                context.projector.port.connect(actor.clone());
                actor.get_cell()
            }
            (_, Some(kind)) => router::start(&context, kind, parent).await?,
            (Role::Journal | Role::Streams | Role::Stream, None) => return Ok(()),
        };
        self.parts.insert(cell.get_id(), part);
        Ok(())
    }
}

/// What a failed actor had in hand is in the log.
async fn hand_over_again(context: &Arc<Context>, role: Role) {
    let _open = context.gauges.open();
    if role == Role::Queue {
        context.queue.recovered();
    }
    let classes: &[Class] = match role {
        Role::Queue => &[Class::Job],
        Role::Importer => &[Class::Effect],
        Role::Streams => &[Class::Job, Class::Effect, Class::Send],
        Role::Projector => return context.projector.nudge_anew(),
        Role::Clock | Role::Journal | Role::Stream => return,
    };
    loop {
        match recovery::rescan(context, classes, |_| {}).await {
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(%error, "what a failed actor had in hand is not known yet; asking again");
                context.clock_port.sleep_until(context.clock_port.now().plus_ms(500)).await;
            }
        }
    }
}
