package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/weft-collab/weft/collab"
)

// Append commits operations in one transaction, synced to the disk.
func (s *Store) Append(ctx context.Context, doc string, head int64, ops []collab.Operation) error {
	err := s.transact(ctx, func(tx *sql.Tx) error {
		r, err := rowOf(ctx, tx, doc)
		if err != nil {
			return err
		}
		if r.meta.Version != head {
			return collab.ErrConflict
		}
		if _, err := tx.ExecContext(ctx, `UPDATE documents SET head = head + ?, updated = ? WHERE key = ?`, len(ops), micro(updated(ops, r.meta.Updated)), r.key); err != nil {
			return err
		}
		return write(ctx, tx, r.key, head, ops)
	})
	if isUnique(err) { // a copy of an operation that is in the log
		err = collab.ErrConflict
	}
	if err != nil {
		return fmt.Errorf("appending %d operations to %s at version %d: %w", len(ops), doc, head, err)
	}
	return nil
}

// updated is the time of the last operation.
func updated(ops []collab.Operation, otherwise time.Time) time.Time {
	if len(ops) == 0 {
		return otherwise
	}
	return ops[len(ops)-1].At
}

// write puts operations into the log behind version head, and moves their clients' rows.
func write(ctx context.Context, tx *sql.Tx, key, head int64, ops []collab.Operation) error {
	if len(ops) == 0 {
		return nil
	}
	insert, err := tx.PrepareContext(ctx, `INSERT INTO operations (document, version, client, seq, user_id, at, delta) VALUES (?, ?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return err
	}
	defer insert.Close()
	rows := map[string]collab.ClientRow{}
	for i, op := range ops {
		version := head + int64(i) + 1
		row, known := rows[op.Client]
		if !known {
			if row, err = clientOf(ctx, tx, key, op.Client); err != nil {
				return err
			}
		}
		if row.Seq+1 != op.Seq || row.User != "" && row.User != op.User {
			return collab.ErrConflict
		}
		rows[op.Client] = collab.ClientRow{User: op.User, Seq: op.Seq, Version: version}
		if _, err := insert.ExecContext(ctx, key, version, op.Client, op.Seq, op.User, micro(op.At), op.Delta); err != nil {
			return err
		}
	}
	for client, row := range rows {
		if _, err := tx.ExecContext(ctx, `INSERT INTO clients (document, client, user_id, seq, version) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (document, client) DO UPDATE SET seq = excluded.seq, version = excluded.version`, key, client, row.User, row.Seq, row.Version); err != nil {
			return err
		}
	}
	return nil
}

// Log reads operations.
func (s *Store) Log(ctx context.Context, doc string, from int64, limit, maxBytes int) ([]collab.Operation, error) {
	r, err := rowOf(ctx, s.read, doc)
	if err != nil {
		return nil, err
	}
	wrap := func(err error) error { return fmt.Errorf("reading the log of %s from version %d: %w", doc, from, err) }
	if from < r.meta.Folded {
		return nil, fmt.Errorf("reading the log of %s from version %d, it begins after %d: %w", doc, from, r.meta.Folded, collab.ErrGone)
	}
	rows, err := s.read.QueryContext(ctx, `SELECT version, client, seq, user_id, at, delta FROM operations
		WHERE document = ? AND version > ? ORDER BY version LIMIT ?`, r.key, from, limit)
	if err != nil {
		return nil, wrap(err)
	}
	defer rows.Close()
	var ops []collab.Operation
	size := 0
	for rows.Next() {
		var op collab.Operation
		var version, at int64
		if err := rows.Scan(&version, &op.Client, &op.Seq, &op.User, &at, &op.Delta); err != nil {
			return nil, wrap(err)
		}
		if version != from+int64(len(ops))+1 {
			if now, err := s.Meta(ctx, doc); err == nil && from < now.Folded { // while it was read
				return nil, wrap(collab.ErrGone)
			}
			return nil, wrap(fmt.Errorf("version %d is missing", from+int64(len(ops))+1))
		}
		op.At = fromMicro(at)
		ops = append(ops, op)
		if size += len(op.Delta); maxBytes > 0 && size >= maxBytes {
			break
		}
	}
	if err := rows.Err(); err != nil {
		return nil, wrap(err)
	}
	return ops, nil
}

// Operation finds the version that a client's operation made.
func (s *Store) Operation(ctx context.Context, doc, client string, seq int64) (int64, error) {
	r, err := rowOf(ctx, s.read, doc)
	if err != nil {
		return 0, err
	}
	var version int64
	err = s.read.QueryRowContext(ctx, `SELECT version FROM operations WHERE document = ? AND client = ? AND seq = ?`, r.key, client, seq).Scan(&version)
	if errors.Is(err, sql.ErrNoRows) {
		err = collab.ErrNotFound
	}
	if err != nil {
		return 0, fmt.Errorf("finding operation %d of a client in %s: %w", seq, doc, err)
	}
	return version, nil
}

// Snapshot returns the newest whole snapshot at or below a version.
func (s *Store) Snapshot(ctx context.Context, doc string, at int64) (collab.Snapshot, error) {
	r, err := rowOf(ctx, s.read, doc)
	for err == nil {
		var snap collab.Snapshot
		var checksum []byte
		err = s.read.QueryRowContext(ctx, `SELECT version, content, checksum FROM snapshots
			WHERE document = ? AND version <= ? ORDER BY version DESC LIMIT 1`, r.key, at).Scan(&snap.Version, &snap.Content, &checksum)
		if errors.Is(err, sql.ErrNoRows) {
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
	err := s.transact(ctx, func(tx *sql.Tx) error {
		r, err := rowOf(ctx, tx, doc)
		if err != nil {
			return err
		}
		if snap.Version > r.meta.Version {
			return fmt.Errorf("version %d is not committed", snap.Version)
		}
		if snap.Version < r.meta.Folded {
			return nil
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO snapshots (document, version, content, checksum) VALUES (?, ?, ?, ?)
			ON CONFLICT (document, version) DO UPDATE SET content = excluded.content, checksum = excluded.checksum`, r.key, snap.Version, snap.Content, sum[:])
		return err
	})
	if err != nil {
		return fmt.Errorf("keeping a snapshot of %s at version %d: %w", doc, snap.Version, err)
	}
	return nil
}
