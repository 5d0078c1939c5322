-- Until when somebody who was let in and lost the connection comes back without waiting.
alter table members add column admitted_until timestamptz;
-- The sweep looks for running meetings with nobody in them.
create index meetings_active on meetings (started_at) where active;
