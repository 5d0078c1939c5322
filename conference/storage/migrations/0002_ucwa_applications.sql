-- UCWA applications. One identity (user, culture, user agent, endpoint, type) is alive once at most: who creates
-- one holds the user's advisory lock.
create table ucwa_applications (
    id          text primary key,
    user_id     uuid not null,
    culture     text not null,
    user_agent  text not null,
    endpoint_id text not null,
    type        text not null,
    anonymous   boolean not null default false,
    available   boolean not null default false,  -- makeMeAvailable was called
    created_at  timestamptz not null,
    used_at     timestamptz not null,            -- the last request, to some seconds
    active_at   timestamptz                      -- the last report of activity, once available
);
create index ucwa_applications_user on ucwa_applications (user_id);
create index ucwa_applications_active on ucwa_applications (active_at) where available;

-- A tab or process of an application, and its event channel.
create table ucwa_instances (
    application_id text not null references ucwa_applications on delete cascade,
    instance_id    text not null,                -- the client's; '' when it gave none
    queue_id       uuid not null unique,
    polled         boolean not null default false,
    created_at     timestamptz not null,
    primary key (application_id, instance_id)
);

-- Why an application ended. Written first of all: while the application's own row is still there too, its end
-- is not complete and whoever sweeps completes it.
create table ucwa_tombstones (
    application_id text primary key,
    user_id        uuid not null,
    subcode        text not null,
    ended_at       timestamptz not null
);
create index ucwa_tombstones_ended on ucwa_tombstones (ended_at);

-- How long an event can wait for others before a reader is told.
alter table outbox add column urgency smallint not null default 2;
