-- What belongs to no instance: record rows, each with a version and, mostly, a time from which on it counts as absent. With a
-- rowid for the reason that `published` has one.
CREATE TABLE record(
  hub INTEGER NOT NULL,
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  version INTEGER NOT NULL,
  expires_at INTEGER,
  crc INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX record_key ON record(hub, kind, key);
CREATE INDEX record_expiry ON record(expires_at) WHERE expires_at IS NOT NULL;
