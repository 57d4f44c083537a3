-- +goose Up

-- Versions that people named. Each has a snapshot, which outlives the operations before it.
CREATE TABLE versions (
    document INTEGER NOT NULL,
    version  INTEGER NOT NULL,
    name     TEXT    NOT NULL,
    user_id  TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (document, version, name)
) STRICT, WITHOUT ROWID;

-- What was deleted or purged, and by whom. It names documents by id: nothing else of a purged one is left.
CREATE TABLE audit (
    key        INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    action     TEXT    NOT NULL, -- delete or purge
    document   TEXT    NOT NULL,
    user_id    TEXT    NOT NULL,
    operations INTEGER NOT NULL -- that the document had taken
) STRICT;

-- +goose Down
DROP TABLE audit;
DROP TABLE versions;
