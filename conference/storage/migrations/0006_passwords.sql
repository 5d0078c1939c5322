-- For the password grant of the token endpoint; most users have none, and sign in elsewhere.
create table passwords (
    user_id    uuid primary key references users on delete cascade,
    hash       text not null,                  -- as conference.passwords writes it
    changed_at timestamptz not null
);

-- Tries to sign in since the last one that succeeded. Also for names that nobody has: they must look the same.
create table sign_in_tries (
    account bytea primary key,                 -- a hash: people type passwords into the wrong field
    tries   integer not null,
    last_at timestamptz not null
);
