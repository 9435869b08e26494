-- Limits that are set while the program runs, and queues that are paused.

create table rate_limits (
    rl_key text not null,
    kind text not null check (kind in ('places', 'rate')),
    capacity real not null,
    refill_rate real,
    set_by text not null,
    note text not null,
    set_at text not null,
    shard_id integer not null,
    src_seq integer not null,
    primary key (rl_key)
) strict;

create table queue_pauses (
    queue text not null,
    paused_by text not null,
    note text not null,
    paused_at text not null,
    shard_id integer not null,
    src_seq integer not null,
    primary key (queue)
) strict;
