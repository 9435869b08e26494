//! Standing orders, their versions and their schedules.

table! {
    /// Standing orders for documents; one row each, for ever.
    DELIVERABLES = deliverables key(id) {
        /// Identity; the shard is inside.
        id: Uuid,
        /// Whose it is.
        user_id: Text,
        /// Title of the document.
        title: Text,
        /// What it is for.
        description: Text,
        /// Kind of document, one of the 25 words.
        deliverable_type: Text,
        /// Settings of the kind; empty so far.
        type_config: Json,
        /// `{binding, primary_platform, freshness_requirement_hours}`.
        type_classification: Json,
        /// `{recipient, notify}`: who reads it, and addresses that are told about versions.
        recipient_context: Json,
        /// `{sections}`: headings asked for, in order.
        template_structure: Json,
        /// Rule, zone and policies; null for an order that only runs by hand.
        schedule: Json | null,
        /// Where material comes from, in order of importance.
        sources: Json,
        /// Where approved versions go; null when they stay here. Secrets by reference only.
        destination: Json | null,
        /// `active`, `paused` or `archived`.
        status: Text,
        /// `user_configured`; `analyst_suggested` and `signal_emergent` are kept for later.
        origin: Text,
        /// `schedule` or `manual`; `event` is kept for later.
        trigger_type: Text,
        /// `manual`, `semi_auto` or `full_auto`.
        governance: Text,
        /// With `semi_auto`: delivered when nobody objected for so many seconds.
        semi_auto_window_s: Int,
        /// Its schedule.
        schedule_id: Uuid | null,
        /// When a slot was last taken up.
        last_triggered_at: Time | null,
        /// When a version was last asked for.
        last_run_at: Time | null,
        /// The next due instant; null while paused, without a schedule, or when the schedule is exhausted.
        next_run_at: Time | null,
        /// When a slot last passed without a version.
        last_skip_at: Time | null,
        /// Why it did, in words.
        last_skip_reason: Text | null,
        /// Why it is paused.
        pause_note: Text | null,
        /// The slot that is worked on.
        current_slot: Uuid | null,
        /// The run that makes its version, once there is one.
        current_run_id: Uuid | null,
        /// Since when it is worked on.
        current_since: Time | null,
        /// When the order was taken.
        created_at: Time,
        /// When anything here last changed.
        updated_at: Time,
    }
}

table! {
    /// Documents made for a deliverable, numbered from 1; one row each, for ever.
    DELIVERABLE_VERSIONS = deliverable_versions key(id) {
        /// Identity, derived from deliverable and number.
        id: Uuid,
        /// The deliverable.
        deliverable_id: Uuid,
        /// Whose it is.
        user_id: Text,
        /// Counts from 1 in its deliverable.
        version_number: Int,
        /// `generating`, `staged`, `reviewing`, `approved`, `rejected`, `delivered`, `failed`; `suggested` is kept for later.
        status: Text,
        /// The text as it was made; null when it is larger than 32 KiB (then in the content store) or not made yet.
        draft_content: Text | null,
        /// The text as it stands after edits; null like `draft_content`.
        final_content: Text | null,
        /// SHA-256 of the text as it stands; its name in the content store.
        content_digest: Text | null,
        /// Its length in bytes.
        content_bytes: Int | null,
        /// Unified diff from the draft to the text as it stands; null when not edited or larger than 32 KiB.
        edit_diff: Text | null,
        /// Kinds of change, e.g. `["shortened"]`.
        edit_categories: Json | null,
        /// 0 unchanged to 1 rewritten, three decimals.
        edit_distance_score: Real | null,
        /// What was said on approval or rejection.
        feedback_notes: Text | null,
        /// What each source looked like when the version was made; never changes.
        source_snapshots: Json,
        /// `{composer, warnings, consumed}` of a staged version, `{failed_step, failure}` of a failed one.
        analyst_metadata: Json | null,
        /// `delivering`, `delivered` or `failed`; null when delivery was not asked for.
        delivery_status: Text | null,
        /// Why the last delivery failed.
        delivery_error: Text | null,
        /// The other side's id of the last delivery.
        delivery_external_id: Text | null,
        /// Where the delivered document can be seen.
        delivery_external_url: Text | null,
        /// How many times it was sent out.
        delivery_count: Int,
        /// The run that makes it (`pipeline_run_id` of the seed).
        run_id: Uuid | null,
        /// The slot it is for; a slot has at most one version.
        slot_id: Uuid | null,
        /// The due instant of the slot, or the instant it was asked for.
        nominal_at: Time | null,
        /// What started it: `schedule` or `manual`.
        trigger: Text | null,
        /// Who agreed: a person, `governance:full_auto` or `governance:semi_auto`.
        approved_by: Text | null,
        /// When it was asked for.
        created_at: Time,
        /// When it was ready to be read.
        staged_at: Time | null,
        /// When it was agreed to.
        approved_at: Time | null,
        /// When it was refused.
        rejected_at: Time | null,
        /// When it last arrived.
        delivered_at: Time | null,
    }
}

table! {
    /// Triggers in time.
    SCHEDULES = schedules key(id) {
        /// Identity; on the shard of its target.
        id: Uuid,
        /// The deliverable it tells; null when it tells something else.
        deliverable_id: Uuid | null,
        /// The workflow definition whose runs it starts.
        definition_id: Uuid | null,
        /// Whose it is, when the target is a known deliverable.
        user_id: Text | null,
        /// `{cron}`, `{interval}`, `{calendar}` or `{once}`.
        rule: Json,
        /// IANA zone in which the rule is read.
        timezone: Text,
        /// `active`, `paused` or `ended`.
        status: Text,
        /// Why it is paused.
        pause_note: Text | null,
        /// What happens to instants missed while down: `skip`, `latest` or `all(n)`.
        catch_up: Text,
        /// Instants older than this many seconds are skipped whatever `catch_up` says; null for no limit.
        catch_up_window_s: Int | null,
        /// What happens when the former run still goes: `skip` or `buffer_one`.
        overlap: Text,
        /// Each start is spread over so many seconds.
        jitter_s: Int,
        /// The due instant whose timer is open; null while paused, exhausted or ended.
        next_due_at: Time | null,
        /// When it last told its target.
        last_fired_at: Time | null,
        /// The due instant it told of.
        last_nominal_at: Time | null,
        /// How many times it told its target.
        fired_count: Int,
        /// How many due instants it passed over; a lower bound after a very long gap.
        skipped_count: Int,
        /// Why it last passed over one.
        last_skip_reason: Text | null,
        /// Edition of the zone data that gave `next_due_at`.
        tz_revision: Text,
        /// When it was made.
        created_at: Time,
    }
}
