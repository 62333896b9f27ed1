-- Version 1. Columns: placet-store/src/rows.rs. Payloads stand last, so that a scan of the columns before them
-- does not touch their overflow pages. A listing index on (hub, status, created_at, iid) comes with the lists.

CREATE TABLE meta(
  key TEXT NOT NULL PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Names are interned: a number of one or two bytes instead of a text in every row and index entry.
CREATE TABLE hub(
  hub INTEGER NOT NULL PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE instance(
  iid INTEGER NOT NULL PRIMARY KEY,
  hub INTEGER NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  status INTEGER NOT NULL,
  active INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  completed_at INTEGER,
  crc INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX instance_id ON instance(hub, id);
-- Recovery: a million parked instances are not looked at.
CREATE INDEX instance_active ON instance(iid) WHERE active = 1;

CREATE TABLE history(
  iid INTEGER NOT NULL,
  turn INTEGER NOT NULL,
  count INTEGER NOT NULL,
  crc INTEGER NOT NULL,
  events BLOB NOT NULL,
  PRIMARY KEY(iid, turn)
) STRICT, WITHOUT ROWID;

CREATE TABLE inbox(
  iid INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  crc INTEGER NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY(iid, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE activity(
  iid INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  crc INTEGER NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY(iid, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE timer(
  fire_at INTEGER NOT NULL,
  iid INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  part INTEGER NOT NULL,
  crc INTEGER NOT NULL,
  PRIMARY KEY(fire_at, iid, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE reply(
  iid INTEGER NOT NULL,
  ask_id TEXT NOT NULL,
  crc INTEGER NOT NULL,
  answer TEXT,
  PRIMARY KEY(iid, ask_id)
) STRICT, WITHOUT ROWID;

-- With a rowid, unlike the others: keys are texts in no order and bodies are large (up to 64 KiB). Here only the
-- dense index is written in random places and the bodies are appended; clustered by key, every insert would
-- dirty a random page of a tree as large as all bodies together.
CREATE TABLE published(
  hub INTEGER NOT NULL,
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  crc INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX published_key ON published(hub, kind, key);
