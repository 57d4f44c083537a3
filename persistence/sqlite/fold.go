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

// Fold removes operations that a snapshot stands for. Writes wait meanwhile.
func (s *Store) Fold(ctx context.Context, doc string, to int64) (removed int64, err error) {
	err = s.transact(ctx, func(tx *sql.Tx) error {
		r, err := rowOf(ctx, tx, doc)
		switch {
		case err != nil:
			return err
		case to <= r.meta.Folded:
			return nil
		case to >= r.meta.Version:
			return fmt.Errorf("the newest operation stays, and made version %d", r.meta.Version)
		}
		if err := readable(ctx, tx, r, to); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `DELETE FROM operations WHERE document = ? AND version <= ?`, r.key, to)
		if err != nil {
			return err
		}
		if removed, err = result.RowsAffected(); err != nil {
			return err
		}
		if removed != to-r.meta.Folded {
			return fmt.Errorf("the log has %d operations from version %d on, not %d", removed, r.meta.Folded, to-r.meta.Folded)
		}
		for _, statement := range []string{
			`DELETE FROM snapshots WHERE document = ?1 AND version < ?2 AND version NOT IN (SELECT version FROM versions WHERE document = ?1)`,
			`UPDATE documents SET folded_to = ?2 WHERE key = ?1`,
		} {
			if _, err := tx.ExecContext(ctx, statement, r.key, to); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("folding the log of %s up to version %d: %w", doc, to, err)
	}
	return removed, nil
}

// readable reports, as an ErrNoSnapshot, a version that would no longer be readable if the log were folded.
func readable(ctx context.Context, tx *sql.Tx, r row, to int64) error {
	rows, err := tx.QueryContext(ctx, `SELECT needed.version, s.content, s.checksum FROM (
			SELECT ?3 AS version UNION SELECT version FROM versions WHERE document = ?1 AND version > ?2 AND version <= ?3
		) AS needed LEFT JOIN snapshots s ON s.document = ?1 AND s.version = needed.version ORDER BY needed.version`, r.key, r.meta.Folded, to)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var version int64
		var content, checksum []byte
		if err := rows.Scan(&version, &content, &checksum); err != nil {
			return err
		}
		if sum := sha256.Sum256(content); !bytes.Equal(sum[:], checksum) {
			return fmt.Errorf("version %d: %w", version, collab.ErrNoSnapshot)
		}
	}
	return rows.Err()
}

// Foldable finds documents with old operations.
func (s *Store) Foldable(ctx context.Context, before time.Time, after string, limit int) ([]string, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT d.id FROM documents d
		JOIN operations o ON o.document = d.key AND o.version = d.folded_to + 1
		WHERE d.deleted IS NULL AND d.head > d.folded_to + 1 AND o.at < ? AND d.id > ? ORDER BY d.id LIMIT ?`, micro(before), after, limit)
	if err != nil {
		return nil, fmt.Errorf("looking for old operations: %w", err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// NameVersion gives a version a name.
func (s *Store) NameVersion(ctx context.Context, doc string, v collab.NamedVersion) error {
	err := s.transact(ctx, func(tx *sql.Tx) error {
		r, err := rowOf(ctx, tx, doc)
		switch {
		case err != nil:
			return err
		case v.Version < 0 || v.Version > r.meta.Version:
			return fmt.Errorf("the head is at version %d", r.meta.Version)
		case v.Version < r.meta.Folded:
			kept := 0
			err := tx.QueryRowContext(ctx, `SELECT 1 FROM versions WHERE document = ? AND version = ? LIMIT 1`, r.key, v.Version).Scan(&kept)
			if errors.Is(err, sql.ErrNoRows) {
				return collab.ErrGone
			}
			if err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO versions (document, version, name, user_id, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			r.key, v.Version, v.Name, v.User, micro(v.At))
		return err
	})
	if err != nil {
		return fmt.Errorf("naming version %d of %s: %w", v.Version, doc, err)
	}
	return nil
}

// Versions reads the named versions.
func (s *Store) Versions(ctx context.Context, doc string) ([]collab.NamedVersion, error) {
	r, err := rowOf(ctx, s.read, doc)
	if err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, `SELECT version, name, user_id, at FROM versions WHERE document = ? ORDER BY version, at, name`, r.key)
	if err != nil {
		return nil, fmt.Errorf("reading the named versions of %s: %w", doc, err)
	}
	defer rows.Close()
	var list []collab.NamedVersion
	for rows.Next() {
		var v collab.NamedVersion
		var at int64
		if err := rows.Scan(&v.Version, &v.Name, &v.User, &at); err != nil {
			return nil, err
		}
		v.At = fromMicro(at)
		list = append(list, v)
	}
	return list, rows.Err()
}
