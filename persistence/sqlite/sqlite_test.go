package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
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

func TestTheFilesAreTheirOwnersAlone(t *testing.T) {
	dir := t.TempDir() // others may enter it
	open(t, dir)
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v (%v)", f.Name(), info.Mode(), err)
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

func TestABackupIsWholeOrNotThere(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	s := open(t, dir)
	if _, err := s.Create(t.Context(), "doc", ot.Text, []collab.Operation{{Client: "c", Seq: 1, User: "u", Delta: []byte(`[]`)}}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(out, "backup")
	if err := sqlite.Backup(t.Context(), dir, file); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v (%v)", info.Mode(), err)
	}
	if err := sqlite.Backup(t.Context(), dir, file); err == nil || !strings.Contains(err.Error(), "overwrites nothing") {
		t.Errorf("over another file: %v", err)
	}
	if err := sqlite.Backup(t.Context(), dir, filepath.Join(out, "none", "backup")); err == nil {
		t.Error("into a folder that is not there")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sqlite.Backup(ended, dir, filepath.Join(out, "broken off")); err == nil {
		t.Error("one that was broken off is no error")
	}
	if left, err := os.ReadDir(out); err != nil || len(left) != 1 {
		t.Errorf("there is %v (%v)", left, err)
	}
}

func TestARestoreTakesNothingButAWholeBackup(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	s := open(t, dir)
	for i := range 200 {
		op := collab.Operation{Client: "c", Seq: 1, User: "u", Delta: bytes.Repeat([]byte("x"), 1000)}
		if _, err := s.Create(t.Context(), fmt.Sprint("doc", i), ot.Text, []collab.Operation{op}); err != nil {
			t.Fatal(err)
		}
	}
	good := filepath.Join(out, "good")
	if err := sqlite.Backup(t.Context(), dir, good); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte) string {
		file := filepath.Join(out, name)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	damaged := bytes.Clone(data)
	for i := len(damaged) / 2; i < len(damaged)/2+4096; i++ {
		damaged[i] ^= 0x55
	}
	newer := write("newer", data)
	db, err := sql.Open("sqlite", newer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`); err != nil {
		t.Fatal(err)
	}
	db.Close()
	other := filepath.Join(out, "other")
	if db, err = sql.Open("sqlite", other); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`CREATE TABLE x (y)`); err != nil {
		t.Fatal(err)
	}
	db.Close()
	fresh := filepath.Join(t.TempDir(), "fresh")
	for name, c := range map[string]struct{ file, says string }{
		"no file":              {filepath.Join(out, "none"), "none"},
		"an empty file":        {write("empty", nil), "not a backup"},
		"a text":               {write("text", []byte("hello, world")), "cannot be read"},
		"half a backup":        {write("half", data[:len(data)/2]), ""},
		"a damaged one":        {write("damaged", damaged), ""},
		"another database":     {other, "not a backup"},
		"one of a newer weft":  {newer, "newer weft"},
		"a folder as a backup": {out, "not a backup"},
	} {
		if _, err := sqlite.Restore(t.Context(), c.file, fresh, true); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(fresh, sqlite.File)); err == nil {
		t.Error("something was put in place")
	}

	if _, err := sqlite.Restore(t.Context(), good, dir, true); !errors.Is(err, sqlite.ErrInUse) {
		t.Errorf("beside a server: %v", err)
	}
	if _, err := s.Create(t.Context(), "later", ot.Text, nil); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := sqlite.Restore(t.Context(), good, dir, false); err == nil || !strings.Contains(err.Error(), "--replace") {
		t.Errorf("over another: %v", err)
	}
	aside, err := sqlite.Restore(t.Context(), good, dir, true)
	if err != nil || aside == "" {
		t.Fatal(aside, err)
	}
	if _, err := open(t, dir).Meta(t.Context(), "later"); !errors.Is(err, collab.ErrNotFound) {
		t.Errorf("what came after the backup is there: %v", err)
	}
	kept := t.TempDir()
	if err := os.Rename(aside, filepath.Join(kept, sqlite.File)); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, kept).Meta(t.Context(), "later"); err != nil {
		t.Errorf("what was put aside is not whole: %v", err)
	}
	if aside, err := sqlite.Restore(t.Context(), good, fresh, false); err != nil || aside != "" {
		t.Errorf("into a new folder: %q, %v", aside, err)
	}
	if m, err := open(t, fresh).List(t.Context(), "", "", 1000); err != nil || len(m) != 200 {
		t.Errorf("%d documents (%v)", len(m), err)
	}
}

func TestWhatWasPurgedIsNotInTheFilesAnyMore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	holds := func() (found bool) {
		t.Helper()
		for _, suffix := range []string{"", "-wal"} {
			data, err := os.ReadFile(filepath.Join(dir, sqlite.File+suffix))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			found = found || bytes.Contains(data, []byte("a secret that nobody is to read"))
		}
		return found
	}
	op := collab.Operation{Client: "c", Seq: 1, User: "u", Delta: []byte(`[{"insert":"a secret that nobody is to read"}]`)}
	if _, err := s.Create(t.Context(), "doc", ot.Text, []collab.Operation{op}); err != nil {
		t.Fatal(err)
	}
	if err := s.PutSnapshot(t.Context(), "doc", collab.Snapshot{Version: 1, Content: op.Delta}); err != nil {
		t.Fatal(err)
	}
	if !holds() {
		t.Fatal("the files do not hold it in the first place")
	}
	if err := s.Delete(t.Context(), "doc", "ada", true); err != nil {
		t.Fatal(err)
	}
	if holds() {
		t.Error("the files still hold it")
	}
}

func TestAReaderReadsAndWritesNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := s.Create(t.Context(), "doc", ot.Text, nil); err != nil {
		t.Fatal(err)
	}
	r, err := sqlite.OpenReader(t.Context(), dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Meta(t.Context(), "doc"); err != nil {
		t.Error(err)
	}
	if err := r.Delete(t.Context(), "doc", "x", true); err == nil {
		t.Error("it deletes")
	}
	if _, err := r.Create(t.Context(), "other", ot.Text, nil); err == nil {
		t.Error("it creates")
	}
	if err := s.Append(t.Context(), "doc", 0, []collab.Operation{{Client: "c", Seq: 1, User: "u", Delta: []byte(`[]`)}}); err != nil {
		t.Errorf("the server beside it: %v", err)
	}
	if m, err := r.Meta(t.Context(), "doc"); err != nil || m.Version != 1 {
		t.Errorf("it reads %+v (%v)", m, err)
	}
}
