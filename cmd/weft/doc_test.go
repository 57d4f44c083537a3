package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/ot"
	"github.com/weft-collab/weft/persistence/postgres"
	"github.com/weft-collab/weft/persistence/postgres/postgrestest"
	"github.com/weft-collab/weft/persistence/sqlite"
)

// aged makes a document of inserts, one a day, the last of them now.
func aged(t *testing.T, store collab.Store, doc string, days int) {
	t.Helper()
	if _, err := store.Create(t.Context(), doc, ot.Text, nil); err != nil {
		t.Fatal(err)
	}
	for i := range days {
		op := collab.Operation{
			Client: "client-0123456789", Seq: int64(i + 1), User: "ada", At: time.Now().UTC().Add(time.Duration(i+1-days) * day),
			Delta: fmt.Appendf(nil, `[{"insert":"%c"}]`, 'a'+i),
		}
		if err := store.Append(t.Context(), doc, int64(i), []collab.Operation{op}); err != nil {
			t.Fatal(err)
		}
	}
}

// stores calls test with a store of each kind, closed, and the flags that name it.
func stores(t *testing.T, fill func(t *testing.T, store collab.Store), test func(t *testing.T, flags ...string)) {
	t.Run("embedded", func(t *testing.T) {
		dir := t.TempDir()
		store, err := sqlite.Open(t.Context(), dir, true, discard())
		if err != nil {
			t.Fatal(err)
		}
		fill(t, store)
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		test(t, "--data-dir", dir)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		url := postgrestest.Start(t).NewDatabase(t)
		store, err := postgres.Open(t.Context(), url, true, discard())
		if err != nil {
			t.Fatal(err)
		}
		fill(t, store)
		store.Close()
		test(t, "--database-url", url)
	})
}

// says expects a command to succeed and to say each of want.
func says(t *testing.T, args []string, want ...string) string {
	t.Helper()
	out, err := weft(t, args...)
	if err != nil {
		t.Errorf("weft %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Errorf("weft %s does not say %q:\n%s", strings.Join(args, " "), w, out)
		}
	}
	return out
}

