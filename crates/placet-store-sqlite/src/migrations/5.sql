-- How many instances of each hub have each status, kept with every batch from here on.
CREATE TABLE tally(
  hub INTEGER NOT NULL,
  status INTEGER NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY(hub, status)
) STRICT, WITHOUT ROWID;
INSERT INTO tally(hub, status, count)
  SELECT hub, status, count(*) FROM instance INDEXED BY instance_list
  WHERE hub NOT IN (SELECT hub FROM hub WHERE name >= 'DELETED ' AND name < 'DELETED!')
  GROUP BY hub, status;
