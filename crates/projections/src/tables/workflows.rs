//! Workflow definitions, what people are asked, and the events that start and wake runs.

table! {
    /// Versions of workflow definitions: one row each, for ever.
    ORCHESTRATION_DEFINITIONS = orchestration_definitions key(id, version) {
        /// Identity of the definition; the same for all its versions. The shard is inside.
        id: Uuid,
        /// Version, as written.
        version: Text,
        /// Owner: a user, a team or an agent.
        owner: Text,
        /// Name; unique below the owner.
        name: Text,
        /// Name for people.
        display_name: Text,
        /// What it is for.
        description: Text,
        /// `active`, `deprecated` or `archived`.
        status: Text,
        /// It is what the name without a version means.
        in_force: Bool,
        /// SHA-256 of the document as it was written.
        digest: Text,
        /// The document as it was written; null when it is larger than 32 KiB.
        source: Text | null,
        /// What runs are given: `[{name, kind, required, default, one_of, description}]`.
        parameters: Json,
        /// What starts runs.
        triggers: Json,
        /// Steps with their policies.
        plan: Json,
        /// Whose runs its triggers start.
        created_by: Text,
        /// When it was registered.
        created_at: Time,
        /// When anything here last changed.
        updated_at: Time,
    }
}

table! {
    /// Questions to people, one row each, for ever.
    HUMAN_APPROVALS = human_approvals key(id) {
        /// Identity; derived from run, step and round.
        id: Uuid,
        /// The run.
        run_id: Uuid,
        /// The step it is about.
        step_id: Text,
        /// Which question about this step it is, from 1.
        round: Int,
        /// Whose run it is.
        user_id: Text,
        /// `pending`, `approved`, `retried`, `aborted`, or `void` when the run went on or ended without an answer.
        status: Text,
        /// The question.
        question: Text,
        /// What can be answered: `[{action, label, allows_modification, description}]`.
        options: Json,
        /// Nobody has to answer.
        advisory: Bool,
        /// `low`, `normal` or `high`.
        severity: Text | null,
        /// Who is asked; null: whoever may.
        assignee: Text | null,
        /// A group that is asked.
        group_name: Text | null,
        /// What is to be approved; null also when that is the value null.
        payload: Json | null,
        /// SHA-256 of its canonical text; an answer to another payload is void.
        payload_digest: Text,
        /// When nobody will be waited for any longer.
        deadline_at: Time | null,
        /// When it was asked.
        requested_at: Time,
        /// When it was answered, or became void.
        decided_at: Time | null,
        /// Who answered; `deadline` when nobody did.
        decided_by: Text | null,
        /// `continue`, `retry` or `abort`.
        decision: Text | null,
        /// What they said.
        comment: Text | null,
        /// What they changed.
        modifications: Json | null,
    }
}

table! {
    /// Events that were published, one row each, for ever.
    INTENT_EVENTS = intent_events key(event_type, event_id) {
        /// Type of event.
        event_type: Text,
        /// Identity in its type; the same one again is the same event.
        event_id: Text,
        /// Whose it is.
        user_id: Text,
        /// An id of the outside.
        intent_id: Text | null,
        /// What it is about, for those who wait for one of many.
        correlation: Text | null,
        /// The rest; null also when that is the value null.
        payload: Json | null,
        /// How many were told at once.
        told: Int,
        /// When it was published.
        created_at: Time,
    }
}