func TestDocumentsAreLookedAfterInTheirStore(t *testing.T) {
	fill := func(t *testing.T, store collab.Store) {
		aged(t, store, "old", 10)
		aged(t, store, "young", 1)
		aged(t, store, "empty", 0)
		if err := store.NameVersion(t.Context(), "old", collab.NamedVersion{Version: 3, Name: "draft", User: "ada", At: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	stores(t, fill, func(t *testing.T, flags ...string) {
		doc := func(args ...string) []string { return append(append([]string{"doc"}, args...), flags...) }
		fails := func(want string, args ...string) {
			t.Helper()
			if out, err := weft(t, doc(args...)...); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v: %v, not %q\n%s", args, err, want, out)
			}
		}
		says(t, doc("list"), "old", "young", "text")
		if out := says(t, doc("list", "--prefix", "yo")); strings.Contains(out, "old") {
			t.Errorf("with a prefix it lists\n%s", out)
		}
		says(t, doc("show", "old"), "10 UTF-16 units", `"draft", named by ada`)
		says(t, doc("export", "old"), `[{"insert":"jihgfedcba"}]`)
		if out := says(t, doc("export", "old", "--format", "text", "--v", "2")); out != "ba" {
			t.Errorf("version 2 is %q", out)
		}
		if out := says(t, doc("history", "old", "--from", "3", "--limit", "2"), `{"v":4,"c":"client-0123456789","seq":4,"u":"ada","at":`, `"d":[{"insert":"e"}]}`); strings.Count(out, "\n") != 2 {
			t.Errorf("the history is\n%s", out)
		}

		says(t, doc("compact", "--all", "--keep", "5d", "--dry-run"), "old: 5 operations to fold", "5 operations to fold, of 10 in 1 documents")
		says(t, doc("history", "old"), `"v":1,`)
		says(t, doc("compact", "--all", "--keep", "5d", "--quiet"), "old: 5 operations folded")
		says(t, doc("compact", "--all", "--keep", "5d", "--quiet"), "0 operations folded")
		fails("no longer reaches back", "history", "old", "--from", "4")
		fails("no longer reaches back", "export", "old", "--v", "4")
		if out := says(t, doc("history", "old"), `"v":6,`); strings.Count(out, "\n") != 5 {
			t.Errorf("the history is\n%s", out)
		}
		for v, text := range map[string]string{"3": "cba", "5": "edcba", "7": "gfedcba", "10": "jihgfedcba"} {
			if out := says(t, doc("export", "old", "--format", "text", "--v", v)); out != text {
				t.Errorf("version %s is %q", v, out)
			}
		}
		says(t, doc("compact", "old", "young", "empty", "--keep", "0", "--quiet"), "old: 4 operations folded", "4 operations folded, of 6 in 3 documents")

		fails("no such document", "show", "none")
		fails("at version 10", "export", "old", "--v", "11")
		fails("delta or text", "export", "old", "--format", "html")
		fails("not the id", "show", "../etc")
		fails("--all", "compact")
		fails("one or the other", "compact", "old", "--all")
		fails("--limit", "history", "old", "--limit", "-4")
		fails("--limit", "audit", "--limit", "-4")
		fails("30d", "compact", "--all", "--keep", "soon")
		fails("--yes", "delete", "old")

		says(t, doc("delete", "old", "--yes", "--by", "eve"), "old was deleted")
		fails("was deleted", "show", "old")
		says(t, doc("compact", "empty", "--keep", "0", "--dry-run"), "0 operations to fold")
		says(t, doc("delete", "empty", "--yes"), "empty was deleted")
		says(t, doc("delete", "old", "young", "--purge", "--yes", "--by", "bob"), "old was purged", "young was purged")
		if out := says(t, doc("audit"), "delete  old       10          \"eve\"", "purge   old       10          \"bob\"", "purge   young     1           \"bob\""); strings.Count(out, "\n") != 5 {
			t.Errorf("the audit says\n%s", out)
		}
		if out := says(t, doc("audit", "young")); strings.Contains(out, "old") {
			t.Errorf("of one document the audit says\n%s", out)
		}
		if out := says(t, doc("list")); strings.Count(out, "\n") != 1 {
			t.Errorf("after all were deleted there are\n%s", out)
		}
	})
}

func TestDeletingAsksForTheName(t *testing.T) {
	dir := t.TempDir()
	store, err := sqlite.Open(t.Context(), dir, true, discard())
	if err != nil {
		t.Fatal(err)
	}
	aged(t, store, "notes", 1)
	store.Close()
	for answer, deleted := range map[string]bool{"": false, "yes\n": false, "note\n": false, "notes\n": true} {
		var out bytes.Buffer
		cmd := root()
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetIn(strings.NewReader(answer))
		cmd.SetArgs([]string{"doc", "delete", "notes", "--data-dir", dir})
		if err := cmd.ExecuteContext(t.Context()); (err == nil) != deleted {
			t.Errorf("%q: %v\n%s", answer, err, &out)
		}
		if deleted {
			return
		}
		says(t, []string{"doc", "show", "notes", "--data-dir", dir}, "version")
	}
}

func TestTheEmbeddedStoreIsReadBesideItsServerAndNotWritten(t *testing.T) {
	s := startServer(t, nil)
	id := s.create("rich", `[{"insert":"Hi\n"}]`)
	flags := []string{"--data-dir", s.node.config.dataDir}
	says(t, append([]string{"doc", "export", id, "--format", "text"}, flags...), "Hi\n")
	for _, args := range [][]string{{"doc", "compact", id}, {"doc", "delete", id, "--yes"}} {
		if _, err := weft(t, append(args, flags...)...); err == nil || !strings.Contains(err.Error(), "stop it first") {
			t.Errorf("%v: %v", args, err)
		}
	}
	none := filepath.Join(t.TempDir(), "none")
	for _, args := range [][]string{{"doc", "list"}, {"doc", "compact", id}, {"doc", "delete", id, "--yes"}, {"backup", none + ".db"}} {
		if _, err := weft(t, append(args, "--data-dir", none)...); err == nil || !strings.Contains(err.Error(), "WEFT_DATA_DIR") {
			t.Errorf("where there is no store, %v: %v", args, err)
		}
	}
	if _, err := os.Stat(none); err == nil {
		t.Error("a folder was made")
	}
}

func TestTimesInDays(t *testing.T) {
	for text, want := range map[string]time.Duration{"0": 0, "0d": 0, "30d": 30 * day, "12h": 12 * time.Hour, "90m": 90 * time.Minute} {
		var d days
		if err := d.Set(text); err != nil || time.Duration(d) != want {
			t.Errorf("%s is %v (%v)", text, time.Duration(d), err)
		}
		var again days
		if err := again.Set(d.String()); err != nil || again != d {
			t.Errorf("%s is written as %s (%v)", text, d.String(), err)
		}
	}
	for _, text := range []string{"", "d", "30", "-1d", "-1h", "1.5d", "999999999d", "soon"} {
		var d days
		if err := d.Set(text); err == nil {
			t.Errorf("%q is %v", text, time.Duration(d))
		}
	}
}
