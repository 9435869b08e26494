//! How a run begins: by a request, by an event, and what its first fact says whoever asked.
//!
//! Owns: which version a run pins, whose it is, what it is given. Refuses to know: schedules and their slots.

use serde_json::json;

use super::{
    Document, Event, ParameterFault, Parent, Rejection, Start, State, Trigger, event_parameters, event_run_id,
    parameters, webhook_event_type,
};
use crate::{
    decider::Ctx,
    ids::{DefinitionId, RunId, StreamId, UserId},
    json::Json,
    run::{Created, Reports, Subject, WorkflowRef},
    time::Timestamp,
};

/// What a run is asked for with, beside its definition.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The definition; none when the document came with the request.
    pub definition: Option<DefinitionId>,
    /// The run.
    pub run: RunId,
    /// Whose run it is.
    pub user: UserId,
    /// As given; checked here.
    pub parameters: &'a Json,
    /// What caused it: `{type, ...}`.
    pub trigger: Json,
    /// Priority; none: the definition's.
    pub priority: Option<i16>,
    /// The step of another run that waits for it; it is told the end.
    pub parent: Option<&'a Parent>,
    /// Who else is told the end. Of no effect beside a parent.
    pub reply_to: Option<StreamId>,
    /// The due instant or the instant of the request.
    pub nominal: Timestamp,
}

/// The first fact of a run of `document`: the same for requests of people, of steps, and for triggers.
///
/// # Errors
/// Every fault of the parameters.
pub fn created_for(document: &Document, request: Request<'_>) -> Result<Box<Created>, Vec<ParameterFault>> {
    let Request { definition, run, user, parameters: given, trigger, priority, parent, reply_to, nominal } = request;
    let workflow = WorkflowRef {
        definition,
        owner: document.owner.clone(),
        name: document.name.clone(),
        version: document.version.clone(),
        digest: document.digest().clone(),
    };
    let title = if document.display_name.is_empty() { &document.name } else { &document.display_name };
    Ok(Box::new(Created {
        id: Some(run),
        plan: document.plan.clone(),
        subject: Subject::Workflow { workflow, title: title.clone() },
        user,
        priority: priority.unwrap_or(document.priority),
        reply_to: parent.map(|parent| parent.run.stream()).or(reply_to),
        root: parent.map_or(run, |parent| parent.root),
        parent: parent.map(|parent| parent.run),
        nominal,
        parameters: parameters(&document.parameters, given)?,
        trigger,
        for_step: parent.map(|parent| (parent.step.clone(), parent.attempt)),
        reports: Reports::default(),
        path: parent.map_or_else(Vec::new, |parent| parent.path.clone()),
    }))
}

/// Somebody asks for a run. A step that waits for it is told of a refusal; everybody else is turned down at once.
pub fn start(state: &State, start: &Start, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
    let run = start.run;
    match (first_fact(state, start, DefinitionId::from_uuid(ctx.stream.id), ctx.now), &start.parent) {
        (Ok(created), _) => Ok(vec![Event::RunRequested { created, run, schedule: None }]),
        (Err(rejection), None) => Err(rejection),
        (Err(rejection), parent) => {
            let (trigger, why) = (start.trigger.clone(), rejection.to_string());
            Ok(vec![Event::RunRefused { run, trigger, why, parent: parent.clone(), slot: None }])
        }
    }
}

/// The first fact of the run that is asked for, of the version it names or of the one in force.
///
/// A run of which nobody in the definition's history has to know, one that a person asked for, is begun with this alone:
/// its own stream sees that it is begun once, and a definition that is busy holds nobody up.
///
/// # Errors
/// Why no run is begun: there is no such version, it is archived, its own run asks for it, or its parameters are faulty.
pub fn first_fact(
    state: &State,
    start: &Start,
    definition: DefinitionId,
    now: Timestamp,
) -> Result<Box<Created>, Rejection> {
    let document = &state.startable(start.version.as_deref())?.document;
    if let Some(parent) = &start.parent {
        let name = format!("{}/{}", document.owner, document.name);
        if parent.path.contains(&name) {
            return Err(Rejection::Recursion { path: parent.path.iter().cloned().chain([name]).collect() });
        }
    }
    let request = Request {
        definition: Some(definition),
        run: start.run,
        user: start.user.clone(),
        parameters: &start.parameters,
        trigger: start.trigger.clone(),
        priority: start.priority,
        parent: start.parent.as_ref(),
        reply_to: None,
        nominal: now,
    };
    created_for(document, request).map_err(|faults| Rejection::Parameters { faults })
}

/// An event came: it starts a run of the version in force, or it is said why not. Nothing happens and nothing is kept of
/// a private event of another user, unless the definition is there for everybody.
pub fn event_arrived(state: &State, event: &Json, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
    if state.versions.is_empty() {
        return Err(Rejection::Unknown);
    }
    let (event_type, id) = (text(event, "type")?, text(event, "id")?);
    let definition = DefinitionId::from_uuid(ctx.stream.id);
    let user = event.get("user").and_then(Json::as_str).map(|user| UserId(user.to_owned()));
    // An event for everybody is nobody's: the run is the definition's user's.
    let private = user.filter(|user| !user.is_everybody());
    if private.as_ref().is_some_and(|user| *user != state.user && !state.user.is_everybody()) {
        return Ok(vec![]);
    }
    let run = event_run_id(definition, event_type, id, ctx.shard_count);
    let trigger = json!({"type": kind_of(event_type), "event": event});
    let refused = |why: String| {
        let trigger = trigger.clone();
        Ok(vec![Event::RunRefused { run, trigger, why, parent: None, slot: None }])
    };
    let document = match state.startable(None) {
        Ok(registered) => &registered.document,
        Err(rejection) => return refused(rejection.to_string()),
    };
    let Some(template) = listens(document, event_type) else {
        return refused(format!("version {:?} does not listen to {event_type:?}", document.version));
    };
    let user = private.unwrap_or_else(|| state.user.clone());
    let given = match event_parameters(&document.parameters, template, event) {
        Ok(given) => given,
        Err(fault) => return refused(format!("what the trigger makes of the event {fault}")),
    };
    let request = Request {
        definition: Some(definition),
        run,
        user,
        parameters: &given,
        trigger: trigger.clone(),
        priority: None,
        parent: None,
        reply_to: None,
        nominal: ctx.now,
    };
    match created_for(document, request) {
        Ok(created) => Ok(vec![Event::RunRequested { created, run, schedule: None }]),
        Err(faults) => refused(Rejection::Parameters { faults }.to_string()),
    }
}

fn text<'a>(event: &'a Json, field: &str) -> Result<&'a str, Rejection> {
    let found = event.get(field).and_then(Json::as_str).filter(|text| !text.is_empty());
    found.ok_or_else(|| Rejection::NoEvent { missing: field.to_owned() })
}

/// The parameters of the first trigger that an event of this type sets off.
fn listens<'a>(document: &'a Document, event_type: &str) -> Option<&'a Json> {
    document.triggers.iter().find_map(|trigger| match trigger {
        Trigger::Event { types, parameters } if types.iter().any(|other| other == event_type) => Some(parameters),
        Trigger::Webhook { path, parameters, .. } if webhook_event_type(path) == event_type => Some(parameters),
        _ => None,
    })
}

fn kind_of(event_type: &str) -> &'static str {
    if event_type.starts_with(&webhook_event_type("")) { "webhook" } else { "event" }
}
