//! Draws what runs of workflows say beside what every run says: waits, questions to people, repairs.
//!
//! Owns: the shapes. Refuses to know: which of them make sense.

use std::sync::Arc;

use super::draw::Draw;
use crate::run::{
    Answer, Approval, ApprovalAction, ApprovalId, ApprovalOption, Asked, Checkpoint, Command, DeadVerb, Event, Hook,
    How, Migrated, Migration, OnTimeout, Receiver, Report, Reports, Waits,
};

fn asked(draw: &mut Draw) -> Asked {
    Asked { by: draw.text(), note: draw.text() }
}

fn waits(draw: &mut Draw) -> Waits {
    match draw.below(3) {
        0 => Waits::Until { at: draw.at() },
        1 => Waits::Event {
            event: draw.text(),
            topic: draw.stream(),
            correlation: draw.opt(Draw::text),
            deadline: draw.opt(Draw::at),
            since: draw.at(),
        },
        _ => Waits::Child {
            definition: draw.stream(),
            run: draw.run_id(),
            version: draw.opt(Draw::text),
            parameters: draw.any_json(),
        },
    }
}

fn how(draw: &mut Draw) -> How {
    match draw.below(7) {
        0 => How::Set {},
        1 => How::Slept {},
        // The golden payload is of a release without it.
        2 => How::EventArrived { id: if draw.full { String::new() } else { draw.text() } },
        3 => How::Approved {},
        4 => How::ChildEnded { run: draw.run_id() },
        5 => How::FannedIn {},
        _ => How::Replaced { by: asked(draw) },
    }
}

fn action(draw: &mut Draw) -> ApprovalAction {
    draw.one_of(&ApprovalAction::ALL)
}

fn option(draw: &mut Draw) -> ApprovalOption {
    ApprovalOption {
        action: action(draw),
        label: draw.text(),
        allows_modification: draw.bool(),
        description: draw.opt(Draw::text),
    }
}

pub fn checkpoint(draw: &mut Draw) -> Checkpoint {
    Checkpoint {
        question: draw.text(),
        options: draw.list(option),
        advisory: draw.bool(),
        assignee: draw.opt(Draw::text),
        group: draw.opt(Draw::text),
        severity: draw.opt(Draw::text),
        timeout_ms: draw.opt(Draw::n),
        on_timeout: match draw.below(3) {
            0 => OnTimeout::Abort,
            1 => OnTimeout::Approve,
            _ => OnTimeout::Escalate { to: draw.text() },
        },
    }
}

fn receiver(draw: &mut Draw) -> Receiver {
    match draw.bool() {
        true => Receiver::Configured {},
        false => Receiver::Address { url: draw.text(), secret: draw.opt(Draw::text) },
    }
}

pub fn reports(draw: &mut Draw) -> Reports {
    Reports { progress: draw.opt(receiver), checkpoint: draw.opt(receiver), events: vec![] }
}

fn approval_id(draw: &mut Draw) -> ApprovalId {
    ApprovalId(draw.id())
}

fn approval(draw: &mut Draw) -> Box<Approval> {
    Box::new(Approval {
        id: approval_id(draw),
        round: draw.u32(),
        checkpoint: checkpoint(draw),
        payload: draw.any_json(),
        inside: draw.places(),
        digest: draw.digest(),
        deadline: draw.opt(Draw::at),
    })
}

fn answer(draw: &mut Draw) -> Box<Answer> {
    Box::new(Answer {
        approval: approval_id(draw),
        action: action(draw),
        by: draw.text(),
        note: draw.opt(Draw::text),
        modifications: draw.opt(Draw::some_json),
        digest: draw.opt(Draw::digest),
    })
}

/// An event of every type that only runs of workflows have.
pub fn events(draw: &mut Draw) -> Vec<Event> {
    use Event as E;
    let (step, attempt) = (draw.text(), draw.u32());
    let step = || step.clone();
    vec![
        E::FannedOut { step: step(), items: Arc::new(draw.list(Draw::any_json)) },
        E::StepParked { step: step(), attempt, on: Box::new(waits(draw)) },
        E::StepCompleted { step: step(), output: Arc::new(draw.output()), how: how(draw) },
        E::ApprovalRequested { step: step(), approval: approval(draw) },
        E::ApprovalDecided { step: step(), answer: answer(draw) },
        E::ApprovalEscalated { step: step(), approval: approval_id(draw), to: draw.text() },
        E::StepReset {
            step: step(),
            modifications: draw.opt(Draw::some_json),
            not_before: draw.opt(Draw::at),
            by: asked(draw),
            once: draw.bool(),
        },
        E::StepDiscarded { step: step(), by: asked(draw) },
        E::Reopened { by: asked(draw) },
        E::Paused { by: asked(draw) },
        E::Resumed { by: asked(draw) },
        E::Migrated(Box::new(Migrated {
            from: draw.text(),
            workflow: draw.workflow(),
            plan: draw.plan(),
            parameters: draw.any_json(),
            dropped: draw.list(Draw::text),
            by: asked(draw),
        })),
        E::Reported { version: draw.n(), part: draw.u32(), event: step(), attempts: attempt },
        E::ReportGivenUp {
            version: draw.n(),
            part: draw.u32(),
            event: step(),
            attempts: attempt,
            failure: draw.failure(),
        },
        E::ReportResent { report: Box::new(report(draw)), by: asked(draw) },
    ]
}

fn report(draw: &mut Draw) -> Report {
    Report {
        event: draw.text(),
        hook: Hook::Progress,
        to: Receiver::Configured {},
        version: draw.n(),
        part: draw.u32(),
        body: draw.any_json(),
    }
}

/// A command of every verb that only runs of workflows have.
pub fn commands(draw: &mut Draw) -> Vec<Command> {
    use Command as C;
    let (step, attempt) = (draw.text(), draw.u32());
    let step = || step.clone();
    vec![
        C::Stop { reason: draw.text() },
        C::StepDue { step: step(), attempt },
        C::AnswerDue { step: step(), approval: approval_id(draw) },
        C::EventArrived { step: step(), attempt, event: draw.any_json() },
        C::ChildEnded { step: step(), attempt, run: draw.opt(Draw::run_id), end: draw.end() },
        C::Answer(answer(draw)),
        C::RetryStep {
            step: step(),
            modifications: draw.opt(Draw::some_json),
            delay_ms: draw.n(),
            by: asked(draw),
            past: None,
        },
        C::SkipStep { step: step(), output: draw.opt(Draw::some_json), by: asked(draw), past: None },
        C::DeadLetter {
            step: step(),
            attempt: draw.opt(Draw::u32),
            verb: draw.one_of(&DeadVerb::ALL),
            by: asked(draw),
        },
        C::Rerun { from: draw.opt(Draw::text), by: asked(draw) },
        C::Pause { by: asked(draw) },
        C::Resume { by: asked(draw) },
        C::Migrate(Box::new(Migration {
            workflow: draw.workflow(),
            plan: draw.plan(),
            parameters: draw.list(Draw::parameter),
            by: asked(draw),
        })),
        C::EndReport {
            version: draw.n(),
            part: draw.u32(),
            event: step(),
            attempts: attempt,
            failure: draw.opt(Draw::failure),
        },
        C::ResendReports { reports: draw.list(report), by: asked(draw) },
    ]
}
