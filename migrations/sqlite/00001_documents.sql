-- +goose Up

-- A deleted document keeps its row: its id is not used again. Times are microseconds since 1970, UTC.
CREATE TABLE documents (
    key       INTEGER PRIMARY KEY,
    id        TEXT    NOT NULL UNIQUE,
    type      TEXT    NOT NULL,
    head      INTEGER NOT NULL DEFAULT 0, -- how many operations it has taken
    folded_to INTEGER NOT NULL DEFAULT 0, -- the log begins after this version
    created   INTEGER NOT NULL,
    updated   INTEGER NOT NULL,
    deleted   INTEGER,
    purged    INTEGER
) STRICT;

-- The log.
CREATE TABLE operations (
    document INTEGER NOT NULL,
    version  INTEGER NOT NULL, -- that the operation made
    client   TEXT    NOT NULL,
    seq      INTEGER NOT NULL,
    user_id  TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    delta    BLOB    NOT NULL,
    PRIMARY KEY (document, version),
    UNIQUE (document, client, seq)
) STRICT, WITHOUT ROWID;

-- The last operation of each client: a copy that comes again has no effect, even when the log was folded.
CREATE TABLE clients (
    document INTEGER NOT NULL,
    client   TEXT    NOT NULL,
    user_id  TEXT    NOT NULL,
    seq      INTEGER NOT NULL,
    version  INTEGER NOT NULL,
    PRIMARY KEY (document, client)
) STRICT, WITHOUT ROWID;

-- A cache of the log.
CREATE TABLE snapshots (
    document INTEGER NOT NULL,
    version  INTEGER NOT NULL,
    content  BLOB    NOT NULL,
    checksum BLOB    NOT NULL, -- SHA-256 of the content
    PRIMARY KEY (document, version)
) STRICT;

-- +goose Down
DROP TABLE snapshots;
DROP TABLE clients;
DROP TABLE operations;
DROP TABLE documents;
