-- Truth lives here. Redis may be emptied at any time without loss of anything in these tables.

create table users (
    id          uuid primary key,
    email       text not null default '',
    name        text not null,
    org         text not null default '',
    profile     jsonb not null default '{}',
    created_at  timestamptz not null
);
create index users_email on users (lower(email));

create table meetings (
    id             uuid primary key,
    name           text not null,
    meeting_type   text not null check (meeting_type in ('permanent', 'scheduled')),
    room_id        uuid unique,
    owner_id       uuid not null,
    join_code      text not null unique check (join_code ~ '^[A-Za-z0-9_-]{10}$'),
    active         boolean not null default false,
    created_at     timestamptz not null,
    started_at     timestamptz,
    expiration     timestamptz,
    rec_started_at timestamptz,
    rec_user_id    uuid,
    worker_id      text,                       -- the SFU worker that holds the media, while active
    media_epoch    bigint not null default 0   -- grows with each placement; older commands are refused
);
create index meetings_expiration on meetings (expiration) where expiration is not null;
create index meetings_worker on meetings (worker_id) where worker_id is not null;

create table members (
    meeting_id uuid not null references meetings on delete cascade,
    user_id    uuid not null,
    role       text not null check (role in ('moderator', 'registered')),
    primary key (meeting_id, user_id)
);
create index members_user on members (user_id);

create table participants (
    meeting_id  uuid not null references meetings on delete cascade,
    user_id     uuid not null,
    queue_id    uuid not null,
    audio       boolean not null default false,
    video       boolean not null default false,
    screen      boolean not null default false,
    wants_audio boolean not null,              -- join flags, honoured once the media is up
    wants_video boolean not null,
    joined_at   timestamptz not null,
    primary key (meeting_id, user_id)
);
create index participants_queue on participants (queue_id);

create table queue_entries (
    meeting_id uuid not null references meetings on delete cascade,
    user_id    uuid not null,
    queue_id   uuid not null,
    status     text not null check (status in ('WAITING', 'ACCEPTED')),
    queued_at  timestamptz not null,
    primary key (meeting_id, user_id)
);
create index queue_entries_queue on queue_entries (queue_id);

-- A client's event channel. Its events are in Redis; that it exists, and whose it is, is here.
create table channels (
    queue_id   uuid primary key,
    user_id    uuid not null,
    created_at timestamptz not null
);
create index channels_user on channels (user_id);

-- Events of a committed change that have not reached their channels yet. Rows of one stream (a meeting)
-- are inserted under that stream's row lock, so id order is commit order within a stream.
create table outbox (
    id         bigint generated always as identity primary key,
    event_id   uuid not null unique,           -- makes the append to Redis idempotent
    stream_id  uuid not null,
    queue_ids  uuid[] not null,                -- the recipients' channels as of the commit
    payload    bytea not null,                 -- the event as JSON, ready to be sent
    created_at timestamptz not null default now()
);
create index outbox_stream on outbox (stream_id, id);
