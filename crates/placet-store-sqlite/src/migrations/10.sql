-- Two indexes are written behind what they are of, many rows at a time and in order: most of their pages would be written with
-- every commit otherwise.
-- Published rows of which the index of terms tells something else than they do: their terms as it has them.
CREATE TABLE behind(
  row INTEGER NOT NULL PRIMARY KEY,
  terms BLOB
) STRICT;
-- Where the entries of each chain are, up to the row that `meta` has as `placed`. Behind that one there are few, which are
-- looked through.
CREATE TABLE placed(
  hub INTEGER NOT NULL,
  part INTEGER NOT NULL,
  number INTEGER NOT NULL,
  row INTEGER NOT NULL,
  PRIMARY KEY(hub, part, number)
) STRICT, WITHOUT ROWID;
INSERT INTO placed(hub, part, number, row) SELECT hub, part, number, row FROM entry ORDER BY hub, part, number;
INSERT INTO meta(key, value) SELECT 'placed', ifnull(max(row), 0) FROM entry;
DROP INDEX entry_place;
-- Whose an entry is says in which chain it is; without that before it, those of one time stand together.
DROP INDEX entry_owner;
CREATE INDEX entry_owner ON entry(hub, owner_sum, number);
