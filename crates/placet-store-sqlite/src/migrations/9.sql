-- The record: entries, chained per hub and partition.
CREATE TABLE entry(
  row INTEGER NOT NULL PRIMARY KEY,
  hub INTEGER NOT NULL,
  part INTEGER NOT NULL,
  number INTEGER NOT NULL,
  link BLOB NOT NULL,
  owner TEXT NOT NULL,
  owner_sum INTEGER NOT NULL,
  crc INTEGER NOT NULL,
  said BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX entry_place ON entry(hub, part, number);
CREATE INDEX entry_owner ON entry(hub, part, owner_sum, number);
