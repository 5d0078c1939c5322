-- What users publish about themselves through UCWA, their contact lists, and who watches whom.

create index participants_user on participants (user_id);

-- One row a user, made when it is first needed. Its lock orders what is told of the user (the outbox stream with
-- the user's id). availability and activity are as they were last shown; due_at: when time alone may change them.
create table people (
    user_id         uuid primary key,
    preferred       text,
    note            text not null default '',
    location        text not null default '',
    availability    text not null default 'Offline',
    activity        text not null default 'Offline',
    in_meeting      boolean not null default false,
    last_active     timestamptz,
    due_at          timestamptz,
    active_period   text not null default 'Always',
    active_setting  text not null default 'None',
    unanswered_call_handling text not null default 'Disabled'
);
create index people_due on people (due_at) where due_at is not null;
create index people_shown on people (user_id) where availability <> 'Offline';

-- Applications that made their user available; when they last reported activity is in ucwa_applications.
create table presence_sources (
    application_id text primary key references ucwa_applications on delete cascade,
    inactive_after double precision not null          -- seconds
);

create table photos (
    user_id      uuid primary key,
    content_type text not null check (content_type in ('image/jpeg', 'image/png')),
    content      bytea not null,
    taken_at     timestamptz not null
);

-- Personal groups. The groups that everybody has (default, pinned) have no row.
create table contact_groups (
    id      bigint generated always as identity primary key,
    user_id uuid not null,
    name    text not null,
    unique (user_id, name)
);

-- A contact is an address that is in at least one of the user's groups.
create table contact_memberships (
    user_id  uuid not null,
    group_id text not null,                           -- contact_groups.id, or the name of one that everybody has
    address  text not null,                           -- of a SIP URI, in lower case
    primary key (user_id, address, group_id)
);

create table presence_subscriptions (
    id             bigint generated always as identity primary key,
    application_id text not null references ucwa_applications on delete cascade,
    user_id        uuid not null,
    expires_at     timestamptz not null,
    warned         boolean not null default false     -- whether its end was announced
);
create index presence_subscriptions_application on presence_subscriptions (application_id);
create index presence_subscriptions_expiry on presence_subscriptions (expires_at);

create table presence_subscription_members (
    subscription_id bigint not null references presence_subscriptions on delete cascade,
    address         text not null,
    primary key (subscription_id, address)
);
create index presence_subscription_members_address on presence_subscription_members (address);

-- Applications that are told of changes of their user's contacts and groups.
create table contact_list_subscriptions (
    application_id text primary key references ucwa_applications on delete cascade,
    user_id        uuid not null,
    expires_at     timestamptz not null,
    warned         boolean not null default false
);
create index contact_list_subscriptions_user on contact_list_subscriptions (user_id);
