-- The channels of users, none of which can be added before the transaction ends: see storage/channels.py.
-- Each statement of a volatile function sees what was committed before it, so the list is made after the wait.
create function told_channels(lock_class int, users uuid[]) returns table (user_id uuid, queue_id uuid)
language plpgsql volatile as $$
begin
    perform pg_advisory_xact_lock_shared(lock_class, ordered.key) from (
        select distinct hashtext(id::text) & 255 as key from unnest(users) as id order by key
    ) as ordered;
    return query select channels.user_id, channels.queue_id from channels where channels.user_id = any(users);
end
$$;
