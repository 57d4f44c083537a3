package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/weft-collab/weft/collab"
)

// Delete marks a document as deleted; with purge nothing of it stays but the id and what
// the audit says, in the bytes of the files neither.
func (s *Store) Delete(ctx context.Context, doc, by string, purge bool) error {
	err := s.transact(ctx, func(tx *sql.Tx) error {
		var key, head int64
		var deleted, purged bool
		err := tx.QueryRowContext(ctx, `SELECT key, head, deleted IS NOT NULL, purged IS NOT NULL FROM documents WHERE id = ?`, doc).
			Scan(&key, &head, &deleted, &purged)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return collab.ErrNotFound
		case err != nil:
			return err
		case deleted && !purge:
			return collab.ErrDeleted
		case purged:
			return nil
		}
		now := micro(time.Now())
		action := "delete"
		statements := []string{`UPDATE documents SET deleted = coalesce(deleted, ?2) WHERE key = ?1`}
		if purge {
			action = "purge"
			statements = append(statements, `UPDATE documents SET purged = ?2 WHERE key = ?1`)
			for _, table := range []string{"operations", "clients", "snapshots", "versions"} {
				statements = append(statements, `DELETE FROM `+table+` WHERE document = ?1`)
			}
		}
		for _, statement := range statements {
			if _, err := tx.ExecContext(ctx, statement, key, now); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO audit (at, action, document, user_id, operations) VALUES (?, ?, ?, ?, ?)`, now, action, doc, by, head)
		return err
	})
	if err != nil {
		return fmt.Errorf("deleting %s: %w", doc, err)
	}
	if purge { // the journal still has pages as they were
		if _, err := s.write.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
			s.log.Warn("what was purged stays in the journal until it is written over", "doc", doc, "err", err)
		}
	}
	return nil
}

// Audit reads what was deleted.
func (s *Store) Audit(ctx context.Context, doc string, limit int) ([]collab.AuditEntry, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT at, action, document, user_id, operations FROM audit
		WHERE ?1 = '' OR document = ?1 ORDER BY key DESC LIMIT ?2`, doc, limit)
	if err != nil {
		return nil, fmt.Errorf("reading the audit: %w", err)
	}
	defer rows.Close()
	var list []collab.AuditEntry
	for rows.Next() {
		var e collab.AuditEntry
		var at int64
		if err := rows.Scan(&at, &e.Action, &e.Doc, &e.User, &e.Operations); err != nil {
			return nil, err
		}
		e.At = fromMicro(at)
		list = append(list, e)
	}
	return list, rows.Err()
}
