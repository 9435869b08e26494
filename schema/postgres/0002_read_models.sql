-- Read models: what people query. Every table is a fold of the log, written by projectors only, and may be dropped and
-- rebuilt at any time. Why no foreign keys: rows of different shards arrive in any order. Why checks: a status that the
-- domain does not know is a fault of a fold and must not reach a reader.
-- `shard_id` and `src_seq` name the newest event in a row. Columns are explained in schema/README.md.
-- Instants are `timestamptz` (microseconds, as in the log); documents are `jsonb`.

create table deliverables (
    id uuid not null,
    user_id text not null,
    title text not null,
    description text not null,
    deliverable_type text not null,
    type_config jsonb not null,
    type_classification jsonb not null,
    recipient_context jsonb not null,
    template_structure jsonb not null,
    schedule jsonb,
    sources jsonb not null,
    destination jsonb,
    status text not null check (status in ('active', 'paused', 'archived')),
    origin text not null check (origin in ('user_configured', 'analyst_suggested', 'signal_emergent')),
    trigger_type text not null check (trigger_type in ('schedule', 'event', 'manual')),
    governance text not null check (governance in ('manual', 'semi_auto', 'full_auto')),
    semi_auto_window_s bigint not null,
    schedule_id uuid,
    last_triggered_at timestamptz,
    last_run_at timestamptz,
    next_run_at timestamptz,
    last_skip_at timestamptz,
    last_skip_reason text,
    pause_note text,
    current_slot uuid,
    current_run_id uuid,
    current_since timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    shard_id bigint not null,
    src_seq bigint not null,
    primary key (id)
);
create index deliverables_due on deliverables (status, next_run_at);
create index deliverables_user on deliverables (user_id, created_at);

create table deliverable_versions (
    id uuid not null,
    deliverable_id uuid not null,
    user_id text not null,
    version_number bigint not null,
    status text not null
        check (status in ('generating', 'staged', 'reviewing', 'approved', 'rejected', 'suggested', 'delivered', 'failed')),
    draft_content text,
    final_content text,
    content_digest text,
    content_bytes bigint,
    edit_diff text,
    edit_categories jsonb,
    edit_distance_score double precision,
    feedback_notes text,
    source_snapshots jsonb not null,
    analyst_metadata jsonb,
    delivery_status text check (delivery_status in ('pending', 'delivering', 'delivered', 'failed')),
    delivery_error text,
    delivery_external_id text,
    delivery_external_url text,
    delivery_count bigint not null,
    run_id uuid,
    slot_id uuid,
    nominal_at timestamptz,
    trigger text check (trigger in ('schedule', 'event', 'manual')),
    approved_by text,
    created_at timestamptz not null,
    staged_at timestamptz,
    approved_at timestamptz,
    rejected_at timestamptz,
    delivered_at timestamptz,
    shard_id bigint not null,
    src_seq bigint not null,
    primary key (id)
);
create unique index deliverable_versions_number on deliverable_versions (deliverable_id, version_number);
create index deliverable_versions_status on deliverable_versions (status, created_at);

create table schedules (
    id uuid not null,
    deliverable_id uuid,
    user_id text,
    rule jsonb not null,
    timezone text not null,
    status text not null check (status in ('active', 'paused', 'ended')),
    pause_note text,
    catch_up text not null,
    catch_up_window_s bigint,
    overlap text not null check (overlap in ('skip', 'buffer_one')),
    jitter_s bigint not null,
    next_due_at timestamptz,
    last_fired_at timestamptz,
    last_nominal_at timestamptz,
    fired_count bigint not null,
    skipped_count bigint not null,
    last_skip_reason text,
    tz_revision text not null,
    created_at timestamptz not null,
    shard_id bigint not null,
    src_seq bigint not null,
    primary key (id)
);
create index schedules_due on schedules (status, next_due_at);
create index schedules_deliverable on schedules (deliverable_id);

create table orchestration_runs (
    id uuid not null,
    definition text not null,
    orchestration_name text not null,
    user_id text not null,
    status text not null check (status in ('pending', 'running', 'completed', 'failed', 'cancelled')),
    deliverable_id uuid,
    version_number bigint,
    title text not null,
    root_run_id uuid not null,
    parent_orchestration_run_id uuid,
    priority bigint not null,
    nominal_at timestamptz not null,
    plan jsonb not null,
    results jsonb not null,
    error_details jsonb,
    total_steps bigint not null,
    completed_steps bigint not null,
    created_at timestamptz not null,
    started_at timestamptz,
    completed_at timestamptz,
    trace_id text not null,
    shard_id bigint not null,
    src_seq bigint not null,
    primary key (id)
);
create index orchestration_runs_status on orchestration_runs (status, created_at);
create index orchestration_runs_deliverable on orchestration_runs (deliverable_id, version_number);
create index orchestration_runs_root on orchestration_runs (root_run_id);

create table orchestration_steps (
    run_id uuid not null,
    step_id text not null,
    step_index bigint not null,
    action text not null,
    status text not null check (status in ('pending', 'queued', 'running', 'completed', 'failed', 'dead', 'skipped')),
    attempt_number bigint not null,
    max_attempts bigint not null,
    depends_on jsonb not null,
    output jsonb,
    error_details jsonb,
    worker text,
    token text,
    queued_at timestamptz,
    started_at timestamptz,
    completed_at timestamptz,
    next_retry_at timestamptz,
    shard_id bigint not null,
    src_seq bigint not null,
    primary key (run_id, step_id)
);

