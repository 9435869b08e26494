//! Actions and who performs them.
//!
//! Owns: which port does which action, and where large texts are kept before an event refers to them.
//! Refuses to know: how anything is done outside.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use nightshift_domain::{
    codec,
    content::{Digest, Draft, Failure, FailureClass, INLINE_BYTES_MAX, Material, Text},
    json::{Json, canonical},
    run::{self, Action, Kept, Run, StepOutput, StepPlan},
};
use nightshift_ports::{
    blobs::{Blobs, digest_of},
    log::StoreError,
    performer::Outgoing,
    step_cache::Slot,
};

use crate::{
    context::Context,
    importer,
    workers::{Attempt, Undertaking},
};

/// Performs an attempt.
///
/// # Errors
/// A classified failure.
pub async fn perform(context: &Arc<Context>, attempt: &Attempt) -> Result<StepOutput, Failure> {
    let (action, plan) = match &attempt.work {
        Undertaking::Ready { action, plan } => (Cow::Borrowed(&**action), plan),
        Undertaking::Needs { run, plan, kept } => (Cow::Owned(brought(context, attempt, run, kept).await?), plan),
    };
    match &*action {
        Action::Gather { sources, brief, feedback } => {
            let material = importer::gather(context, sources, brief, feedback).await?;
            keep_material(context, &material).await
        }
        Action::Compose {} => {
            let material = load_material(context, attempt).await?;
            let draft = context.performers.composing.compose(&material, &attempt.call()).await?;
            keep_text(context, &draft.text).await?;
            Ok(StepOutput::Draft(draft))
        }
        Action::Validate {} => {
            let material = load_material(context, attempt).await?;
            let markdown = full_text(&*context.performers.blobs, &draft_of(attempt)?.text).await?;
            Ok(StepOutput::Validated { warnings: nightshift_spec::validate::validate_against(&markdown, &material) })
        }
        Action::Deliver { destination, version_id, title, text, staged_at } => {
            let document = Outgoing {
                version_id: *version_id,
                version_number: attempt.created.subject.version().map_or(0, |(_, number)| number),
                title: title.clone(),
                markdown: full_text(&*context.performers.blobs, text).await?,
                digest: text.digest.clone(),
                staged_at: *staged_at,
            };
            let receipt = context.performers.delivering.deliver(destination, &document, &attempt.call()).await?;
            Ok(StepOutput::Receipt(receipt))
        }
        Action::Notify { to, notice } => {
            let receipt = context.performers.delivering.notify(to, notice, &attempt.call()).await?;
            Ok(StepOutput::Receipt(receipt))
        }
        Action::Call { .. } | Action::Agent { .. } | Action::Process { .. } | Action::Llm { .. } => {
            act(context, attempt, &action, plan).await
        }
        Action::Sleep { .. }
        | Action::WaitForEvent { .. }
        | Action::Approval { .. }
        | Action::Orchestration { .. }
        | Action::Set { .. } => {
            let why = format!("a step that is a {} needs no worker", action.as_str());
            Err(Failure::new(FailureClass::Permanent, why))
        }
    }
}

/// The action with the values that are kept outside of the events.
async fn brought(context: &Context, attempt: &Attempt, run: &Run, kept: &[Digest]) -> Result<Action, Failure> {
    let mut values = BTreeMap::new();
    for digest in kept {
        let bytes = context.performers.blobs.get(digest).await.map_err(store_failed)?;
        let bytes = bytes.ok_or_else(|| missing(&digest.0))?;
        let value = serde_json::from_slice(&bytes)
            .map_err(|error| Failure::new(FailureClass::Permanent, format!("{digest} is no JSON: {error}")))?;
        values.insert(digest.clone(), value);
    }
    let unknown = || Failure::new(FailureClass::Permanent, format!("the run has no step {:?}", attempt.step));
    let action = run::action_of(run, attempt.run, &attempt.step, &values).ok_or_else(unknown)?;
    let too_much = |fault| format!("what step {:?} is given {fault}", attempt.step);
    action.map_err(|fault| Failure::new(FailureClass::Permanent, too_much(fault)))
}

