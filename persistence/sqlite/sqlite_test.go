package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/migrations"
	"github.com/weft-collab/weft/ot"
	"github.com/weft-collab/weft/persistence/sqlite"
	"github.com/weft-collab/weft/persistence/storetest"
)

func open(t *testing.T, dir string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), dir, true, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Backend {
		dir := t.TempDir()
		return storetest.Backend{Store: open(t, dir), Damage: func(t *testing.T, doc string, version int64) {
			db, err := sql.Open("sqlite", filepath.Join(dir, sqlite.File)+"?_pragma=busy_timeout(5000)")
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec(`UPDATE snapshots SET content = x'00' WHERE version = ? AND document = (SELECT key FROM documents WHERE id = ?)`, version, doc); err != nil {
				t.Fatal(err)
			}
		}}
	})
}

func TestWhatWasStoredIsThereAfterOpeningAgain(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := s.Create(t.Context(), "doc", ot.Text, []collab.Operation{{Client: "c", Seq: 1, User: "u", Delta: []byte(`[]`)}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if m, err := open(t, dir).Meta(t.Context(), "doc"); err != nil || m.Version != 1 || m.Type != ot.Text {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestAFolderMayBeRelativeAndHaveAnyName(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, dir := range []string{"data", "./a folder?with=signs&%20#", "ü/😀"} {
		s := open(t, dir)
		if _, err := s.Create(t.Context(), "doc", ot.Text, nil); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
		if found, err := filepath.Glob("*/" + sqlite.File); err != nil || len(found) == 0 {
			t.Errorf("%s: the file is not in the folder", dir)
		}
	}
}

func TestAFolderInUseIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	_, err := sqlite.Open(t.Context(), dir, true, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "in use by another weft") {
		t.Errorf("the second is told %v", err)
	}
}

func TestASchemaThatIsNotThisBinarysIsRefused(t *testing.T) {
	dir := t.TempDir()
	if _, err := sqlite.Open(t.Context(), dir, false, slog.New(slog.DiscardHandler)); !errors.Is(err, migrations.ErrSchema) || !strings.Contains(err.Error(), "weft migrate") {
		t.Errorf("an empty database: %v", err)
	}
	open(t, dir).Close()
	db, err := sql.Open("sqlite", filepath.Join(dir, sqlite.File))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(context.Background(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`); err != nil {
		t.Fatal(err)
	}
	db.Close()
	for _, migrate := range []bool{true, false} {
		if _, err := sqlite.Open(t.Context(), dir, migrate, slog.New(slog.DiscardHandler)); !errors.Is(err, migrations.ErrSchema) || !strings.Contains(err.Error(), "newer weft") {
			t.Errorf("a newer database, migrate %v: %v", migrate, err)
		}
	}
}
