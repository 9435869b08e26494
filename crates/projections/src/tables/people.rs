//! What people are told: the activity log and notifications.

table! {
    /// One line for each thing a person would want to have noticed; append-only.
    ACTIVITY_LOG = activity_log key(id) {
        /// `shard/seq` of the event that caused it.
        id: Text,
        /// Whose it is.
        user_id: Text,
        /// Kind of line, e.g. `deliverable_run`, `deliverable_approved`, `deliverable_skipped`, `platform_synced`.
        event_type: Text,
        /// The deliverable, version, schedule or source it is about.
        event_ref: Uuid | null,
        /// The line.
        summary: Text,
        /// The facts behind it.
        metadata: Json,
        /// When it happened.
        created_at: Time,
    }
}

table! {
    /// Messages to people: each one in the application, and one more by mail when the order names addresses.
    NOTIFICATIONS = notifications key(id) {
        /// Identity, derived from deliverable, version, notice and channel.
        id: Uuid,
        /// Who is told.
        user_id: Text,
        /// The deliverable it is about.
        deliverable_id: Uuid | null,
        /// The version it is about.
        version_number: Int | null,
        /// Body.
        message: Text,
        /// Subject line.
        subject: Text,
        /// `in_app` or `email`.
        channel: Text,
        /// `low`, `normal` or `high`.
        urgency: Text,
        /// `deliverable`; the other words of the seed are kept for later.
        source_type: Text,
        /// What it is about.
        source_id: Uuid | null,
        /// `{kind, ordinal, run_id}`.
        context: Json,
        /// `pending`, `sent` or `failed`; what is in the application is sent at once.
        status: Text,
        /// Why it could not be sent.
        error_message: Text | null,
        /// When it was raised.
        created_at: Time,
        /// When it was sent.
        sent_at: Time | null,
    }
}