/// Does a step of a workflow. What it made is mapped here, where it is whole, and put into the content store when it is
/// too large for an event.
async fn act(
    context: &Arc<Context>,
    attempt: &Attempt,
    action: &Action,
    plan: &StepPlan,
) -> Result<StepOutput, Failure> {
    let mut call = attempt.call();
    call.cache = plan.flow.cache.zip(attempt.created.subject.workflow()).map(|(policy, workflow)| {
        let input = serde_json::to_value(action).unwrap_or_default();
        Slot::of(workflow, None, &plan.id, &input, policy)
    });
    let mut outcome = context.performers.acting.act(action, &call).await?;
    outcome.value = run::mapped(plan, &outcome.value);
    outcome.mapped = true;
    let text = canonical(&outcome.value);
    if text.len() > INLINE_BYTES_MAX {
        let (digest, bytes) = (digest_of(text.as_bytes()), text.len() as u64);
        // It was done: a step that must not be done twice is not tried again for it.
        let not_kept = |error| Failure { class: FailureClass::Lost, ..store_failed(error) };
        context.performers.blobs.put(&digest, text.into_bytes()).await.map_err(not_kept)?;
        outcome.value = Json::Null;
        outcome.kept = Some(Kept { digest, bytes });
    }
    Ok(StepOutput::Value(outcome))
}

fn store_failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(FailureClass::Transient, error.to_string())
}

async fn keep_material(context: &Arc<Context>, material: &Material) -> Result<StepOutput, Failure> {
    let bytes = codec::to_bytes(material).map_err(store_failed)?;
    let digest = digest_of(&bytes);
    let size = bytes.len() as u64;
    context.performers.blobs.put(&digest, bytes).await.map_err(store_failed)?;
    let snapshots = material.groups.iter().map(|group| group.snapshot.clone()).collect();
    let items = material.groups.iter().map(|group| group.items.len()).sum::<usize>();
    Ok(StepOutput::Material { digest, bytes: size, items: u32::try_from(items).unwrap_or(u32::MAX), snapshots })
}

async fn load_material(context: &Arc<Context>, attempt: &Attempt) -> Result<Material, Failure> {
    let Some(StepOutput::Material { digest, .. }) = attempt.inputs.get("gather").map(AsRef::as_ref) else {
        return Err(Failure::new(FailureClass::Permanent, "no material was gathered before this step"));
    };
    let bytes = context.performers.blobs.get(digest).await.map_err(store_failed)?;
    let bytes = bytes.ok_or_else(|| missing(&digest.0))?;
    codec::from_bytes("material", &bytes).map_err(|error| Failure::new(FailureClass::Permanent, error.to_string()))
}

fn draft_of(attempt: &Attempt) -> Result<&Draft, Failure> {
    match attempt.inputs.get("compose").map(AsRef::as_ref) {
        Some(StepOutput::Draft(draft)) => Ok(draft),
        _ => Err(Failure::new(FailureClass::Permanent, "no draft was made before this step")),
    }
}

/// States keep only the digest of a text, so every text is in the content store, also a short one.
async fn keep_text(context: &Arc<Context>, text: &Text) -> Result<(), Failure> {
    match &text.inline {
        Some(inline) => {
            let bytes = inline.clone().into_bytes();
            context.performers.blobs.put(&text.digest, bytes).await.map_err(store_failed)
        }
        None => Ok(()),
    }
}

fn missing(digest: &str) -> Failure {
    Failure::new(FailureClass::Permanent, format!("the content store has nothing under {digest}"))
}

/// The bytes of a text, from the event or from the content store.
///
/// # Errors
/// The store did not answer, or does not have it.
pub async fn full_text(blobs: &dyn Blobs, text: &Text) -> Result<String, Failure> {
    if let Some(inline) = &text.inline {
        return Ok(inline.clone());
    }
    let bytes = blobs.get(&text.digest).await.map_err(store_failed)?.ok_or_else(|| missing(&text.digest.0))?;
    String::from_utf8(bytes).map_err(|error| Failure::new(FailureClass::Permanent, error.to_string()))
}

/// Makes a text of a string and puts its bytes into the content store.
///
/// # Errors
/// The store did not take it.
pub async fn keep(blobs: &dyn Blobs, text: String) -> Result<Text, StoreError> {
    let digest = digest_of(text.as_bytes());
    blobs.put(&digest, text.clone().into_bytes()).await?;
    let bytes = text.len() as u64;
    let inline = (text.len() <= INLINE_BYTES_MAX).then_some(text);
    Ok(Text { digest, bytes, inline })
}
