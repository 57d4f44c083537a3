// Package sqlite is the embedded collab.Store: one SQLite file, through a driver
// without cgo, that one process has to itself.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	sqlite3 "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/migrations"
	"github.com/weft-collab/weft/ot"
)

// File is the name of the database in the data folder.
const File = "weft.db"

// ErrInUse is wrapped where another process has the data folder open.
var ErrInUse = errors.New("in use by another weft")

// Store keeps documents in SQLite. Writes go through one connection, reads through several.
type Store struct {
	write, read *sql.DB
	lock        *flock.Flock
	log         *slog.Logger
}

// Open opens the database in folder dir, which it makes where it does not exist, and
// brings the schema up to date, or with migrate false refuses one that is not.
// Another process that has the folder open is an error that says so.
func Open(ctx context.Context, dir string, migrate bool, log *slog.Logger) (*Store, error) {
	dir, err := filepath.Abs(dir) // a relative one is none in a URL
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the data folder cannot be made: %w; WEFT_DATA_DIR names it", err)
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{lock: lock, log: log}
	file := filepath.Join(dir, File)
	if err = made(file); err == nil {
		err = s.open(ctx, file, migrate)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// made makes the file where it does not exist, for its owner alone.
func made(file string) error {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("the embedded store cannot be opened: %w", err)
	}
	return f.Close()
}

func lockFolder(dir string) (*flock.Flock, error) {
	lock := flock.New(filepath.Join(dir, "weft.lock"))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("the data folder %s cannot be locked: %w", dir, err)
	}
	if !locked {
		return nil, fmt.Errorf("the data folder %s is %w; stop that one, or give this one a folder of its own (WEFT_DATA_DIR)", dir, ErrInUse)
	}
	return lock, nil
}

// OpenReader opens the database in folder dir for reading alone, also while a server
// has it open. Whatever writes fails. ErrSchema where a server has yet to migrate it.
func OpenReader(ctx context.Context, dir string, log *slog.Logger) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, File)
	if _, err := os.Stat(file); err != nil {
		return nil, fmt.Errorf("there is no embedded store in %s: %w; WEFT_DATA_DIR names the folder", dir, err)
	}
	s := &Store{log: log}
	if s.read, err = sql.Open("sqlite", source(file)+"&mode=rw&_pragma=query_only(ON)"); err != nil {
		return nil, err
	}
	s.write = s.read
	err = migrations.Check(ctx, migrations.SQLite, s.read)
	if err == nil {
		return s, nil
	}
	s.Close()
	var e *sqlite3.Error
	if errors.As(err, &e) && (e.Code()&0xff == codes.SQLITE_READONLY || e.Code()&0xff == codes.SQLITE_CANTOPEN) {
		err = fmt.Errorf("this user may not write in the folder, which even reading needs: take the server's user, or a backup: %w", err)
	}
	return nil, fmt.Errorf("%s: %w", file, err)
}

// source is the address of a database file.
func source(file string) string {
	pragmas := url.Values{"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)", "secure_delete(ON)"}}
	return (&url.URL{Scheme: "file", Path: file, RawQuery: pragmas.Encode()}).String()
}

func (s *Store) open(ctx context.Context, file string, migrate bool) (err error) {
	source := source(file)
	if s.write, err = sql.Open("sqlite", source+"&_txlock=immediate"); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	if migrate {
		n, err := migrations.Up(ctx, migrations.SQLite, s.write)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if n > 0 {
			s.log.Info("migrated the schema", "migrations", n)
		}
	} else if err := migrations.Check(ctx, migrations.SQLite, s.write); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if s.read, err = sql.Open("sqlite", source+"&_pragma=query_only(ON)"); err != nil {
		return err
	}
	s.read.SetMaxOpenConns(4)
	return s.read.PingContext(ctx)
}

// Close closes the database and gives the folder free.
func (s *Store) Close() error {
	var errs []error
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	if s.write != nil {
		errs = append(errs, s.write.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Unlock())
	}
	return errors.Join(errs...)
}

// Ping reports whether the database takes writes.
func (s *Store) Ping(ctx context.Context) error {
	return s.transact(ctx, func(tx *sql.Tx) error { return nil })
}

// transact runs f in a transaction that writes.
func (s *Store) transact(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return tx.Commit()
}

func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

func micro(t time.Time) int64     { return t.UnixMicro() }
func fromMicro(n int64) time.Time { return time.UnixMicro(n).UTC() }

type row struct {
	key  int64
	meta collab.Meta
}

