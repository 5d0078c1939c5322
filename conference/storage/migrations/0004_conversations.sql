-- Meetings as UCWA applications are in them, and how the applications want to be reached.

-- An application has one conversation about a meeting, from joining (also the lobby) until its user is out.
-- Written and removed under the meeting's row lock, together with the facts that tell of it.
create table ucwa_conversations (
    application_id         text not null references ucwa_applications on delete cascade,
    meeting_id             uuid not null references meetings on delete cascade,
    user_id                uuid not null,
    queue_id               uuid not null,      -- the channel of the instance that joined
    anonymous              boolean not null,
    created_at             timestamptz not null,
    -- the operation that joined, as the application asked for it
    invitation_id          text not null unique,
    operation_id           text not null,      -- '' when the application gave none
    subject                text not null,
    importance             text not null,
    thread_id              text not null,
    online_meeting_uri     text not null,
    anonymous_display_name text not null,
    primary key (application_id, meeting_id)
);
create index ucwa_conversations_meeting on ucwa_conversations (meeting_id);
create unique index ucwa_conversations_operation on ucwa_conversations (application_id, operation_id)
    where operation_id <> '';

create table ucwa_communications (
    application_id            text primary key references ucwa_applications on delete cascade,
    supported_modalities      text[] not null,
    supported_message_formats text[] not null,
    audio_preference          text not null,
    phone_number              text not null,
    conversation_history      text not null
);
