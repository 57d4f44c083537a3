package postgres

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/weft-collab/weft/collab"
)

// appendSQL moves the head if it is where it was expected, writes the operations and
// moves the clients' rows, in one statement. It returns how many documents and rows it moved.
const appendSQL = `
WITH doc AS (
	UPDATE documents SET head = head + $3, updated = $4
	WHERE id = $1 AND head = $2 AND deleted IS NULL RETURNING key
), ops AS (
	INSERT INTO operations (document, version, client, seq, user_id, at, delta)
	SELECT doc.key, $2 + o.n, o.client, o.seq, o.user_id, o.at, o.delta
	FROM doc, unnest($5::text[], $6::bigint[], $7::text[], $8::timestamptz[], $9::bytea[])
		WITH ORDINALITY AS o (client, seq, user_id, at, delta, n)
), moved AS (
	INSERT INTO clients (document, client, user_id, seq, version)
	SELECT doc.key, c.client, c.user_id, c.last, c.version
	FROM doc, unnest($10::text[], $11::text[], $12::bigint[], $13::bigint[], $14::bigint[])
		AS c (client, user_id, first, last, version)
	WHERE c.first = 1 OR EXISTS (SELECT FROM clients WHERE document = doc.key AND client = c.client)
	ON CONFLICT (document, client) DO UPDATE SET seq = excluded.seq, version = excluded.version
	WHERE clients.user_id = excluded.user_id
		AND clients.seq + 1 = ($12::bigint[])[array_position($10::text[], excluded.client)]
	RETURNING 1
)
SELECT (SELECT count(*) FROM doc), (SELECT count(*) FROM moved)`

// clientMove is what a batch does to one client's row.
type clientMove struct {
	client, user       string
	first, last, index int64 // seqs, and the index of the last operation in the batch
}

// lastOf gathers the clients of a batch, in the order of their first operations.
func lastOf(ops []collab.Operation) []clientMove {
	var moves []clientMove
	at := map[string]int{}
	for i, op := range ops {
		n, known := at[op.Client]
		if !known {
			n = len(moves)
			at[op.Client] = n
			moves = append(moves, clientMove{client: op.Client, user: op.User, first: op.Seq})
		}
		moves[n].last, moves[n].index = op.Seq, int64(i)
	}
	return moves
}

type queryer interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func appendTo(ctx context.Context, q queryer, doc string, head int64, ops []collab.Operation) (docs, clients int, err error) {
	err = q.QueryRow(ctx, appendSQL, appendArgs(doc, head, ops)...).Scan(&docs, &clients)
	return docs, clients, err
}

func appendArgs(doc string, head int64, ops []collab.Operation) []any {
	n := len(ops)
	clients, users := make([]string, n), make([]string, n)
	seqs, times, deltas := make([]int64, n), make([]time.Time, n), make([][]byte, n)
	for i, op := range ops {
		clients[i], users[i], seqs[i], times[i], deltas[i] = op.Client, op.User, op.Seq, op.At, op.Delta
	}
	moves := lastOf(ops)
	m := len(moves)
	who, whose := make([]string, m), make([]string, m)
	first, last, version := make([]int64, m), make([]int64, m), make([]int64, m)
	for i, c := range moves {
		who[i], whose[i], first[i], last[i], version[i] = c.client, c.user, c.first, c.last, head+c.index+1
	}
	return []any{doc, head, n, ops[n-1].At, clients, seqs, users, times, deltas, who, whose, first, last, version}
}

// Append commits operations: two round trips, the second of them the COMMIT.
func (s *Store) Append(ctx context.Context, doc string, head int64, ops []collab.Operation) error {
	err := s.append(ctx, doc, head, ops)
	if err == nil {
		return nil
	}
	if isUnique(err) { // a copy of an operation that is in the log
		err = collab.ErrConflict
	}
	if errors.Is(err, collab.ErrConflict) {
		if _, known := s.Meta(ctx, doc); errors.Is(known, collab.ErrNotFound) || errors.Is(known, collab.ErrDeleted) {
			return known
		}
	}
	return fmt.Errorf("appending %d operations to %s at version %d: %w", len(ops), doc, head, err)
}

func (s *Store) append(ctx context.Context, doc string, head int64, ops []collab.Operation) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release() // one that is left inside a transaction is closed
	batch := &pgx.Batch{}
	batch.Queue("BEGIN")
	batch.Queue(appendSQL, appendArgs(doc, head, ops)...)
	results := conn.SendBatch(ctx, batch)
	var docs, clients int
	_, err = results.Exec()
	if err == nil {
		err = results.QueryRow().Scan(&docs, &clients)
	}
	if closing := results.Close(); err == nil {
		err = closing
	}
	if err == nil && (docs != 1 || clients != len(lastOf(ops))) {
		err = collab.ErrConflict
	}
	if err != nil {
		_, _ = conn.Exec(ctx, "ROLLBACK")
		return err
	}
	_, err = conn.Exec(ctx, "COMMIT")
	return err
}

