// Package postgres is a collab.Store on PostgreSQL, through pgx.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/migrations"
	"github.com/weft-collab/weft/ot"
)

// Store keeps documents in PostgreSQL.
type Store struct {
	pool *pgxpool.Pool
	log  *slog.Logger
}

// Open connects to the database at url, and warns where its settings do not keep
// what was acknowledged. With migrate it brings the schema up to date, else it refuses
// one that is not. Errors say what to do, and hold no password.
func Open(ctx context.Context, url string, migrate bool, log *slog.Logger) (*Store, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("the database URL cannot be read (postgres://user:password@host:5432/database is the form): %w", err)
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = 10 * time.Second
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	s := &Store{pool: pool, log: log}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		c := config.ConnConfig
		return nil, fmt.Errorf("PostgreSQL at %s:%d, database %q, cannot be reached: %w; check that it runs and that WEFT_DATABASE_URL names it", c.Host, c.Port, c.Database, err)
	}
	if err := s.schema(ctx, migrate); err != nil {
		pool.Close()
		return nil, err
	}
	s.warnOfSettings(ctx)
	return s, nil
}

func (s *Store) schema(ctx context.Context, migrate bool) error {
	db := stdlib.OpenDBFromPool(s.pool)
	defer db.Close()
	if !migrate {
		return migrations.Check(ctx, migrations.Postgres, db)
	}
	n, err := migrations.Up(ctx, migrations.Postgres, db)
	if n > 0 {
		s.log.Info("migrated the schema", "migrations", n)
	}
	return err
}

// careful are the settings that a commit relies on, and the values under which it is on
// the server's disk before it is answered. What waits for standbys waits for that too.
var careful = map[string][]string{
	"fsync":              {"on"},
	"full_page_writes":   {"on"},
	"synchronous_commit": {"on", "local", "remote_write", "remote_apply"},
}

// warnOfSettings tells of settings under which a commit can be lost in a crash, as they
// are for this user in this database. It is an error in the log, so that every level shows it.
func (s *Store) warnOfSettings(ctx context.Context) {
	for name, safe := range careful {
		var value string
		if err := s.pool.QueryRow(ctx, "SELECT current_setting($1)", name).Scan(&value); err != nil {
			s.log.Warn("a setting of PostgreSQL could not be checked; acknowledged operations may not be safe in a crash", "setting", name, "err", err)
			continue
		}
		if !slices.Contains(safe, value) {
			s.log.Error("PostgreSQL can lose what it has committed: ACKNOWLEDGED OPERATIONS ARE NOT SAFE in a crash; correct the setting",
				"setting", name, "value", value, "safe", strings.Join(safe, ", "))
		}
	}
}

// Close closes every connection.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}

// Ping reports whether the database takes writes.
func (s *Store) Ping(ctx context.Context) error {
	var readOnly string
	if err := s.pool.QueryRow(ctx, "SELECT current_setting('transaction_read_only')").Scan(&readOnly); err != nil {
		return err
	}
	if readOnly == "on" {
		return errors.New("PostgreSQL is read-only")
	}
	return nil
}

// Create makes a document, and its first operations, in one transaction.
func (s *Store) Create(ctx context.Context, doc string, typ ot.Type, ops []collab.Operation) (collab.Meta, error) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	m := collab.Meta{ID: doc, Type: typ, Version: int64(len(ops)), Created: now, Updated: now}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `INSERT INTO documents (id, type, created, updated) VALUES ($1, $2, $3, $3) ON CONFLICT (id) DO NOTHING`, doc, string(typ), now)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return collab.ErrExists
		}
		if len(ops) == 0 {
			return nil
		}
		docs, clients, err := appendTo(ctx, tx, doc, 0, ops)
		if err == nil && (docs != 1 || clients != len(lastOf(ops))) {
			return collab.ErrConflict
		}
		m.Updated = ops[len(ops)-1].At
		return err
	})
	if errors.Is(err, collab.ErrExists) {
		if _, known := s.Meta(ctx, doc); errors.Is(known, collab.ErrDeleted) {
			err = known
		}
	}
	if err != nil {
		return collab.Meta{}, fmt.Errorf("creating %s: %w", doc, err)
	}
	return m, nil
}

