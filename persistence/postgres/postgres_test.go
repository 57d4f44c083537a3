package postgres_test

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/migrations"
	"github.com/weft-collab/weft/ot"
	"github.com/weft-collab/weft/persistence/postgres"
	"github.com/weft-collab/weft/persistence/postgres/postgrestest"
	"github.com/weft-collab/weft/persistence/storetest"
)

func open(t *testing.T, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), url, true, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStore(t *testing.T) {
	server := postgrestest.Start(t)
	url := server.NewDatabase(t)
	storetest.Run(t, func(t *testing.T) storetest.Backend {
		return storetest.Backend{Store: open(t, url), Damage: func(t *testing.T, doc string, version int64) {
			server.Exec(t, url, `UPDATE snapshots SET content = '\x00' WHERE version = $1 AND document = (SELECT key FROM documents WHERE id = $2)`, version, doc)
		}}
	})
}

func TestManyNodesMayStartAtOnce(t *testing.T) {
	url := postgrestest.Start(t).NewDatabase(t)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			s, err := postgres.Open(t.Context(), url, true, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
		})
	}
	wg.Wait()
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	server := postgrestest.Start(t)
	url := server.NewDatabase(t)
	log := slog.New(slog.DiscardHandler)
	if _, err := postgres.Open(t.Context(), url, false, log); !errors.Is(err, migrations.ErrSchema) || !strings.Contains(err.Error(), "weft migrate") {
		t.Errorf("an empty database: %v", err)
	}
	open(t, url)
	server.Exec(t, url, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`)
	if _, err := postgres.Open(t.Context(), url, true, log); !errors.Is(err, migrations.ErrSchema) || !strings.Contains(err.Error(), "newer weft") {
		t.Errorf("a newer database: %v", err)
	}
	server.Kill()
	secret := strings.Replace(url, "weft@", "weft:hunter2secret@", 1)
	_, err := postgres.Open(t.Context(), secret, true, log)
	if err == nil || !strings.Contains(err.Error(), "cannot be reached") || strings.Contains(err.Error(), "hunter2secret") {
		t.Errorf("a dead server: %v", err)
	}
	if _, err := postgres.Open(t.Context(), "mysql:/what", true, log); err == nil || !strings.Contains(err.Error(), "postgres://") {
		t.Errorf("not a URL: %v", err)
	}
}

func TestSettingsThatLoseCommitsAreWarnedOf(t *testing.T) {
	server := postgrestest.Start(t)
	url := server.NewDatabase(t)
	open(t, url)
	warnings := func() string {
		t.Helper()
		var out bytes.Buffer
		s, err := postgres.Open(t.Context(), url, true, slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelError})))
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		var settings []string
		for _, line := range strings.Split(out.String(), "\n") {
			if _, after, ok := strings.Cut(line, "setting="); ok && strings.Contains(line, "NOT SAFE") {
				settings = append(settings, strings.Join(strings.Fields(after)[:2], " "))
			}
		}
		slices.Sort(settings)
		return strings.Join(settings, ", ")
	}
	if got := warnings(); got != "" {
		t.Errorf("a server as it is installed: %s", got)
	}
	for value, want := range map[string]string{"on": "", "local": "", "remote_write": "", "remote_apply": "", "off": "synchronous_commit value=off"} {
		server.Exec(t, url, "ALTER ROLE weft SET synchronous_commit = "+value) // of its user alone
		if got := warnings(); got != want {
			t.Errorf("synchronous_commit = %s: %q, not %q", value, got, want)
		}
	}
	server.Stop(false)
	server.Options = []string{"-c", "fsync=off", "-c", "full_page_writes=off"}
	server.Restart(t)
	server.Exec(t, url, "ALTER ROLE weft RESET synchronous_commit")
	if got, want := warnings(), "fsync value=off, full_page_writes value=off"; got != want {
		t.Errorf("started without care: %q, not %q", got, want)
	}
}

func TestWhatWasAppendedOutlivesACrashOfTheServer(t *testing.T) {
	server := postgrestest.Start(t)
	s := open(t, server.NewDatabase(t))
	if _, err := s.Create(t.Context(), "doc", ot.Rich, nil); err != nil {
		t.Fatal(err)
	}
	op := func(seq int64) []collab.Operation {
		return []collab.Operation{{Client: "c", Seq: seq, User: "u", Delta: []byte(`[]`)}}
	}
	if err := s.Append(t.Context(), "doc", 0, op(1)); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	if err := s.Append(t.Context(), "doc", 1, op(2)); err == nil || errors.Is(err, collab.ErrConflict) {
		t.Errorf("while the server is away the error is %v", err)
	}
	if err := s.Ping(t.Context()); err == nil {
		t.Error("it says that it can be written")
	}
	server.Restart(t)
	var err error
	for range 5 { // connections that died are found out one by one
		if err = s.Append(t.Context(), "doc", 1, op(2)); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	ops, err := s.Log(t.Context(), "doc", 0, 10, 0)
	if err != nil || len(ops) != 2 {
		t.Errorf("%d operations, %v", len(ops), err)
	}
}

func TestAReadOnlyDatabaseIsNotReady(t *testing.T) {
	server := postgrestest.Start(t)
	url := server.NewDatabase(t)
	open(t, url).Close()
	server.Exec(t, server.URL(), "ALTER SYSTEM SET default_transaction_read_only = on")
	server.Stop(false)
	server.Restart(t)
	s, err := postgres.Open(t.Context(), url, false, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("%v", err)
	}
}
