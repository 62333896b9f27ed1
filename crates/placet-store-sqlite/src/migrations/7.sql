-- Whose a published row is, so that it goes with its instance: the id of the instance that published it last. Absent: the row's
-- key is that id, as it is of every row of earlier versions; so there is nothing to write for most rows, and no index.
ALTER TABLE published ADD COLUMN owner TEXT;
CREATE INDEX published_owner ON published(hub, owner) WHERE owner IS NOT NULL;
