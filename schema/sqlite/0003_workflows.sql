-- Workflows. Tables whose columns or words change are made anew, and the read models are emptied with their checkpoints:
-- the next start folds the log again from its beginning. The log itself is not touched.

drop table schedules;
drop table orchestration_runs;
drop table orchestration_steps;
delete from deliverables;
delete from deliverable_versions;
delete from job_queue;
delete from job_attempts;
delete from sync_registry;
delete from platform_items;
delete from platform_content_items;
delete from content_retentions;
delete from activity_log;
delete from notifications;
delete from projection where name in ('read_models', 'read_models__rebuild');

create table schedules (
    id text not null,
    deliverable_id text,
    definition_id text,
    user_id text,
    rule text not null,
    timezone text not null,
    status text not null check (status in ('active', 'paused', 'ended')),
    pause_note text,
    catch_up text not null,
    catch_up_window_s integer,
    overlap text not null check (overlap in ('skip', 'buffer_one', 'buffer_all', 'cancel_other', 'allow')),
    jitter_s integer not null,
    next_due_at text,
    last_fired_at text,
    last_nominal_at text,
    fired_count integer not null,
    skipped_count integer not null,
    last_skip_reason text,
    tz_revision text not null,
    created_at text not null,
    shard_id integer not null,
    src_seq integer not null,
    primary key (id)
) strict;
create index schedules_due on schedules (status, next_due_at);
create index schedules_deliverable on schedules (deliverable_id);

create table orchestration_runs (
    id text not null,
    definition text not null,
    orchestration_name text not null,
    user_id text not null,
    status text not null check (status in ('pending', 'running', 'checkpoint', 'completed', 'failed', 'cancelled')),
    definition_id text,
    workflow_owner text,
    workflow_version text,
    definition_digest text,
    parameters text,
    trigger text,
    deliverable_id text,
    version_number integer,
    title text not null,
    root_run_id text not null,
    parent_orchestration_run_id text,
    priority integer not null,
    nominal_at text not null,
    plan text not null,
    results text not null,
    error_details text,
    total_steps integer not null,
    completed_steps integer not null,
    pending_approvals integer not null,
    advisory text,
    pause_note text,
    created_at text not null,
    started_at text,
    completed_at text,
    trace_id text not null,
    shard_id integer not null,
    src_seq integer not null,
    primary key (id)
) strict;
create index orchestration_runs_status on orchestration_runs (status, created_at);
create index orchestration_runs_deliverable on orchestration_runs (deliverable_id, version_number);
create index orchestration_runs_root on orchestration_runs (root_run_id);
create index orchestration_runs_user on orchestration_runs (user_id, created_at);
create index orchestration_runs_definition on orchestration_runs (definition_id, created_at);
create index orchestration_runs_parent on orchestration_runs (parent_orchestration_run_id);

create table orchestration_steps (
    run_id text not null,
    step_id text not null,
    step_index integer not null,
    action text not null,
    status text not null
        check (status in ('pending', 'queued', 'running', 'checkpoint', 'completed', 'failed', 'dead', 'skipped')),
    attempt_number integer not null,
    max_attempts integer not null,
    depends_on text not null,
    output text,
    error_details text,
    worker text,
    token text,
    queued_at text,
    started_at text,
    completed_at text,
    next_retry_at text,
    waits_for text,
    approval text,
    instances integer,
    shard_id integer not null,
    src_seq integer not null,
    primary key (run_id, step_id)
) strict;

create table orchestration_definitions (
    id text not null,
    version text not null,
    owner text not null,
    name text not null,
    display_name text not null,
    description text not null,
    status text not null check (status in ('active', 'deprecated', 'archived')),
    in_force integer not null check (in_force in (0, 1)),
    digest text not null,
    source text,
    parameters text not null,
    triggers text not null,
    plan text not null,
    created_by text not null,
    created_at text not null,
    updated_at text not null,
    shard_id integer not null,
    src_seq integer not null,
    primary key (id, version)
) strict;
create index orchestration_definitions_name on orchestration_definitions (owner, name);

create table human_approvals (
    id text not null,
    run_id text not null,
    step_id text not null,
    round integer not null,
    user_id text not null,
    status text not null check (status in ('pending', 'approved', 'retried', 'aborted', 'void')),
    question text not null,
    options text not null,
    advisory integer not null check (advisory in (0, 1)),
    severity text,
    assignee text,
    group_name text,
    payload text,
    payload_digest text not null,
    deadline_at text,
    requested_at text not null,
    decided_at text,
    decided_by text,
    decision text check (decision in ('continue', 'retry', 'abort')),
    comment text,
    modifications text,
    shard_id integer not null,
    src_seq integer not null,
    primary key (id)
) strict;
create index human_approvals_status on human_approvals (status, requested_at);
create index human_approvals_run on human_approvals (run_id);

create table intent_events (
    event_type text not null,
    event_id text not null,
    user_id text not null,
    intent_id text,
    correlation text,
    payload text,
    told integer not null,
    created_at text not null,
    shard_id integer not null,
    src_seq integer not null,
    primary key (event_type, event_id)
) strict;
create index intent_events_created on intent_events (created_at);
create index intent_events_user on intent_events (user_id, created_at);

-- Runs of workflows in the words of those who know them from before. A rebuild leaves views as they are: it changes the rows
-- of the tables below them.
create view workflow_runs as
select
    id as workflow_run_id,
    orchestration_name as workflow_key,
    user_id,
    trigger -> 'event' ->> 'intent_id' as intent_id,
    trigger -> 'event' ->> 'id' as trigger_event_id,
    case status when 'completed' then 'success' when 'failed' then 'failed' when 'cancelled' then 'failed' else 'running' end
        as status,
    created_at,
    coalesce(completed_at, started_at, created_at) as updated_at,
    completed_at,
    workflow_owner,
    workflow_version
from orchestration_runs
where workflow_owner is not null;

-- What steps of workflows made, kept for steps with the same input. No truth: it may be emptied at any time.
CREATE TABLE step_cache (
    key          TEXT PRIMARY KEY,
    value        TEXT NOT NULL,
    status_code  INTEGER,
    etag         TEXT,
    stored_at    INTEGER NOT NULL,
    expires_at   INTEGER,
    run_id       BLOB NOT NULL,
    step_id      TEXT NOT NULL,
    hits         INTEGER NOT NULL,
    last_hit_at  INTEGER,
    last_hit_run BLOB
) STRICT;

CREATE INDEX step_cache_expires ON step_cache (expires_at);
