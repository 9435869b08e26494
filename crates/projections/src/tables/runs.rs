//! Runs, their steps, places in the queue and attempts.

table! {
    /// Executions: one row for each run of a plan.
    ORCHESTRATION_RUNS = orchestration_runs key(id)
    fixed(user_id, deliverable_id, version_number, root_run_id, parent_orchestration_run_id, created_at) {
        /// Identity; the shard is inside.
        id: Uuid,
        /// Name and version of the definition, e.g. `deliverable.produce@1`.
        definition: Text,
        /// The name alone.
        orchestration_name: Text,
        /// Whose run it is.
        user_id: Text,
        /// `pending` until something is done, then `running`, `checkpoint` while a person is asked, then `completed`,
        /// `failed` or `cancelled`.
        status: Text,
        /// The workflow definition; null for a version of a deliverable and for a plan that came with its request.
        definition_id: Uuid | null,
        /// Owner of the workflow.
        workflow_owner: Text | null,
        /// Version of the workflow.
        workflow_version: Text | null,
        /// SHA-256 of the workflow's document, as it was when the run began.
        definition_digest: Text | null,
        /// Checked parameters with their defaults.
        parameters: Json | null,
        /// What caused it: `{type, ...}`.
        trigger: Json | null,
        /// The deliverable it works for.
        deliverable_id: Uuid | null,
        /// The version it works for.
        version_number: Int | null,
        /// Title of the document.
        title: Text,
        /// The run at the top of the tree; itself when it has no parent.
        root_run_id: Uuid,
        /// The run that caused it.
        parent_orchestration_run_id: Uuid | null,
        /// Lower goes first.
        priority: Int,
        /// The due instant, or the request, that caused it.
        nominal_at: Time,
        /// Steps with their policies; addresses and digests, never whole texts.
        plan: Json,
        /// What each completed step made: digests, counts, receipts; never whole texts.
        results: Json,
        /// `{step, class, message, status_code}` of a failed run, `{reason}` of a cancelled one.
        error_details: Json | null,
        /// Steps of the plan.
        total_steps: Int,
        /// Steps that are complete.
        completed_steps: Int,
        /// Questions to people that are open.
        pending_approvals: Int,
        /// Questions that nobody has to answer and nobody has, by id: their rows of `human_approvals`. Null when the run is
        /// over.
        advisory: Json | null,
        /// Why nothing more is started, while it is paused.
        pause_note: Text | null,
        /// When it was asked for.
        created_at: Time,
        /// When the first attempt began.
        started_at: Time | null,
        /// When it was over, however it ended.
        completed_at: Time | null,
        /// W3C trace id (32 hex digits): the id of the root run.
        trace_id: Text,
    }
}

table! {
    /// Steps of runs: one row for each step of each run, from the run's first event on.
    ORCHESTRATION_STEPS = orchestration_steps key(run_id, step_id) {
        /// The run.
        run_id: Uuid,
        /// Unique in the run.
        step_id: Text,
        /// Place in the plan, from 0.
        step_index: Int,
        /// What it does: `gather`, `compose`, `validate`, `deliver`, `notify`, `call`, `agent`, `process`, `llm`, `sleep`,
        /// `wait_for_event`, `approval`, `orchestration` or `set`.
        action: Text,
        /// `pending`, `queued` (also while its run is paused), `running`, `checkpoint` (a person is asked), `completed`,
        /// `failed` (waits for its retry), `dead` or `skipped`. A step that is done once for each element of a list has a
        /// row of its own beside one for each element, `step[0]`, `step[1]`, and so on.
        status: Text,
        /// The newest attempt; 0 before the first.
        attempt_number: Int,
        /// Attempts its policy allows.
        max_attempts: Int,
        /// Steps that must be complete before.
        depends_on: Json,
        /// What it made: digests, counts, receipts; never whole texts.
        output: Json | null,
        /// `{class, message, status_code}` of the last failure, `{reason}` of a skipped step. With `discarded: {by, note}`
        /// when somebody gave the dead step up.
        error_details: Json | null,
        /// Who does or did the newest attempt.
        worker: Text | null,
        /// Fencing token of the newest attempt.
        token: Text | null,
        /// When it last joined the queue.
        queued_at: Time | null,
        /// When the newest attempt began.
        started_at: Time | null,
        /// When it was complete, dead or skipped.
        completed_at: Time | null,
        /// When it is tried again, while `failed`.
        next_retry_at: Time | null,
        /// What it waits for that no worker does: `{until: {at}}`, `{event: {event, correlation, deadline, since}}` or
        /// `{child: {definition, run, version, parameters}}`.
        waits_for: Json | null,
        /// The question that is open about it: its row of `human_approvals`.
        approval: Json | null,
        /// How many elements its list has, once the list is known; null for a step that is done once.
        instances: Int | null,
    }
}

