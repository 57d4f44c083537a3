-- +goose Up

-- Versions that people named. Each has a snapshot, which outlives the operations before it.
CREATE TABLE versions (
    document bigint      NOT NULL,
    version  bigint      NOT NULL,
    name     text        NOT NULL,
    user_id  text        NOT NULL,
    at       timestamptz NOT NULL,
    PRIMARY KEY (document, version, name)
);

-- What was deleted or purged, and by whom. It names documents by id: nothing else of a purged one is left.
CREATE TABLE audit (
    key        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL,
    action     text        NOT NULL, -- delete or purge
    document   text        COLLATE "C" NOT NULL,
    user_id    text        NOT NULL,
    operations bigint      NOT NULL -- that the document had taken
);

-- +goose Down
DROP TABLE audit, versions;
