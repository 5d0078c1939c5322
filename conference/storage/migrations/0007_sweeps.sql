-- Sweeps look at what is due, not at everybody.
create index people_in_meeting on people (user_id) where in_meeting;
create index sign_in_tries_last on sign_in_tries (last_at);