create table job_queue (
    job_id text not null,
    workflow_run_id uuid not null,
    step_id text not null,
    user_id text not null,
    status text not null check (status in ('queued', 'leased', 'running', 'success', 'failed', 'dead', 'cancelled')),
    priority bigint not null,
    lease_until timestamptz,
    attempts bigint not null,
    max_attempts bigint not null,
    next_run_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    shard_id bigint not null,
    src_seq bigint not null,
    primary key (job_id)
);
create index job_queue_next on job_queue (next_run_at, status, priority);
create index job_queue_status on job_queue (status, updated_at);
create index job_queue_run on job_queue (workflow_run_id);

create table job_attempts (
    run_id uuid not null,
    step_id text not null,
    attempt bigint not null,
    worker text not null,
    token text not null,
    started_at timestamptz not null,
    finished_at timestamptz,
    success boolean,
    failure_class text
        check (failure_class in ('transient', 'permanent', 'timeout', 'rate_limited', 'cancelled', 'lost')),
    status_code bigint,
    error_text text,
    stale boolean not null,
    shard_id bigint not null,
    src_seq bigint not null,
    primary key (run_id, step_id, attempt)
);

create table sync_registry (
    source_id uuid not null,
    user_id text not null,
    platform text not null,
    resource_id text not null,
    resource_name text not null,
    last_synced_at timestamptz,
    last_checked_at timestamptz,
    platform_cursor jsonb not null,
    item_count bigint not null,
    source_latest_at timestamptz,
    failing_since timestamptz,
    last_error text,
    omitted jsonb not null,
    shard_id bigint not null,
    src_seq bigint not null,
    primary key (source_id)
);
create index sync_registry_resource on sync_registry (user_id, platform, resource_id);

create table platform_items (
    source_id uuid not null,
    item_id text not null,
    content_hash text not null,
    stream_version bigint not null,
    gone_at timestamptz,
    expired_at timestamptz,
    shard_id bigint not null,
    src_seq bigint not null,
    primary key (source_id, item_id)
);

create table platform_content_items (
    source_id uuid not null,
    item_id text not null,
    content_hash text not null,
    user_id text not null,
    platform text not null,
    resource_id text not null,
    resource_name text not null,
    title text not null,
    link text,
    author text,
    content text,
    content_bytes bigint not null,
    source_timestamp timestamptz,
    fetched_at timestamptz not null,
    expires_at timestamptz not null,
    metadata jsonb not null,
    first_version bigint not null,
    stream_version bigint not null,
    shard_id bigint not null,
    src_seq bigint not null,
    primary key (source_id, item_id, content_hash)
);
create index platform_content_items_fetched on platform_content_items (user_id, platform, fetched_at);

create table content_retentions (
    source_id uuid not null,
    retained_version bigint not null,
    from_version bigint not null,
    upto_version bigint not null,
    reason text not null,
    reference uuid not null,
    retained_at timestamptz not null,
    shard_id bigint not null,
    src_seq bigint not null,
    primary key (source_id, retained_version)
);

create table activity_log (
    id text not null,
    user_id text not null,
    event_type text not null,
    event_ref uuid,
    summary text not null,
    metadata jsonb not null,
    created_at timestamptz not null,
    shard_id bigint not null,
    src_seq bigint not null,
    primary key (id)
);
create index activity_log_created on activity_log (created_at);
create index activity_log_user on activity_log (user_id, created_at);

create table notifications (
    id uuid not null,
    user_id text not null,
    deliverable_id uuid,
    version_number bigint,
    message text not null,
    subject text not null,
    channel text not null check (channel in ('in_app', 'email')),
    urgency text not null check (urgency in ('low', 'normal', 'high')),
    source_type text not null
        check (source_type in ('system', 'monitor', 'tp', 'deliverable', 'event_trigger', 'suggestion')),
    source_id uuid,
    context jsonb not null,
    status text not null check (status in ('pending', 'sent', 'failed')),
    error_message text,
    created_at timestamptz not null,
    sent_at timestamptz,
    shard_id bigint not null,
    src_seq bigint not null,
    primary key (id)
);
create index notifications_user on notifications (user_id, created_at);
create index notifications_status on notifications (status, created_at);

-- What people read: texts with what retains them. A text that a document was made of never expires; when several
-- documents were, the first of them stands here. The view is part of what a rebuild puts in place of the live tables.
create view platform_content as
select
    c.source_id,
    c.item_id,
    c.content_hash,
    c.user_id,
    c.platform,
    c.resource_id,
    c.resource_name,
    c.title,
    c.link,
    c.author,
    c.content,
    c.content_bytes,
    c.source_timestamp,
    c.fetched_at,
    r.retained_version is not null as retained,
    r.reason as retained_reason,
    r.reference as retained_ref,
    r.retained_at,
    case when r.retained_version is null then c.expires_at end as expires_at,
    i.gone_at,
    c.metadata,
    c.first_version,
    c.stream_version,
    c.shard_id,
    c.src_seq
from platform_content_items c
left join platform_items i on i.source_id = c.source_id and i.item_id = c.item_id
left join content_retentions r
    on r.source_id = c.source_id
    and r.retained_version = (
        select min(k.retained_version)
        from content_retentions k
        where k.source_id = c.source_id and k.from_version < c.stream_version and k.upto_version >= c.first_version
    );
