-- What lists find published rows by: each row has its terms, and each term its rows in their order. The rows get numbers that
-- are theirs for good, which a rowid without a name is not: VACUUM may give it anew.
CREATE TABLE numbered(
  row INTEGER NOT NULL PRIMARY KEY,
  hub INTEGER NOT NULL,
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  crc INTEGER NOT NULL,
  body BLOB NOT NULL,
  owner TEXT,
  terms BLOB
) STRICT;
INSERT INTO numbered(row, hub, kind, key, crc, body, owner)
  SELECT rowid, hub, kind, key, crc, body, owner FROM published ORDER BY rowid;
DROP TABLE published;
ALTER TABLE numbered RENAME TO published;
CREATE UNIQUE INDEX published_key ON published(hub, kind, key);
CREATE INDEX published_owner ON published(hub, owner) WHERE owner IS NOT NULL;
CREATE TABLE term(
  hub INTEGER NOT NULL,
  kind TEXT NOT NULL,
  text TEXT NOT NULL,
  place INTEGER NOT NULL,
  row INTEGER NOT NULL,
  PRIMARY KEY(hub, kind, text, place, row)
) STRICT, WITHOUT ROWID;
