table activity_log: id text not null
table activity_log: user_id text not null
table activity_log: event_type text not null
table activity_log: event_ref uuid
table activity_log: summary text not null
table activity_log: metadata jsonb not null
table activity_log: created_at timestamp with time zone not null
table activity_log: shard_id bigint not null
table activity_log: src_seq bigint not null
table blob: digest text not null
table blob: bytes bytea not null
table bulk_jobs: id uuid not null
table bulk_jobs: user_id text not null
table bulk_jobs: verb text not null
table bulk_jobs: filter jsonb not null
table bulk_jobs: status text not null
table bulk_jobs: requested_by text not null
table bulk_jobs: note text not null
table bulk_jobs: cancelled_by text
table bulk_jobs: total bigint not null
table bulk_jobs: chosen bigint not null
table bulk_jobs: done bigint not null
table bulk_jobs: refused bigint not null
table bulk_jobs: refusals jsonb not null
table bulk_jobs: created_at timestamp with time zone not null
table bulk_jobs: updated_at timestamp with time zone not null
table bulk_jobs: ended_at timestamp with time zone
table bulk_jobs: shard_id bigint not null
table bulk_jobs: src_seq bigint not null
table command: shard_id integer not null
table command: command_id uuid not null
table command: stream_kind text not null
table command: stream_id uuid not null
table command: first_seq bigint not null
table command: last_seq bigint not null
table command: ord bigint not null
table command: accepted boolean not null
table command: payload bytea not null
table command: ctx bytea not null
table command: reply bytea not null
table command: delta bytea not null
table content_retentions: source_id uuid not null
table content_retentions: retained_version bigint not null
table content_retentions: from_version bigint not null
table content_retentions: upto_version bigint not null
table content_retentions: reason text not null
table content_retentions: reference uuid not null
table content_retentions: retained_at timestamp with time zone not null
table content_retentions: shard_id bigint not null
table content_retentions: src_seq bigint not null
table deliverable_versions: id uuid not null
table deliverable_versions: deliverable_id uuid not null
table deliverable_versions: user_id text not null
table deliverable_versions: version_number bigint not null
table deliverable_versions: status text not null
table deliverable_versions: draft_content text
table deliverable_versions: final_content text
table deliverable_versions: content_digest text
table deliverable_versions: content_bytes bigint
table deliverable_versions: edit_diff text
table deliverable_versions: edit_categories jsonb
table deliverable_versions: edit_distance_score double precision
table deliverable_versions: feedback_notes text
table deliverable_versions: source_snapshots jsonb not null
table deliverable_versions: analyst_metadata jsonb
table deliverable_versions: delivery_status text
table deliverable_versions: delivery_error text
table deliverable_versions: delivery_external_id text
table deliverable_versions: delivery_external_url text
table deliverable_versions: delivery_count bigint not null
table deliverable_versions: run_id uuid
table deliverable_versions: slot_id uuid
table deliverable_versions: nominal_at timestamp with time zone
table deliverable_versions: trigger text
table deliverable_versions: approved_by text
table deliverable_versions: created_at timestamp with time zone not null
table deliverable_versions: staged_at timestamp with time zone
table deliverable_versions: approved_at timestamp with time zone
table deliverable_versions: rejected_at timestamp with time zone
table deliverable_versions: delivered_at timestamp with time zone
table deliverable_versions: shard_id bigint not null
table deliverable_versions: src_seq bigint not null
table deliverables: id uuid not null
table deliverables: user_id text not null
table deliverables: title text not null
table deliverables: description text not null
table deliverables: deliverable_type text not null
table deliverables: type_config jsonb not null
table deliverables: type_classification jsonb not null
table deliverables: recipient_context jsonb not null
table deliverables: template_structure jsonb not null
table deliverables: schedule jsonb
table deliverables: sources jsonb not null
table deliverables: destination jsonb
table deliverables: status text not null
table deliverables: origin text not null
table deliverables: trigger_type text not null
table deliverables: governance text not null
table deliverables: semi_auto_window_s bigint not null
table deliverables: schedule_id uuid
table deliverables: last_triggered_at timestamp with time zone
table deliverables: last_run_at timestamp with time zone
table deliverables: next_run_at timestamp with time zone
table deliverables: last_skip_at timestamp with time zone
table deliverables: last_skip_reason text
table deliverables: pause_note text
table deliverables: current_slot uuid
table deliverables: current_run_id uuid
table deliverables: current_since timestamp with time zone
table deliverables: created_at timestamp with time zone not null
table deliverables: updated_at timestamp with time zone not null
table deliverables: shard_id bigint not null
table deliverables: src_seq bigint not null
table event: shard_id integer not null
table event: seq bigint not null
table event: stream_kind text not null
table event: stream_id uuid not null
table event: stream_version bigint not null
table event: event_type text not null
table event: type_version smallint not null
table event: hlc bigint not null
table event: epoch bigint not null
table event: at bigint not null
table event: command_id uuid not null
table event: meta bytea not null
table event: data bytea not null
table human_approvals: id uuid not null
table human_approvals: run_id uuid not null
table human_approvals: step_id text not null
table human_approvals: round bigint not null
table human_approvals: user_id text not null
table human_approvals: status text not null
table human_approvals: question text not null
table human_approvals: options jsonb not null
table human_approvals: advisory boolean not null
table human_approvals: severity text
table human_approvals: assignee text
table human_approvals: group_name text
table human_approvals: payload jsonb
table human_approvals: payload_digest text not null
table human_approvals: deadline_at timestamp with time zone
table human_approvals: requested_at timestamp with time zone not null
table human_approvals: decided_at timestamp with time zone
table human_approvals: decided_by text
table human_approvals: decision text
table human_approvals: comment text
table human_approvals: modifications jsonb
table human_approvals: shard_id bigint not null
table human_approvals: src_seq bigint not null
table inbox: shard_id integer not null
table inbox: command_id uuid not null
table inbox: stream_kind text not null
table inbox: stream_id uuid not null
table inbox: arrived_at bigint not null
table inbox: payload bytea not null
table intent_events: event_type text not null
table intent_events: event_id text not null
table intent_events: user_id text not null
table intent_events: intent_id text
table intent_events: correlation text
table intent_events: payload jsonb
table intent_events: told bigint not null
table intent_events: created_at timestamp with time zone not null
table intent_events: shard_id bigint not null
table intent_events: src_seq bigint not null
table job_attempts: run_id uuid not null
table job_attempts: step_id text not null
table job_attempts: attempt bigint not null
table job_attempts: worker text not null
table job_attempts: token text not null
table job_attempts: started_at timestamp with time zone not null
table job_attempts: finished_at timestamp with time zone
table job_attempts: success boolean
table job_attempts: failure_class text
table job_attempts: status_code bigint
table job_attempts: error_text text
table job_attempts: stale boolean not null
table job_attempts: shard_id bigint not null
table job_attempts: src_seq bigint not null
table job_queue: job_id text not null
table job_queue: workflow_run_id uuid not null
table job_queue: step_id text not null
table job_queue: user_id text not null
table job_queue: definition text not null
table job_queue: definition_owner text
table job_queue: queue text not null
table job_queue: status text not null
table job_queue: priority bigint not null
table job_queue: lease_until timestamp with time zone
table job_queue: attempts bigint not null
table job_queue: max_attempts bigint not null
table job_queue: next_run_at timestamp with time zone
table job_queue: error_class text
table job_queue: error_text text
table job_queue: note text
table job_queue: created_at timestamp with time zone not null
table job_queue: updated_at timestamp with time zone not null
table job_queue: shard_id bigint not null
table job_queue: src_seq bigint not null
table meta: k text not null
table meta: v text not null
table node_session: session_id uuid not null
table node_session: node text not null
table node_session: address text
table node_session: build text not null
table node_session: started_at bigint not null
table node_session: expires_at bigint not null
table notifications: id uuid not null
table notifications: user_id text not null
table notifications: deliverable_id uuid
table notifications: version_number bigint
table notifications: message text not null
table notifications: subject text not null
table notifications: channel text not null
table notifications: urgency text not null
table notifications: source_type text not null
table notifications: source_id uuid
table notifications: context jsonb not null
table notifications: status text not null
table notifications: error_message text
table notifications: created_at timestamp with time zone not null
table notifications: sent_at timestamp with time zone
table notifications: shard_id bigint not null
table notifications: src_seq bigint not null
table obligation: shard_id integer not null
table obligation: stream_id uuid not null
table obligation: key text not null
table obligation: stream_kind text not null
table obligation: class smallint not null
table obligation: due_at bigint not null
table obligation: priority smallint not null
table obligation: opened_seq bigint not null
table obligation: body bytea not null
table orchestration_definitions: id uuid not null
table orchestration_definitions: version text not null
table orchestration_definitions: owner text not null
table orchestration_definitions: name text not null
table orchestration_definitions: display_name text not null
table orchestration_definitions: description text not null
table orchestration_definitions: status text not null
table orchestration_definitions: in_force boolean not null
table orchestration_definitions: digest text not null
table orchestration_definitions: source text
table orchestration_definitions: parameters jsonb not null
table orchestration_definitions: triggers jsonb not null
table orchestration_definitions: plan jsonb not null
table orchestration_definitions: created_by text not null
table orchestration_definitions: created_at timestamp with time zone not null
table orchestration_definitions: updated_at timestamp with time zone not null
table orchestration_definitions: shard_id bigint not null
table orchestration_definitions: src_seq bigint not null
table orchestration_runs: id uuid not null
table orchestration_runs: definition text not null
table orchestration_runs: orchestration_name text not null
table orchestration_runs: user_id text not null
table orchestration_runs: status text not null
table orchestration_runs: definition_id uuid
table orchestration_runs: workflow_owner text
table orchestration_runs: workflow_version text
table orchestration_runs: definition_digest text
table orchestration_runs: parameters jsonb
table orchestration_runs: trigger jsonb
table orchestration_runs: deliverable_id uuid
table orchestration_runs: version_number bigint
table orchestration_runs: title text not null
table orchestration_runs: root_run_id uuid not null
table orchestration_runs: parent_orchestration_run_id uuid
table orchestration_runs: priority bigint not null
table orchestration_runs: nominal_at timestamp with time zone not null
table orchestration_runs: plan jsonb not null
table orchestration_runs: results jsonb not null
table orchestration_runs: error_details jsonb
table orchestration_runs: total_steps bigint not null
table orchestration_runs: completed_steps bigint not null
table orchestration_runs: pending_approvals bigint not null
table orchestration_runs: advisory jsonb
table orchestration_runs: pause_note text
table orchestration_runs: created_at timestamp with time zone not null
table orchestration_runs: started_at timestamp with time zone
table orchestration_runs: completed_at timestamp with time zone
table orchestration_runs: trace_id text not null
table orchestration_runs: shard_id bigint not null
table orchestration_runs: src_seq bigint not null
table orchestration_steps: run_id uuid not null
table orchestration_steps: step_id text not null
table orchestration_steps: step_index bigint not null
table orchestration_steps: action text not null
table orchestration_steps: status text not null
table orchestration_steps: attempt_number bigint not null
table orchestration_steps: max_attempts bigint not null
table orchestration_steps: depends_on jsonb not null
table orchestration_steps: output jsonb
table orchestration_steps: error_details jsonb
table orchestration_steps: worker text
table orchestration_steps: token text
table orchestration_steps: queued_at timestamp with time zone
table orchestration_steps: started_at timestamp with time zone
table orchestration_steps: completed_at timestamp with time zone
table orchestration_steps: next_retry_at timestamp with time zone
table orchestration_steps: waits_for jsonb
table orchestration_steps: approval jsonb
table orchestration_steps: instances bigint
table orchestration_steps: shard_id bigint not null
table orchestration_steps: src_seq bigint not null
table platform_content: source_id uuid
table platform_content: item_id text
table platform_content: content_hash text
table platform_content: user_id text
table platform_content: platform text
table platform_content: resource_id text
table platform_content: resource_name text
table platform_content: title text
table platform_content: link text
table platform_content: author text
table platform_content: content text
table platform_content: content_bytes bigint
table platform_content: source_timestamp timestamp with time zone
table platform_content: fetched_at timestamp with time zone
table platform_content: retained boolean
table platform_content: retained_reason text
table platform_content: retained_ref uuid
table platform_content: retained_at timestamp with time zone
table platform_content: expires_at timestamp with time zone
table platform_content: gone_at timestamp with time zone
table platform_content: metadata jsonb
table platform_content: first_version bigint
table platform_content: stream_version bigint
table platform_content: shard_id bigint
table platform_content: src_seq bigint
table platform_content_items: source_id uuid not null
table platform_content_items: item_id text not null
table platform_content_items: content_hash text not null
table platform_content_items: user_id text not null
table platform_content_items: platform text not null
table platform_content_items: resource_id text not null
table platform_content_items: resource_name text not null
table platform_content_items: title text not null
table platform_content_items: link text
table platform_content_items: author text
table platform_content_items: content text
table platform_content_items: content_bytes bigint not null
table platform_content_items: source_timestamp timestamp with time zone
table platform_content_items: fetched_at timestamp with time zone not null
table platform_content_items: expires_at timestamp with time zone not null
table platform_content_items: metadata jsonb not null
table platform_content_items: first_version bigint not null
table platform_content_items: stream_version bigint not null
table platform_content_items: shard_id bigint not null
table platform_content_items: src_seq bigint not null
table platform_items: source_id uuid not null
table platform_items: item_id text not null
table platform_items: content_hash text not null
table platform_items: stream_version bigint not null
table platform_items: gone_at timestamp with time zone
table platform_items: expired_at timestamp with time zone
table platform_items: shard_id bigint not null
table platform_items: src_seq bigint not null
table projection: name text not null
table projection: shard_id integer not null
table projection: seq bigint not null
table queue_pauses: queue text not null
table queue_pauses: paused_by text not null
table queue_pauses: note text not null
table queue_pauses: paused_at timestamp with time zone not null
table queue_pauses: shard_id bigint not null
table queue_pauses: src_seq bigint not null
table rate_limits: rl_key text not null
table rate_limits: kind text not null
table rate_limits: capacity double precision not null
table rate_limits: refill_rate double precision
table rate_limits: set_by text not null
table rate_limits: note text not null
table rate_limits: set_at timestamp with time zone not null
table rate_limits: shard_id bigint not null
table rate_limits: src_seq bigint not null
table schedules: id uuid not null
table schedules: deliverable_id uuid
table schedules: definition_id uuid
table schedules: user_id text
table schedules: rule jsonb not null
table schedules: timezone text not null
table schedules: status text not null
table schedules: pause_note text
table schedules: catch_up text not null
table schedules: catch_up_window_s bigint
table schedules: overlap text not null
table schedules: jitter_s bigint not null
table schedules: next_due_at timestamp with time zone
table schedules: last_fired_at timestamp with time zone
table schedules: last_nominal_at timestamp with time zone
table schedules: fired_count bigint not null
table schedules: skipped_count bigint not null
table schedules: last_skip_reason text
table schedules: tz_revision text not null
table schedules: created_at timestamp with time zone not null
table schedules: shard_id bigint not null
table schedules: src_seq bigint not null
table shard: shard_id integer not null
table shard: epoch bigint not null
table shard: owner uuid
table shard: acquired_at bigint
table snapshot: shard_id integer not null
table snapshot: stream_id uuid not null
table snapshot: stream_kind text not null
table snapshot: stream_version bigint not null
table snapshot: state_revision bigint not null
table snapshot: data bytea not null
table step_cache: key text not null
table step_cache: value text not null
table step_cache: status_code bigint
table step_cache: etag text
table step_cache: stored_at bigint not null
table step_cache: expires_at bigint
table step_cache: run_id uuid not null
table step_cache: step_id text not null
table step_cache: hits bigint not null
table step_cache: last_hit_at bigint
table step_cache: last_hit_run uuid
table sync_registry: source_id uuid not null
table sync_registry: user_id text not null
table sync_registry: platform text not null
table sync_registry: resource_id text not null
table sync_registry: resource_name text not null
table sync_registry: last_synced_at timestamp with time zone
table sync_registry: last_checked_at timestamp with time zone
table sync_registry: platform_cursor jsonb not null
table sync_registry: item_count bigint not null
table sync_registry: source_latest_at timestamp with time zone
table sync_registry: failing_since timestamp with time zone
table sync_registry: last_error text
table sync_registry: omitted jsonb not null
table sync_registry: shard_id bigint not null
table sync_registry: src_seq bigint not null
table workflow_runs: workflow_run_id uuid
table workflow_runs: workflow_key text
table workflow_runs: user_id text
table workflow_runs: intent_id text
table workflow_runs: trigger_event_id text
table workflow_runs: status text
table workflow_runs: created_at timestamp with time zone
table workflow_runs: updated_at timestamp with time zone
table workflow_runs: completed_at timestamp with time zone
table workflow_runs: workflow_owner text
table workflow_runs: workflow_version text
key on activity_log: PRIMARY KEY (id)
key on bulk_jobs: PRIMARY KEY (id)
check on bulk_jobs: CHECK ((status = ANY (ARRAY['running'::text, 'cancelling'::text, 'completed'::text, 'cancelled'::text])))
check on bulk_jobs: CHECK ((verb = ANY (ARRAY['retry'::text, 'reset'::text, 'discard'::text])))
key on content_retentions: PRIMARY KEY (source_id, retained_version)
check on deliverable_versions: CHECK ((delivery_status = ANY (ARRAY['pending'::text, 'delivering'::text, 'delivered'::text, 'failed'::text])))
key on deliverable_versions: PRIMARY KEY (id)
check on deliverable_versions: CHECK ((status = ANY (ARRAY['generating'::text, 'staged'::text, 'reviewing'::text, 'approved'::text, 'rejected'::text, 'suggested'::text, 'delivered'::text, 'failed'::text])))
check on deliverable_versions: CHECK ((trigger = ANY (ARRAY['schedule'::text, 'event'::text, 'manual'::text])))
check on deliverables: CHECK ((governance = ANY (ARRAY['manual'::text, 'semi_auto'::text, 'full_auto'::text])))
check on deliverables: CHECK ((origin = ANY (ARRAY['user_configured'::text, 'analyst_suggested'::text, 'signal_emergent'::text])))
key on deliverables: PRIMARY KEY (id)
check on deliverables: CHECK ((status = ANY (ARRAY['active'::text, 'paused'::text, 'archived'::text])))
check on deliverables: CHECK ((trigger_type = ANY (ARRAY['schedule'::text, 'event'::text, 'manual'::text])))
key on event: PRIMARY KEY (shard_id, seq)
check on human_approvals: CHECK ((decision = ANY (ARRAY['continue'::text, 'retry'::text, 'abort'::text])))
key on human_approvals: PRIMARY KEY (id)
check on human_approvals: CHECK ((status = ANY (ARRAY['pending'::text, 'approved'::text, 'retried'::text, 'aborted'::text, 'void'::text])))
key on inbox: PRIMARY KEY (shard_id, command_id)
key on intent_events: PRIMARY KEY (event_type, event_id)
check on job_attempts: CHECK ((failure_class = ANY (ARRAY['transient'::text, 'permanent'::text, 'timeout'::text, 'rate_limited'::text, 'cancelled'::text, 'lost'::text])))
key on job_attempts: PRIMARY KEY (run_id, step_id, attempt)
check on job_queue: CHECK ((error_class = ANY (ARRAY['transient'::text, 'permanent'::text, 'timeout'::text, 'rate_limited'::text, 'cancelled'::text, 'lost'::text])))
key on job_queue: PRIMARY KEY (job_id)
check on job_queue: CHECK ((status = ANY (ARRAY['queued'::text, 'leased'::text, 'running'::text, 'success'::text, 'failed'::text, 'dead'::text, 'cancelled'::text])))
key on meta: PRIMARY KEY (k)
key on node_session: PRIMARY KEY (session_id)
check on notifications: CHECK ((channel = ANY (ARRAY['in_app'::text, 'email'::text])))
key on notifications: PRIMARY KEY (id)
check on notifications: CHECK ((source_type = ANY (ARRAY['system'::text, 'monitor'::text, 'tp'::text, 'deliverable'::text, 'event_trigger'::text, 'suggestion'::text])))
check on notifications: CHECK ((status = ANY (ARRAY['pending'::text, 'sent'::text, 'failed'::text])))
check on notifications: CHECK ((urgency = ANY (ARRAY['low'::text, 'normal'::text, 'high'::text])))
key on obligation: PRIMARY KEY (shard_id, stream_id, key)
key on orchestration_definitions: PRIMARY KEY (id, version)
check on orchestration_definitions: CHECK ((status = ANY (ARRAY['active'::text, 'deprecated'::text, 'archived'::text])))
key on orchestration_runs: PRIMARY KEY (id)
check on orchestration_runs: CHECK ((status = ANY (ARRAY['pending'::text, 'running'::text, 'checkpoint'::text, 'completed'::text, 'failed'::text, 'cancelled'::text])))
key on orchestration_steps: PRIMARY KEY (run_id, step_id)
check on orchestration_steps: CHECK ((status = ANY (ARRAY['pending'::text, 'queued'::text, 'running'::text, 'checkpoint'::text, 'completed'::text, 'failed'::text, 'dead'::text, 'skipped'::text])))
key on platform_content_items: PRIMARY KEY (source_id, item_id, content_hash)
key on platform_items: PRIMARY KEY (source_id, item_id)
key on projection: PRIMARY KEY (shard_id, name)
key on queue_pauses: PRIMARY KEY (queue)
check on rate_limits: CHECK ((kind = ANY (ARRAY['places'::text, 'rate'::text])))
key on rate_limits: PRIMARY KEY (rl_key)
check on schedules: CHECK ((overlap = ANY (ARRAY['skip'::text, 'buffer_one'::text, 'buffer_all'::text, 'cancel_other'::text, 'allow'::text])))
key on schedules: PRIMARY KEY (id)
check on schedules: CHECK ((status = ANY (ARRAY['active'::text, 'paused'::text, 'ended'::text])))
key on shard: PRIMARY KEY (shard_id)
key on step_cache: PRIMARY KEY (key)
key on sync_registry: PRIMARY KEY (source_id)
index CREATE INDEX activity_log_created ON public.activity_log USING btree (created_at)
index CREATE UNIQUE INDEX activity_log_pkey ON public.activity_log USING btree (id)
index CREATE INDEX activity_log_user ON public.activity_log USING btree (user_id, created_at)
index CREATE UNIQUE INDEX blob_key ON public.blob USING btree (digest)
index CREATE INDEX bulk_jobs_created ON public.bulk_jobs USING btree (created_at)
index CREATE UNIQUE INDEX bulk_jobs_pkey ON public.bulk_jobs USING btree (id)
index CREATE INDEX bulk_jobs_user ON public.bulk_jobs USING btree (user_id, created_at)
index CREATE UNIQUE INDEX command_key ON public.command USING btree (shard_id, command_id)
index CREATE INDEX command_silent ON public.command USING btree (shard_id, stream_id, first_seq, ord) WHERE (last_seq < first_seq)
index CREATE UNIQUE INDEX content_retentions_pkey ON public.content_retentions USING btree (source_id, retained_version)
index CREATE UNIQUE INDEX deliverable_versions_number ON public.deliverable_versions USING btree (deliverable_id, version_number)
index CREATE UNIQUE INDEX deliverable_versions_pkey ON public.deliverable_versions USING btree (id)
index CREATE INDEX deliverable_versions_status ON public.deliverable_versions USING btree (status, created_at)
index CREATE INDEX deliverables_created ON public.deliverables USING btree (created_at)
index CREATE INDEX deliverables_due ON public.deliverables USING btree (status, next_run_at)
index CREATE UNIQUE INDEX deliverables_pkey ON public.deliverables USING btree (id)
index CREATE INDEX deliverables_user ON public.deliverables USING btree (user_id, created_at)
index CREATE UNIQUE INDEX event_pkey ON public.event USING btree (shard_id, seq)
index CREATE UNIQUE INDEX event_stream ON public.event USING btree (shard_id, stream_id, stream_version)
index CREATE INDEX human_approvals_assignee ON public.human_approvals USING btree (assignee)
index CREATE INDEX human_approvals_group ON public.human_approvals USING btree (group_name)
index CREATE UNIQUE INDEX human_approvals_pkey ON public.human_approvals USING btree (id)
index CREATE INDEX human_approvals_run ON public.human_approvals USING btree (run_id)
index CREATE INDEX human_approvals_status ON public.human_approvals USING btree (status, requested_at)
index CREATE INDEX human_approvals_user ON public.human_approvals USING btree (user_id, requested_at)
index CREATE INDEX inbox_arrival ON public.inbox USING btree (shard_id, arrived_at, command_id)
index CREATE UNIQUE INDEX inbox_pkey ON public.inbox USING btree (shard_id, command_id)
index CREATE INDEX intent_events_created ON public.intent_events USING btree (created_at)
index CREATE UNIQUE INDEX intent_events_pkey ON public.intent_events USING btree (event_type, event_id)
index CREATE INDEX intent_events_type ON public.intent_events USING btree (event_type, created_at)
index CREATE INDEX intent_events_user ON public.intent_events USING btree (user_id, created_at)
index CREATE UNIQUE INDEX job_attempts_pkey ON public.job_attempts USING btree (run_id, step_id, attempt)
index CREATE INDEX job_queue_letters ON public.job_queue USING btree (status, job_id COLLATE "C") WHERE (status = 'dead'::text)
index CREATE INDEX job_queue_next ON public.job_queue USING btree (next_run_at, status, priority)
index CREATE INDEX job_queue_order ON public.job_queue USING btree (priority, created_at)
index CREATE UNIQUE INDEX job_queue_pkey ON public.job_queue USING btree (job_id)
index CREATE INDEX job_queue_run ON public.job_queue USING btree (workflow_run_id)
index CREATE INDEX job_queue_status ON public.job_queue USING btree (status, updated_at)
index CREATE INDEX job_queue_user ON public.job_queue USING btree (user_id, status, updated_at)
index CREATE UNIQUE INDEX meta_pkey ON public.meta USING btree (k)
index CREATE UNIQUE INDEX node_session_pkey ON public.node_session USING btree (session_id)
index CREATE UNIQUE INDEX notifications_pkey ON public.notifications USING btree (id)
index CREATE INDEX notifications_status ON public.notifications USING btree (status, created_at)
index CREATE INDEX notifications_user ON public.notifications USING btree (user_id, created_at)
index CREATE INDEX obligation_due ON public.obligation USING btree (shard_id, class, due_at, stream_id, key)
index CREATE UNIQUE INDEX obligation_pkey ON public.obligation USING btree (shard_id, stream_id, key)
index CREATE INDEX orchestration_definitions_name ON public.orchestration_definitions USING btree (owner, name)
index CREATE UNIQUE INDEX orchestration_definitions_pkey ON public.orchestration_definitions USING btree (id, version)
index CREATE INDEX orchestration_runs_created ON public.orchestration_runs USING btree (created_at)
index CREATE INDEX orchestration_runs_definition ON public.orchestration_runs USING btree (definition_id, created_at)
index CREATE INDEX orchestration_runs_deliverable ON public.orchestration_runs USING btree (deliverable_id, version_number)
index CREATE INDEX orchestration_runs_parent ON public.orchestration_runs USING btree (parent_orchestration_run_id)
index CREATE UNIQUE INDEX orchestration_runs_pkey ON public.orchestration_runs USING btree (id)
index CREATE INDEX orchestration_runs_root ON public.orchestration_runs USING btree (root_run_id)
index CREATE INDEX orchestration_runs_status ON public.orchestration_runs USING btree (status, created_at)
index CREATE INDEX orchestration_runs_user ON public.orchestration_runs USING btree (user_id, created_at)
index CREATE UNIQUE INDEX orchestration_steps_pkey ON public.orchestration_steps USING btree (run_id, step_id)
index CREATE INDEX platform_content_items_fetched ON public.platform_content_items USING btree (user_id, platform, fetched_at)
index CREATE UNIQUE INDEX platform_content_items_pkey ON public.platform_content_items USING btree (source_id, item_id, content_hash)
index CREATE UNIQUE INDEX platform_items_pkey ON public.platform_items USING btree (source_id, item_id)
index CREATE UNIQUE INDEX projection_pkey ON public.projection USING btree (shard_id, name)
index CREATE UNIQUE INDEX queue_pauses_pkey ON public.queue_pauses USING btree (queue)
index CREATE UNIQUE INDEX rate_limits_pkey ON public.rate_limits USING btree (rl_key)
index CREATE INDEX schedules_definition ON public.schedules USING btree (definition_id)
index CREATE INDEX schedules_deliverable ON public.schedules USING btree (deliverable_id)
index CREATE INDEX schedules_due ON public.schedules USING btree (status, next_due_at)
index CREATE INDEX schedules_next ON public.schedules USING btree (next_due_at)
index CREATE UNIQUE INDEX schedules_pkey ON public.schedules USING btree (id)
index CREATE INDEX schedules_user ON public.schedules USING btree (user_id, next_due_at)
index CREATE UNIQUE INDEX shard_pkey ON public.shard USING btree (shard_id)
index CREATE UNIQUE INDEX snapshot_key ON public.snapshot USING btree (shard_id, stream_id)
index CREATE INDEX step_cache_expires ON public.step_cache USING btree (expires_at)
index CREATE UNIQUE INDEX step_cache_pkey ON public.step_cache USING btree (key)
index CREATE UNIQUE INDEX sync_registry_pkey ON public.sync_registry USING btree (source_id)
index CREATE INDEX sync_registry_resource ON public.sync_registry USING btree (user_id, platform, resource_id)
