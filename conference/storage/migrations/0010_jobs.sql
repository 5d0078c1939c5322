-- Work that outlives the request that asks for it: mails, webhooks, uploads, files of recordings.
create table jobs (
    id              bigint generated always as identity primary key,
    kind            text not null,
    payload         bytea not null,            -- JSON of the kind's own Struct
    order_key       text,                      -- jobs of one key are done one after the other, by id
    idempotence_key text unique,               -- asked for again under the same key: the same job
    state           text not null check (state in ('waiting', 'running', 'done', 'given_up')),
    attempts        integer not null default 0,
    created_at      timestamptz not null default now(),
    due_at          timestamptz not null,
    leased_until    timestamptz,               -- of a running one; past it, anybody may take it
    runner          uuid,
    progress        real not null default 0,   -- 0 to 1
    failure         text,                      -- what went wrong last, in words
    ended_at        timestamptz
);
create index jobs_due on jobs (kind, due_at) where state = 'waiting';
create index jobs_running on jobs (leased_until) where state = 'running';
create index jobs_in_order on jobs (order_key, id) where state in ('waiting', 'running');
create index jobs_ended on jobs (ended_at) where state in ('done', 'given_up');
