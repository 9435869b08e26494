-- Limits that are set while the program runs, and queues that are paused.

create table rate_limits (
    rl_key text not null,
    kind text not null check (kind in ('places', 'rate')),
    capacity double precision not null,
    refill_rate double precision,
    set_by text not null,
    note text not null,
    set_at timestamptz not null,
    shard_id bigint not null,
    src_seq bigint not null,
    primary key (rl_key)
);

create table queue_pauses (
    queue text not null,
    paused_by text not null,
    note text not null,
    paused_at timestamptz not null,
    shard_id bigint not null,
    src_seq bigint not null,
    primary key (queue)
);
