-- +goose Up

-- Ids of documents are compared byte by byte. A deleted document keeps its row: its id is not used again.
CREATE TABLE documents (
    key       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id        text        COLLATE "C" NOT NULL UNIQUE,
    type      text        NOT NULL,
    head      bigint      NOT NULL DEFAULT 0, -- how many operations it has taken
    folded_to bigint      NOT NULL DEFAULT 0, -- the log begins after this version
    created   timestamptz NOT NULL,
    updated   timestamptz NOT NULL,
    deleted   timestamptz,
    purged    timestamptz
);

-- The log. Deltas are bytes: jsonb would reorder keys, and neither it nor text takes U+0000.
-- No foreign key: rows come and go only under the lock of their document's row.
CREATE TABLE operations (
    document bigint      NOT NULL,
    version  bigint      NOT NULL, -- that the operation made
    client   text        COLLATE "C" NOT NULL,
    seq      bigint      NOT NULL,
    user_id  text        NOT NULL,
    at       timestamptz NOT NULL,
    delta    bytea       NOT NULL,
    PRIMARY KEY (document, version),
    UNIQUE (document, client, seq)
);

-- The last operation of each client: a copy that comes again has no effect, even when the log was folded.
CREATE TABLE clients (
    document bigint NOT NULL,
    client   text   COLLATE "C" NOT NULL,
    user_id  text   NOT NULL,
    seq      bigint NOT NULL,
    version  bigint NOT NULL,
    PRIMARY KEY (document, client)
);

-- A cache of the log.
CREATE TABLE snapshots (
    document bigint NOT NULL,
    version  bigint NOT NULL,
    content  bytea  NOT NULL,
    checksum bytea  NOT NULL, -- SHA-256 of the content
    PRIMARY KEY (document, version)
);

-- +goose Down
DROP TABLE snapshots, clients, operations, documents;
