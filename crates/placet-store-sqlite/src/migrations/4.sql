-- Lists of instances: of a hub by status and time of creation, and of what has ended by the time of its end. In an index the
-- row's key follows by itself. From this version on there are messages in `inbox` that are yet to be sent (their kind is in
-- their bytes), and children among what waits in `activity`, which earlier programs would take for others.
CREATE INDEX instance_list ON instance(hub, status, created_at);
CREATE INDEX instance_ended ON instance(hub, completed_at) WHERE completed_at IS NOT NULL;
