package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/weft-collab/weft/collab"
)

// Delete marks a document as deleted; with purge nothing of it stays but the id and what the audit says.
func (s *Store) Delete(ctx context.Context, doc, by string, purge bool) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var key, head int64
		var deleted, purged bool
		err := tx.QueryRow(ctx, `SELECT key, head, deleted IS NOT NULL, purged IS NOT NULL FROM documents WHERE id = $1 FOR UPDATE`, doc).
			Scan(&key, &head, &deleted, &purged)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return collab.ErrNotFound
		case err != nil:
			return err
		case deleted && !purge:
			return collab.ErrDeleted
		case purged:
			return nil
		}
		batch := &pgx.Batch{}
		action := "delete"
		batch.Queue(`UPDATE documents SET deleted = coalesce(deleted, now()) WHERE key = $1`, key)
		if purge {
			action = "purge"
			batch.Queue(`UPDATE documents SET purged = now() WHERE key = $1`, key)
			for _, table := range []string{"operations", "clients", "snapshots", "versions"} {
				batch.Queue(`DELETE FROM `+table+` WHERE document = $1`, key)
			}
		}
		batch.Queue(`INSERT INTO audit (at, action, document, user_id, operations) VALUES (now(), $1, $2, $3, $4)`, action, doc, by, head)
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return fmt.Errorf("deleting %s: %w", doc, err)
	}
	return nil
}

// Audit reads what was deleted.
func (s *Store) Audit(ctx context.Context, doc string, limit int) ([]collab.AuditEntry, error) {
	rows, err := s.pool.Query(ctx, `SELECT at, action, document, user_id, operations FROM audit
		WHERE $1 = '' OR document = $1 ORDER BY key DESC LIMIT $2`, doc, limit)
	if err != nil {
		return nil, fmt.Errorf("reading the audit: %w", err)
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (e collab.AuditEntry, err error) {
		err = r.Scan(&e.At, &e.Action, &e.Doc, &e.User, &e.Operations)
		e.At = e.At.UTC()
		return e, err
	})
}
