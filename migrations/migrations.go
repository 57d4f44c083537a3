// Package migrations holds the schema of each store as goose migrations, embedded,
// and brings a database up to it.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed postgres/*.sql sqlite/*.sql
var files embed.FS

// Database is a kind of database, and the folder of its migrations.
type Database string

// The databases that have a schema.
const (
	Postgres Database = "postgres"
	SQLite   Database = "sqlite"
)

// ErrSchema is wrapped where a database is not at the schema of this binary.
var ErrSchema = errors.New("the schema of the database is not that of this binary")

// Older reports whether err says that a database has a schema that Up brings up to date.
func Older(err error) bool {
	var older *olderError
	return errors.As(err, &older)
}

type olderError struct{ is, want int64 }

func (e *olderError) Error() string {
	return fmt.Sprintf("%v: it is at version %d, this binary needs %d; run `weft migrate`", ErrSchema, e.is, e.want)
}

func (e *olderError) Unwrap() error { return ErrSchema }

func (d Database) provider(db *sql.DB) (*goose.Provider, error) {
	folder, err := fs.Sub(files, string(d))
	if err != nil {
		return nil, err
	}
	if d == SQLite { // one process has the file to itself
		return goose.NewProvider(goose.DialectSQLite3, db, folder)
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 120), lock.WithUnlockTimeout(1, 10))
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db, folder, goose.WithSessionLocker(locker))
}

// Up brings db to the schema of this binary, and returns how many migrations that
// took. Any number of nodes may call it at once: one migrates under a lock, the others
// wait up to two minutes. A database that is newer than the binary is an ErrSchema.
func Up(ctx context.Context, d Database, db *sql.DB) (int, error) {
	p, err := d.provider(db)
	if err != nil {
		return 0, err
	}
	results, err := p.Up(ctx)
	if err != nil {
		return 0, fmt.Errorf("migrating the schema: %w", err)
	}
	return len(results), check(ctx, p)
}

// Check reports, as an ErrSchema that says what to do, that db is older or newer than this binary.
func Check(ctx context.Context, d Database, db *sql.DB) error {
	p, err := d.provider(db)
	if err != nil {
		return err
	}
	return check(ctx, p)
}

func check(ctx context.Context, p *goose.Provider) error {
	is, want, err := p.GetVersions(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("reading the version of the schema: %w", err)
	case is < want:
		return &olderError{is, want}
	case is > want:
		return fmt.Errorf("%w: it is at version %d, this binary knows %d; run a newer weft", ErrSchema, is, want)
	}
	return nil
}
