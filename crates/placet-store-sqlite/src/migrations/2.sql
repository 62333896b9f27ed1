-- Long payloads, in pieces; the row that one belongs to has an empty blob instead. In the row itself it would be read by
-- whoever looks for a row beside it, since a clustered table compares whole rows, and be held three times to be written.
-- With a rowid for that reason. kind: 0 is history (seq is the turn), 1 inbox, 2 activity.
CREATE TABLE piece(
  iid INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  part INTEGER NOT NULL,
  data BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX piece_key ON piece(iid, kind, seq, part);
