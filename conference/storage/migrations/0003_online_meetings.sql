-- Who walks into a meeting, as JSON of conference.domain.door.Door; null: the meeting's type decides.
alter table meetings add column door jsonb;
create index meetings_owner on meetings (owner_id);

alter table queue_entries
    add column role   text not null default 'registered' check (role in ('moderator', 'registered')),
    add column enters boolean not null default false;  -- being let in is being in: the client does not join again

-- What UCWA knows of a meeting beyond the meeting itself. A row comes with the meeting, or when UCWA first looks at it.
create table online_meetings (
    meeting_id              uuid primary key references meetings on delete cascade,
    owner_id                uuid not null,
    online_meeting_id       text not null unique check (online_meeting_id ~ '^[A-Z0-9]{8}$'),
    conference_id           text not null unique check (conference_id ~ '^[0-9]+$'),
    assigned                boolean not null default false,  -- the owner's personal meeting
    adhoc                   boolean not null default false,  -- started, not scheduled: not listed, and limited apart
    lasting                 boolean not null default false,  -- expires only when its organizer says when
    description             text,
    entry_exit_announcement text not null check (entry_exit_announcement in ('Unsupported', 'Disabled', 'Enabled')),
    phone_user_admission    text not null check (phone_user_admission in ('Disabled', 'Enabled')),
    created_at              timestamptz not null
);
create index online_meetings_owner on online_meetings (owner_id);
create unique index online_meetings_assigned on online_meetings (owner_id) where assigned;

-- Data that programs attach to a meeting, for as long as it lives.
create table online_meeting_extensions (
    meeting_id   uuid not null references meetings on delete cascade,
    extension_id text not null,
    type         text not null check (type in ('Undefined', 'RoamedOrganizerData', 'RoamedParticipantData')),
    properties   json not null default '{}',    -- text to text, in the order given
    position     bigint generated always as identity,  -- the order in which they came
    primary key (meeting_id, extension_id)
);