table! {
    /// Places in the queue: one row for each step that ever waited for one, and for each that died without one.
    JOB_QUEUE = job_queue key(job_id) fixed(workflow_run_id, priority) {
        /// `run/step`.
        job_id: Text,
        /// The run.
        workflow_run_id: Uuid,
        /// The step.
        step_id: Text,
        /// Whose it is.
        user_id: Text,
        /// Name of the definition, without owner and version.
        definition: Text,
        /// Owner of the definition; null when its run is of no workflow.
        definition_owner: Text | null,
        /// The queue it waits in; `default` when its step names none.
        queue: Text,
        /// `queued` (also while its run is paused), `leased` (an attempt is under way), `success`, `failed` (waits for its retry), `dead` or
        /// `cancelled`; `running` is kept for later.
        status: Text,
        /// Lower goes first.
        priority: Int,
        /// When the lease runs out unless renewed, while `leased`.
        lease_until: Time | null,
        /// Attempts begun.
        attempts: Int,
        /// Attempts its policy allows.
        max_attempts: Int,
        /// From when on it may go, while `queued` or `failed`.
        next_run_at: Time | null,
        /// Class of its last failure, while `failed` or `dead`, and after it was discarded.
        error_class: Text | null,
        /// What happened then, for people.
        error_text: Text | null,
        /// Why it is `cancelled`: it was skipped, or discarded by somebody.
        note: Text | null,
        /// When it first joined the queue.
        created_at: Time,
        /// When anything here last changed.
        updated_at: Time,
    }
}

table! {
    /// Attempts at steps, each under its own lease.
    JOB_ATTEMPTS = job_attempts key(run_id, step_id, attempt) {
        /// The run.
        run_id: Uuid,
        /// The step.
        step_id: Text,
        /// Counts from 1 in the step.
        attempt: Int,
        /// Who does the work.
        worker: Text,
        /// Fencing token: epoch of the shard, a dot, a nonce in hex.
        token: Text,
        /// When it began.
        started_at: Time,
        /// When its outcome was recorded.
        finished_at: Time | null,
        /// Whether it did it; null while open.
        success: Bool | null,
        /// `transient`, `permanent`, `timeout`, `rate_limited`, `cancelled` or `lost`.
        failure_class: Text | null,
        /// Status code of the other side.
        status_code: Int | null,
        /// What happened, for people.
        error_text: Text | null,
        /// A result came under a token that was no longer the open one; it was not applied.
        stale: Bool,
    }
}

table! {
    /// Bulk jobs: one verb, done to every dead letter that a filter chooses.
    BULK_JOBS = bulk_jobs key(id) {
        /// Identity; the shard is inside.
        id: Uuid,
        /// Whose job it is.
        user_id: Text,
        /// `retry` (one more attempt), `reset` (all attempts anew) or `discard` (given up).
        verb: Text,
        /// Which letters, as asked: `{status, queue, definition, error_class, user, run, before, after}`.
        filter: Json,
        /// `running`, `cancelling` while letters that were told are awaited, then `completed` or `cancelled`.
        status: Text,
        /// Who asked.
        requested_by: Text,
        /// Why.
        note: Text,
        /// Who stopped it.
        cancelled_by: Text | null,
        /// Letters that fitted when it was asked for; those that were chosen once it is completed.
        total: Int,
        /// Letters that were chosen so far.
        chosen: Int,
        /// Letters whose run did it.
        done: Int,
        /// Letters whose run did not.
        refused: Int,
        /// The first hundred refusals: `[{job, reason}]`.
        refusals: Json,
        /// When it was asked for.
        created_at: Time,
        /// When anything here last changed.
        updated_at: Time,
        /// When it was over.
        ended_at: Time | null,
    }
}
