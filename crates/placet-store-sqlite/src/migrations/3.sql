-- What became of the oldest asks is dropped when they become many: the instance's next turn when it was recorded. Of older
-- rows it is not known; they are taken for the oldest.
ALTER TABLE reply ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
