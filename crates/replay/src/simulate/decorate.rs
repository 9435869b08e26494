//! Decisions that are wrong on purpose.
//!
//! Owns: the mutations of a decision that sabotage asks for; without any, the decision of the domain and nothing else.
//! Refuses to know: who notices.

use nightshift_domain::{
    codec,
    decider::Ctx,
    definition, deliverable,
    run::{self, StepStatus, Token},
    schedule,
    streams::{AnyCommand, AnyEvent},
};

use super::{
    Sabotage,
    mind::{Mind, Refusal},
};

/// The decision of the domain, or what sabotage makes of it.
pub fn decide(
    sabotage: Option<Sabotage>,
    mind: &Mind,
    command: &AnyCommand,
    ctx: &Ctx<'_>,
) -> Result<Vec<AnyEvent>, Refusal> {
    let Some(sabotage) = sabotage else { return mind.decide(command, ctx) };
    match sabotage {
        Sabotage::ApplyStale => mind.decide(&with_the_open_token(mind, command), ctx),
        Sabotage::HiddenInput => {
            let at = if ctx.command_id.0.as_u128().is_multiple_of(50) { ctx.now.plus_ms(1) } else { ctx.now };
            mind.decide(command, &Ctx { now: at, ..copy(ctx) })
        }
        Sabotage::LoseRetime if matches!(command, AnyCommand::Schedule(schedule::Command::Retime { .. })) => Ok(vec![]),
        Sabotage::DoubleFire
        | Sabotage::TwoVersions
        | Sabotage::EarlyEnd
        | Sabotage::AnswerTwice
        | Sabotage::LoseChanges
        | Sabotage::FormerVersion => mind.decide(command, ctx).map(|events| twisted(sabotage, command, events, ctx)),
        _ => mind.decide(command, ctx),
    }
}

/// A command as it is kept.
pub fn payload(command: &AnyCommand) -> Vec<u8> {
    let bytes = match command {
        AnyCommand::Deliverable(command) => codec::to_bytes(command),
        AnyCommand::Run(command) => codec::to_bytes(command),
        AnyCommand::Schedule(command) => codec::to_bytes(command),
        AnyCommand::Source(command) => codec::to_bytes(command),
        AnyCommand::Definition(command) => codec::to_bytes(command),
        AnyCommand::Topic(command) => codec::to_bytes(command),
        AnyCommand::Queue(command) => codec::to_bytes(command),
        AnyCommand::Bulk(command) => codec::to_bytes(command),
    };
    bytes.unwrap_or_default()
}

const fn copy<'a>(ctx: &Ctx<'a>) -> Ctx<'a> {
    Ctx {
        stream: ctx.stream,
        now: ctx.now,
        command_id: ctx.command_id,
        shard_count: ctx.shard_count,
        calendar: ctx.calendar,
        expressions: ctx.expressions,
        reports: ctx.reports,
    }
}

/// A result under an old token comes under the one that is open.
fn with_the_open_token(mind: &Mind, command: &AnyCommand) -> AnyCommand {
    let (Mind::Run(state), AnyCommand::Run(run::Command::Finish { step, result, offer, .. })) = (mind, command) else {
        return command.clone();
    };
    let open: Option<(u32, Token)> = state.run().and_then(|run| match &run.step(step)?.1.status {
        StepStatus::Running { attempt, lease, .. } => Some((*attempt, lease.token)),
        _ => None,
    });
    let Some((attempt, token)) = open else { return command.clone() };
    let (step, result, offer) = (step.clone(), result.clone(), offer.clone());
    run::Command::Finish { step, attempt, token, result, offer, tokens_free: false, at_once: false }.into()
}

fn twisted(sabotage: Sabotage, command: &AnyCommand, mut events: Vec<AnyEvent>, ctx: &Ctx<'_>) -> Vec<AnyEvent> {
    match sabotage {
        Sabotage::DoubleFire => {
            let fired =
                events.iter().position(|event| matches!(event, AnyEvent::Schedule(schedule::Event::Fired { .. })));
            let Some(at) = fired else { return events };
            events.insert(at, events[at].clone());
        }
        Sabotage::TwoVersions => {
            let asked =
                |event: &AnyEvent| matches!(event, AnyEvent::Deliverable(deliverable::Event::RunRequested { .. }));
            let Some(at) = events.iter().position(asked) else { return events };
            let mut second = events[at].clone();
            if let AnyEvent::Deliverable(deliverable::Event::RunRequested { number, .. }) = &mut second {
                *number += 1;
            }
            events.insert(at + 1, second);
        }
        Sabotage::EarlyEnd => {
            let queued = events.iter().any(|event| matches!(event, AnyEvent::Run(run::Event::AttemptStarted { .. })));
            if !queued || !ctx.command_id.0.as_u128().is_multiple_of(20) {
                return events;
            }
            events.push(AnyEvent::Run(run::Event::Completed {
                output: serde_json::Value::Null,
                inside: run::Places::new(),
            }));
        }
        Sabotage::AnswerTwice => {
            let AnyCommand::Run(run::Command::Answer(_)) = command else { return events };
            let answered = |event: &AnyEvent| matches!(event, AnyEvent::Run(run::Event::ApprovalDecided { .. }));
            let Some(at) = events.iter().position(answered) else { return events };
            events.insert(at, events[at].clone());
        }
        Sabotage::LoseChanges => {
            for event in &mut events {
                if let AnyEvent::Run(run::Event::ApprovalDecided { answer, .. }) = event {
                    answer.modifications = None;
                }
            }
        }
        Sabotage::FormerVersion => {
            for event in &mut events {
                if let AnyEvent::Definition(definition::Event::RunRequested { created, .. }) = event
                    && let run::Subject::Workflow { workflow, .. } = &mut created.subject
                {
                    workflow.version = "former".to_owned();
                }
            }
        }
        _ => {}
    }
    events
}
