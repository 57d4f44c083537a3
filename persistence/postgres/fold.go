package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/weft-collab/weft/collab"
)

// unreadableSQL finds versions that would no longer be readable if a log were folded.
const unreadableSQL = `
SELECT version FROM (
	SELECT $3::bigint AS version
	UNION SELECT version FROM versions WHERE document = $1 AND version > $2 AND version <= $3
) AS needed
WHERE NOT EXISTS (
	SELECT FROM snapshots s WHERE s.document = $1 AND s.version = needed.version AND sha256(s.content) = s.checksum)
ORDER BY version LIMIT 1`

// Fold removes operations that a snapshot stands for. Appends to the document wait meanwhile.
func (s *Store) Fold(ctx context.Context, doc string, to int64) (removed int64, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		r, err := scanRow(tx.QueryRow(ctx, rowSQL+" FOR UPDATE", doc), doc)
		switch {
		case err != nil:
			return err
		case to <= r.meta.Folded:
			return nil
		case to >= r.meta.Version:
			return fmt.Errorf("the newest operation stays, and made version %d", r.meta.Version)
		}
		var missing int64
		switch err := tx.QueryRow(ctx, unreadableSQL, r.key, r.meta.Folded, to).Scan(&missing); {
		case err == nil:
			return fmt.Errorf("version %d: %w", missing, collab.ErrNoSnapshot)
		case !errors.Is(err, pgx.ErrNoRows):
			return err
		}
		tag, err := tx.Exec(ctx, `DELETE FROM operations WHERE document = $1 AND version <= $2`, r.key, to)
		if err != nil {
			return err
		}
		if removed = tag.RowsAffected(); removed != to-r.meta.Folded {
			return fmt.Errorf("the log has %d operations from version %d on, not %d", removed, r.meta.Folded, to-r.meta.Folded)
		}
		batch := &pgx.Batch{}
		batch.Queue(`DELETE FROM snapshots WHERE document = $1 AND version < $2
			AND version NOT IN (SELECT version FROM versions WHERE document = $1)`, r.key, to)
		batch.Queue(`UPDATE documents SET folded_to = $2 WHERE key = $1`, r.key, to)
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return 0, fmt.Errorf("folding the log of %s up to version %d: %w", doc, to, err)
	}
	return removed, nil
}

// Foldable finds documents with old operations.
func (s *Store) Foldable(ctx context.Context, before time.Time, after string, limit int) ([]string, error) {
	rows, err := s.pool.Query(ctx, `SELECT d.id FROM documents d
		JOIN operations o ON o.document = d.key AND o.version = d.folded_to + 1
		WHERE d.deleted IS NULL AND d.head > d.folded_to + 1 AND o.at < $1 AND d.id > $2 ORDER BY d.id LIMIT $3`, before, after, limit)
	if err != nil {
		return nil, fmt.Errorf("looking for old operations: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// NameVersion gives a version a name.
func (s *Store) NameVersion(ctx context.Context, doc string, v collab.NamedVersion) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		r, err := scanRow(tx.QueryRow(ctx, rowSQL+" FOR SHARE", doc), doc)
		switch {
		case err != nil:
			return err
		case v.Version < 0 || v.Version > r.meta.Version:
			return fmt.Errorf("the head is at version %d", r.meta.Version)
		case v.Version < r.meta.Folded:
			kept := false
			if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM versions WHERE document = $1 AND version = $2)`, r.key, v.Version).Scan(&kept); err != nil {
				return err
			}
			if !kept {
				return collab.ErrGone
			}
		}
		_, err = tx.Exec(ctx, `INSERT INTO versions (document, version, name, user_id, at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT DO NOTHING`, r.key, v.Version, v.Name, v.User, v.At)
		return err
	})
	if err != nil {
		return fmt.Errorf("naming version %d of %s: %w", v.Version, doc, err)
	}
	return nil
}

// Versions reads the named versions.
func (s *Store) Versions(ctx context.Context, doc string) ([]collab.NamedVersion, error) {
	r, err := s.row(ctx, doc)
	if err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, `SELECT version, name, user_id, at FROM versions WHERE document = $1 ORDER BY version, at, name`, r.key)
	if err != nil {
		return nil, fmt.Errorf("reading the named versions of %s: %w", doc, err)
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (v collab.NamedVersion, err error) {
		err = r.Scan(&v.Version, &v.Name, &v.User, &v.At)
		v.At = v.At.UTC()
		return v, err
	})
}