// Log reads operations.
func (s *Store) Log(ctx context.Context, doc string, from int64, limit, maxBytes int) ([]collab.Operation, error) {
	if maxBytes <= 0 {
		maxBytes = math.MaxInt64
	}
	batch := &pgx.Batch{}
	batch.Queue(rowSQL, doc)
	batch.Queue(`SELECT version, client, seq, user_id, at, delta FROM (
			SELECT *, sum(octet_length(delta)) OVER (ORDER BY version) - octet_length(delta) AS before FROM (
				SELECT * FROM operations WHERE document = (SELECT key FROM documents WHERE id = $1) AND version > $2
				ORDER BY version LIMIT $3) AS part) AS counted
		WHERE before < $4 ORDER BY version`, doc, from, limit, maxBytes)
	results := s.pool.SendBatch(ctx, batch)
	defer results.Close()
	r, err := scanRow(results.QueryRow(), doc)
	if err != nil {
		return nil, err
	}
	if from < r.meta.Folded {
		return nil, fmt.Errorf("reading the log of %s from version %d, it begins after %d: %w", doc, from, r.meta.Folded, collab.ErrGone)
	}
	rows, err := results.Query()
	if err != nil {
		return nil, fmt.Errorf("reading the log of %s from version %d: %w", doc, from, err)
	}
	expect := from
	ops, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (op collab.Operation, err error) {
		var version int64
		err = r.Scan(&version, &op.Client, &op.Seq, &op.User, &op.At, &op.Delta)
		op.At = op.At.UTC()
		if expect++; err == nil && version != expect {
			err = fmt.Errorf("version %d is missing", expect)
		}
		return op, err
	})
	if err != nil {
		if now, again := s.Meta(ctx, doc); again == nil && from < now.Folded { // while it was read
			err = collab.ErrGone
		}
		return nil, fmt.Errorf("reading the log of %s from version %d: %w", doc, from, err)
	}
	return ops, nil
}

// Operation finds the version that a client's operation made.
func (s *Store) Operation(ctx context.Context, doc, client string, seq int64) (int64, error) {
	r, err := s.row(ctx, doc)
	if err != nil {
		return 0, err
	}
	var version int64
	err = s.pool.QueryRow(ctx, `SELECT version FROM operations WHERE document = $1 AND client = $2 AND seq = $3`, r.key, client, seq).Scan(&version)
	if errors.Is(err, pgx.ErrNoRows) {
		err = collab.ErrNotFound
	}
	if err != nil {
		return 0, fmt.Errorf("finding operation %d of a client in %s: %w", seq, doc, err)
	}
	return version, nil
}

// Snapshot returns the newest whole snapshot at or below a version.
func (s *Store) Snapshot(ctx context.Context, doc string, at int64) (collab.Snapshot, error) {
	r, err := s.row(ctx, doc)
	for err == nil {
		var snap collab.Snapshot
		var checksum []byte
		err = s.pool.QueryRow(ctx, `SELECT version, content, checksum FROM snapshots
			WHERE document = $1 AND version <= $2 ORDER BY version DESC LIMIT 1`, r.key, at).Scan(&snap.Version, &snap.Content, &checksum)
		if errors.Is(err, pgx.ErrNoRows) {
			return collab.Snapshot{}, nil
		}
		if err != nil {
			break
		}
		if sum := sha256.Sum256(snap.Content); bytes.Equal(sum[:], checksum) {
			return snap, nil
		}
		s.log.Error("a snapshot is damaged; an older one is used", "doc", doc, "version", snap.Version)
		at = snap.Version - 1
	}
	return collab.Snapshot{}, fmt.Errorf("reading a snapshot of %s: %w", doc, err)
}

// PutSnapshot keeps a snapshot.
func (s *Store) PutSnapshot(ctx context.Context, doc string, snap collab.Snapshot) error {
	sum := sha256.Sum256(snap.Content)
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		r, err := scanRow(tx.QueryRow(ctx, rowSQL+" FOR SHARE", doc), doc)
		if err != nil {
			return err
		}
		if snap.Version > r.meta.Version {
			return fmt.Errorf("version %d is not committed", snap.Version)
		}
		if snap.Version < r.meta.Folded {
			return nil
		}
		_, err = tx.Exec(ctx, `INSERT INTO snapshots (document, version, content, checksum) VALUES ($1, $2, $3, $4)
			ON CONFLICT (document, version) DO UPDATE SET content = excluded.content, checksum = excluded.checksum`, r.key, snap.Version, snap.Content, sum[:])
		return err
	})
	if err != nil {
		return fmt.Errorf("keeping a snapshot of %s at version %d: %w", doc, snap.Version, err)
	}
	return nil
}
