-- Dead letters. Jobs say of which definition and queue they are and what they died of, and bulk jobs have a table. The read
-- models are emptied with their checkpoints: the next start folds the log again from its beginning. The log itself is not
-- touched. Indexes are for what lists filter by and sort by; that of letters is in the order of bytes on both databases.

drop table job_queue;
delete from deliverables;
delete from deliverable_versions;
delete from schedules;
delete from orchestration_runs;
delete from orchestration_steps;
delete from job_attempts;
delete from sync_registry;
delete from platform_items;
delete from platform_content_items;
delete from content_retentions;
delete from activity_log;
delete from notifications;
delete from orchestration_definitions;
delete from human_approvals;
delete from intent_events;
delete from projection where name in ('read_models', 'read_models__rebuild');

create table job_queue (
    job_id text not null,
    workflow_run_id text not null,
    step_id text not null,
    user_id text not null,
    definition text not null,
    definition_owner text,
    queue text not null,
    status text not null check (status in ('queued', 'leased', 'running', 'success', 'failed', 'dead', 'cancelled')),
    priority integer not null,
    lease_until text,
    attempts integer not null,
    max_attempts integer not null,
    next_run_at text,
    error_class text
        check (error_class in ('transient', 'permanent', 'timeout', 'rate_limited', 'cancelled', 'lost')),
    error_text text,
    note text,
    created_at text not null,
    updated_at text not null,
    shard_id integer not null,
    src_seq integer not null,
    primary key (job_id)
) strict;
create index job_queue_next on job_queue (next_run_at, status, priority);
create index job_queue_status on job_queue (status, updated_at);
create index job_queue_run on job_queue (workflow_run_id);
create index job_queue_order on job_queue (priority, created_at);
create index job_queue_user on job_queue (user_id, status, updated_at);
CREATE INDEX job_queue_letters ON job_queue (status, job_id);

create table bulk_jobs (
    id text not null,
    user_id text not null,
    verb text not null check (verb in ('retry', 'reset', 'discard')),
    filter text not null,
    status text not null check (status in ('running', 'cancelling', 'completed', 'cancelled')),
    requested_by text not null,
    note text not null,
    cancelled_by text,
    total integer not null,
    chosen integer not null,
    done integer not null,
    refused integer not null,
    refusals text not null,
    created_at text not null,
    updated_at text not null,
    ended_at text,
    shard_id integer not null,
    src_seq integer not null,
    primary key (id)
) strict;
create index bulk_jobs_created on bulk_jobs (created_at);
create index bulk_jobs_user on bulk_jobs (user_id, created_at);

create index deliverables_created on deliverables (created_at);
create index schedules_next on schedules (next_due_at);
create index schedules_user on schedules (user_id, next_due_at);
create index schedules_definition on schedules (definition_id);
create index orchestration_runs_created on orchestration_runs (created_at);
create index human_approvals_user on human_approvals (user_id, requested_at);
create index human_approvals_assignee on human_approvals (assignee);
create index human_approvals_group on human_approvals (group_name);
create index intent_events_type on intent_events (event_type, created_at);
