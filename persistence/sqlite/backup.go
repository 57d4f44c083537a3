package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/weft-collab/weft/migrations"
)

// Backup writes the database in folder dir, as it stands at one moment, to a file, which
// must not exist. A server may have the folder open and go on writing. The file is
// checked and synced to the disk before it gets its name.
func Backup(ctx context.Context, dir, file string) error {
	switch _, err := os.Lstat(file); {
	case err == nil:
		return fmt.Errorf("%s exists already: a backup overwrites nothing", file)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s cannot be looked at: %w", file, err)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	from := filepath.Join(dir, File)
	if _, err := os.Stat(from); err != nil {
		return fmt.Errorf("there is no embedded store in %s: %w; WEFT_DATA_DIR names the folder", dir, err)
	}
	db, err := sql.Open("sqlite", source(from)+"&mode=rw")
	if err != nil {
		return err
	}
	defer db.Close()
	partial := file + ".partial"
	if err := os.Remove(partial); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	defer os.Remove(partial)
	// An empty file is written into: so it is its owner's alone from the beginning.
	empty, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := empty.Close(); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, `VACUUM INTO ?`, partial); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	if err := inspect(ctx, partial); err != nil {
		return err
	}
	return settle(partial, file)
}

// Restore puts a backup into folder dir, which no server may have open. Where there is a
// database already it is an error, or with replace that one is put aside, under the name
// that is returned ("": there was none).
func Restore(ctx context.Context, file, dir string, replace bool) (aside string, err error) {
	if err := inspect(ctx, file); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("the data folder cannot be made: %w; WEFT_DATA_DIR names it", err)
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	to := filepath.Join(dir, File)
	if _, err := os.Lstat(to); err == nil {
		if !replace {
			return "", fmt.Errorf("%s exists; --replace puts it aside", to)
		}
		aside = to + ".replaced-" + time.Now().UTC().Format("20060102T150405Z")
	}
	restoring := to + ".restoring"
	if err := copyFile(file, restoring); err != nil {
		return "", err
	}
	defer os.Remove(restoring)
	// A journal that is left of another database must never meet this one.
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if aside != "" {
			err = os.Rename(to+suffix, aside+suffix)
		} else {
			err = os.Remove(to + suffix)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return aside, settle(restoring, to)
}

// inspect reports what is wrong with a database file that nobody writes.
func inspect(ctx context.Context, file string) error {
	if info, err := os.Stat(file); err != nil {
		return err
	} else if info.Size() == 0 || info.IsDir() {
		return fmt.Errorf("%s is not a backup", file)
	}
	abs, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite", strings.SplitN(source(abs), "?", 2)[0]+"?mode=ro&immutable=1")
	if err != nil {
		return err
	}
	defer db.Close()
	var found string
	if err := db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&found); err != nil {
		return fmt.Errorf("%s cannot be read as a backup: %w", file, err)
	}
	if found != "ok" {
		return fmt.Errorf("%s is damaged: %s", file, found)
	}
	var documents int
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM documents`).Scan(&documents); err != nil {
		return fmt.Errorf("%s is not a backup: %w", file, err)
	}
	// One that is older is migrated when it is served.
	if err := migrations.Check(ctx, migrations.SQLite, db); err != nil && !migrations.Older(err) {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// settle gives a finished file its name, for good.
func settle(file, name string) error {
	for _, f := range []func() error{
		func() error { return syncFile(file) },
		func() error { return os.Rename(file, name) },
		func() error { return syncFile(filepath.Dir(name)) },
	} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func syncFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