type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// rowOf reads a document's row; a deleted one is an error.
func rowOf(ctx context.Context, q queryer, doc string) (row, error) {
	r := row{meta: collab.Meta{ID: doc}}
	var created, updated int64
	var deleted bool
	err := q.QueryRowContext(ctx, `SELECT key, folded_to, type, head, created, updated, deleted IS NOT NULL FROM documents WHERE id = ?`, doc).
		Scan(&r.key, &r.meta.Folded, &r.meta.Type, &r.meta.Version, &created, &updated, &deleted)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		err = collab.ErrNotFound
	case err == nil && deleted:
		err = collab.ErrDeleted
	}
	if err != nil {
		return row{}, fmt.Errorf("reading %s: %w", doc, err)
	}
	r.meta.Created, r.meta.Updated = fromMicro(created), fromMicro(updated)
	return r, nil
}

// Create makes a document, and its first operations, in one transaction.
func (s *Store) Create(ctx context.Context, doc string, typ ot.Type, ops []collab.Operation) (collab.Meta, error) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	err := s.transact(ctx, func(tx *sql.Tx) error {
		_, err := rowOf(ctx, tx, doc)
		switch {
		case err == nil:
			return collab.ErrExists
		case !errors.Is(err, collab.ErrNotFound):
			return err
		}
		res, err := tx.ExecContext(ctx, `INSERT INTO documents (id, type, head, created, updated) VALUES (?, ?, ?, ?, ?)`,
			doc, string(typ), len(ops), micro(now), micro(updated(ops, now)))
		if err != nil {
			return err
		}
		key, err := res.LastInsertId()
		if err != nil {
			return err
		}
		return write(ctx, tx, key, 0, ops)
	})
	if err != nil {
		return collab.Meta{}, fmt.Errorf("creating %s: %w", doc, err)
	}
	return collab.Meta{ID: doc, Type: typ, Version: int64(len(ops)), Created: now, Updated: updated(ops, now)}, nil
}

// Meta reads a document's row.
func (s *Store) Meta(ctx context.Context, doc string) (collab.Meta, error) {
	r, err := rowOf(ctx, s.read, doc)
	return r.meta, err
}

// Client reads a client's row.
func (s *Store) Client(ctx context.Context, doc, client string) (collab.ClientRow, error) {
	r, err := rowOf(ctx, s.read, doc)
	if err != nil {
		return collab.ClientRow{}, err
	}
	row, err := clientOf(ctx, s.read, r.key, client)
	if err != nil {
		return collab.ClientRow{}, fmt.Errorf("reading a client of %s: %w", doc, err)
	}
	return row, nil
}

func clientOf(ctx context.Context, q queryer, key int64, client string) (row collab.ClientRow, err error) {
	err = q.QueryRowContext(ctx, `SELECT user_id, seq, version FROM clients WHERE document = ? AND client = ?`, key, client).
		Scan(&row.User, &row.Seq, &row.Version)
	if errors.Is(err, sql.ErrNoRows) {
		return collab.ClientRow{}, nil
	}
	return row, err
}

// Heads reads many heads at once.
func (s *Store) Heads(ctx context.Context, docs []string) (map[string]collab.Head, error) {
	heads := make(map[string]collab.Head, len(docs))
	if len(docs) == 0 {
		return heads, nil
	}
	args := make([]any, len(docs))
	for i, id := range docs {
		args[i] = id
	}
	rows, err := s.read.QueryContext(ctx, `SELECT id, head, deleted IS NOT NULL FROM documents WHERE id IN (?`+strings.Repeat(", ?", len(docs)-1)+`)`, args...)
	if err != nil {
		return nil, fmt.Errorf("reading the heads of %d documents: %w", len(docs), err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var h collab.Head
		if err := rows.Scan(&id, &h.Version, &h.Deleted); err != nil {
			return nil, err
		}
		heads[id] = h
	}
	return heads, rows.Err()
}

// List lists documents in the order of their ids' bytes.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]collab.Meta, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT id, type, head, folded_to, created, updated FROM documents
		WHERE deleted IS NULL AND id >= ?1 AND substr(id, 1, length(?1)) = ?1 AND id > ?2 ORDER BY id LIMIT ?3`, prefix, after, limit)
	if err != nil {
		return nil, fmt.Errorf("listing documents: %w", err)
	}
	defer rows.Close()
	var list []collab.Meta
	for rows.Next() {
		var m collab.Meta
		var created, updated int64
		if err := rows.Scan(&m.ID, &m.Type, &m.Version, &m.Folded, &created, &updated); err != nil {
			return nil, err
		}
		m.Created, m.Updated = fromMicro(created), fromMicro(updated)
		list = append(list, m)
	}
	return list, rows.Err()
}

// isUnique reports whether err says that a row is there already.
func isUnique(err error) bool {
	var e *sqlite3.Error
	return errors.As(err, &e) && (e.Code() == codes.SQLITE_CONSTRAINT_UNIQUE || e.Code() == codes.SQLITE_CONSTRAINT_PRIMARYKEY)
}