// Meta reads a document's row.
func (s *Store) Meta(ctx context.Context, doc string) (collab.Meta, error) {
	r, err := s.row(ctx, doc)
	return r.meta, err
}

type row struct {
	key  int64
	meta collab.Meta
}

func (s *Store) row(ctx context.Context, doc string) (row, error) {
	return scanRow(s.pool.QueryRow(ctx, rowSQL, doc), doc)
}

const rowSQL = `SELECT key, folded_to, type, head, created, updated, deleted IS NOT NULL FROM documents WHERE id = $1`

func scanRow(from pgx.Row, doc string) (row, error) {
	r := row{meta: collab.Meta{ID: doc}}
	deleted := false
	err := from.Scan(&r.key, &r.meta.Folded, &r.meta.Type, &r.meta.Version, &r.meta.Created, &r.meta.Updated, &deleted)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		err = collab.ErrNotFound
	case err == nil && deleted:
		err = collab.ErrDeleted
	}
	if err != nil {
		return row{}, fmt.Errorf("reading %s: %w", doc, err)
	}
	r.meta.Created, r.meta.Updated = r.meta.Created.UTC(), r.meta.Updated.UTC()
	return r, nil
}

// Client reads a client's row.
func (s *Store) Client(ctx context.Context, doc, client string) (collab.ClientRow, error) {
	var deleted bool
	var user *string
	var seq, version *int64
	err := s.pool.QueryRow(ctx, `SELECT d.deleted IS NOT NULL, c.user_id, c.seq, c.version
		FROM documents d LEFT JOIN clients c ON c.document = d.key AND c.client = $2 WHERE d.id = $1`, doc, client).
		Scan(&deleted, &user, &seq, &version)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		err = collab.ErrNotFound
	case err == nil && deleted:
		err = collab.ErrDeleted
	}
	if err != nil {
		return collab.ClientRow{}, fmt.Errorf("reading a client of %s: %w", doc, err)
	}
	if user == nil {
		return collab.ClientRow{}, nil
	}
	return collab.ClientRow{User: *user, Seq: *seq, Version: *version}, nil
}

// Heads reads many heads at once.
func (s *Store) Heads(ctx context.Context, docs []string) (map[string]collab.Head, error) {
	rows, err := s.pool.Query(ctx, `SELECT id, head, deleted IS NOT NULL FROM documents WHERE id = ANY($1)`, docs)
	if err != nil {
		return nil, fmt.Errorf("reading the heads of %d documents: %w", len(docs), err)
	}
	heads := make(map[string]collab.Head, len(docs))
	var id string
	var h collab.Head
	_, err = pgx.ForEachRow(rows, []any{&id, &h.Version, &h.Deleted}, func() error {
		heads[id] = h
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the heads of %d documents: %w", len(docs), err)
	}
	return heads, nil
}

// List lists documents in the order of their ids' bytes.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]collab.Meta, error) {
	rows, err := s.pool.Query(ctx, `SELECT id, type, head, folded_to, created, updated FROM documents
		WHERE deleted IS NULL AND id >= $1 AND starts_with(id, $1) AND id > $2 ORDER BY id LIMIT $3`, prefix, after, limit)
	if err != nil {
		return nil, fmt.Errorf("listing documents: %w", err)
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (m collab.Meta, err error) {
		err = r.Scan(&m.ID, &m.Type, &m.Version, &m.Folded, &m.Created, &m.Updated)
		m.Created, m.Updated = m.Created.UTC(), m.Updated.UTC()
		return m, err
	})
}

// isUnique reports whether err says that a row is there already.
func isUnique(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "23505"
}
