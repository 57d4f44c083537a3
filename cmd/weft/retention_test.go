package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/client"
	"github.com/weft-collab/weft/ot"
	"github.com/weft-collab/weft/persistence/postgres"
	"github.com/weft-collab/weft/persistence/sqlite"
	"github.com/weft-collab/weft/persistence/storetest"
)

// end stops a node as an operator does.
func (p *process) end(t *testing.T) {
	t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.done
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("it exits with %d: %s", code, p.logged())
	}
}

// participant opens a client of a text document.
func participant(t *testing.T, ctx context.Context, user, doc string, servers ...string) *client.Client {
	t.Helper()
	c := client.Open(ctx, client.Config{
		Servers: servers, Doc: doc, Type: ot.Text, Backoff: 20 * time.Millisecond,
		Token: func(context.Context) (string, error) { return token(t, user, time.Hour, doc+"=write"), nil },
	})
	t.Cleanup(c.Close)
	return c
}

func edit(t *testing.T, c *client.Client, at int, text string) {
	t.Helper()
	err := c.Edit(func(content *ot.Document) ot.Delta {
		if at < 0 || at > content.Len() {
			at = content.Len()
		}
		d := ot.New()
		if at > 0 {
			d = d.Retain(at)
		}
		return d.Insert(text)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func flush(t *testing.T, ctx context.Context, clients ...*client.Client) {
	t.Helper()
	for _, c := range clients {
		if err := c.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

func clientID(c *client.Client) (id string) {
	c.Do(func(r *client.Replica) { id = r.Client() })
	return id
}

// A client that was away while the log was folded gets the content, and keeps its unsent
// edits: one in flight of which it does not know whether it arrived, and what came after.
func TestAClientFromBeforeTheFoldKeepsItsUnsentEdits(t *testing.T) {
	for name, lose := range map[string]func(*gate) *bool{
		"what was in flight arrived": func(g *gate) *bool { return &g.deaf },
		"what was in flight did not": func(g *gate) *bool { return &g.mute },
		"nothing was in flight":      func(g *gate) *bool { return &g.shut },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			env := []string{"WEFT_DATA_DIR=" + dir, "WEFT_JWT_SECRET=" + testSecret, "WEFT_MAX_OPS_PER_SECOND=100000"}
			node := startProcess(t, freeAddr(t), env...)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			g := newGate(t, node.addr)
			away, other := participant(t, ctx, "ada", "doc", g.url()), participant(t, ctx, "bob", "doc", node.url)
			for _, c := range []*client.Client{away, other} {
				if err := c.Ready(ctx); err != nil {
					t.Fatal(err)
				}
			}
			edit(t, away, -1, "begin end")
			flush(t, ctx, away)
			arrived := func(text string) {
				t.Helper()
				err := other.Wait(ctx, func(r *client.Replica) bool { return strings.Contains(r.View().Text(), text) })
				if err != nil {
					t.Fatal(err)
				}
			}
			arrived("begin end")
			id := clientID(away)

			g.set(func() { *lose(g) = true })
			edit(t, away, 5, "<in flight>")
			edit(t, away, -1, "<after>")
			if g.deaf {
				arrived("<in flight>")
			}
			g.set(func() { g.shut = true })
			edit(t, away, 0, "<offline>")
			for i := range 100 {
				edit(t, other, 0, fmt.Sprintf("(%d)", i))
				flush(t, ctx, other)
			}
			edit(t, other, -1, "(last)")
			flush(t, ctx, other)
			node.end(t)
			says(t, []string{"doc", "compact", "doc", "--keep", "0", "--quiet", "--data-dir", dir}, "operations folded")
			node = startProcess(t, node.addr, env...)
			g.set(func() { g.shut, g.deaf, g.mute = false, false, false })
			flush(t, ctx, away, other)
			arrived("<offline>")
			arrived("<in flight>")
			arrived("<after>")

			text := other.Content().Text()
			for _, mark := range []string{"(last)", "(0)", "(99)"} {
				if n := strings.Count(text, mark); n != 1 {
					t.Errorf("%s stands there %d times: %s", mark, n, text)
				}
			}
			if mine := regexp.MustCompile(`\(\w+\)`).ReplaceAllString(text, ""); mine != "<offline>begin<in flight> end<after>" {
				t.Errorf("without the other's marks it is %q", mine)
			}
			if now := clientID(away); now != id {
				t.Error("it started over, and had no need to")
			}
			node.end(t)
			store, err := sqlite.OpenReader(ctx, dir, discard())
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			if m := storetest.Whole(t, store, "doc"); m.Folded == 0 {
				t.Error("the log was not folded")
			}
			for _, c := range []*client.Client{away, other} {
				if got, err := collab.ReadAt(ctx, store, "doc", -1); err != nil || string(c.Content().AppendJSON(nil)) != string(got.Content) {
					t.Errorf("a replica differs from the store (%v)", err)
				}
			}
		})
	}
}

func TestANodeKeepsWhatItsRetentionSays(t *testing.T) {
	for _, keep := range []string{"0", "30d"} {
		node := startProcess(t, freeAddr(t), "WEFT_DATA_DIR="+t.TempDir(), "WEFT_JWT_SECRET="+testSecret, "WEFT_RETENTION="+keep)
		node.end(t)
		if folds := strings.Contains(node.logged(), "keep=720h0m0s"); folds != (keep == "30d") {
			t.Errorf("with %s it says: %s", keep, node.logged())
		}
	}
	if err := serveCommand().Flags().Set("retention", "-3d"); err == nil {
		t.Error("a negative retention is taken")
	}
}

// Operators fold the log of a document on two nodes again and again while it is written.
func TestFoldingUnderWritersHarmsNobody(t *testing.T) {
	nodes, database, _ := cluster(t, 2, "WEFT_JWT_SECRET="+testSecret)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	const writers, edits = 4, 100
	clients := make([]*client.Client, writers)
	for i := range clients {
		clients[i] = participant(t, ctx, fmt.Sprint("writer", i), "doc", nodes[i%2].url, nodes[(i+1)%2].url)
		if err := clients[i].Ready(ctx); err != nil {
			t.Fatal(err)
		}
	}
	var work sync.WaitGroup
	written := make(chan struct{})
	for i, c := range clients {
		work.Go(func() {
			for n := range edits {
				edit(t, c, 0, fmt.Sprintf("<%d.%d>", i, n))
				if err := c.Flush(ctx); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	go func() { work.Wait(); close(written) }()
	folds := 0
	for over := false; !over; folds++ {
		select {
		case <-written:
			over = true
		default:
		}
		says(t, []string{"doc", "compact", "doc", "--keep", "0", "--quiet", "--database-url", database})
	}
	if t.Failed() {
		return
	}
	store, err := postgres.Open(ctx, database, false, discard())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	m := storetest.Whole(t, store, "doc")
	if m.Folded != m.Version-1 || m.Version != writers*edits {
		t.Errorf("after %d folds the log begins after %d of %d versions, of %d edits", folds, m.Folded, m.Version, writers*edits)
	}
	want, err := collab.ReadAt(ctx, store, "doc", -1)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range clients {
		err := c.Wait(ctx, func(r *client.Replica) bool { return r.Version() == m.Version })
		if got := c.Content().AppendJSON(nil); err != nil || string(got) != string(want.Content) {
			t.Errorf("client %d has another content than the store (%v)", i, err)
		}
		for n := range edits {
			if mark := fmt.Sprintf("<%d.%d>", i, n); strings.Count(string(want.Content), mark) != 1 {
				t.Errorf("%s stands there %d times", mark, strings.Count(string(want.Content), mark))
			}
		}
	}
	t.Logf("%d folds", folds)
}

// A purge over HTTP leaves nothing but the id and a line in the audit.
func TestAPurgeLeavesALineAndNothingElse(t *testing.T) {
	s := startServer(t, nil)
	doc := s.create("rich", `[{"insert":"secret\n"}]`)
	manager := token(t, "boss", time.Hour, doc+"=manage")
	ws, _ := s.open(doc, token(t, "ada", time.Hour, doc+"=write"), newClient())
	for _, path := range []string{"/v1/docs/" + doc, "/v1/docs/" + doc + "?purge=true"} {
		if r, m := s.call("DELETE", path, manager, ""); r.StatusCode != http.StatusNoContent {
			t.Errorf("DELETE %s: %d %v", path, r.StatusCode, m)
		}
	}
	ws.awaitClose("deleted", 4410)
	for _, c := range [][3]string{
		{"GET", "/v1/docs/" + doc, ""}, {"GET", "/v1/docs/" + doc + "?v=1", ""}, {"GET", "/v1/docs/" + doc + "/ops", ""}, {"HEAD", "/v1/docs/" + doc, ""},
		{"POST", "/v1/docs", `{"id":"` + doc + `"}`}, {"POST", "/v1/docs/" + doc + "/ops", `{"client":"client-0123456789","seq":1,"d":[]}`},
	} {
		if r, m := s.call(c[0], c[1], manager, c[2]); r.StatusCode != http.StatusGone {
			t.Errorf("%s %s: %d %v", c[0], c[1], r.StatusCode, m)
		}
	}
	audit, err := s.node.store.Audit(t.Context(), doc, 10)
	if err != nil || len(audit) != 2 || audit[0].Action != "purge" || audit[0].User != "boss" || audit[0].Operations != 1 || audit[1].Action != "delete" {
		t.Errorf("the audit says %+v (%v)", audit, err)
	}
	file := filepath.Join(t.TempDir(), "backup")
	says(t, []string{"backup", file, "--data-dir", s.node.config.dataDir})
	data, err := os.ReadFile(file)
	if err != nil || !bytes.Contains(data, []byte(doc)) || bytes.Contains(data, []byte("secret")) {
		t.Errorf("a backup holds what was purged, or not even its id (%v)", err)
	}
}

// Of a client's operations before its last, the log alone says which version each made.
func TestAnOperationSentAgainAfterItWasFoldedAwayIsGone(t *testing.T) {
	s := startServer(t, nil)
	good := token(t, "ada", time.Hour, "*=write")
	doc, client := s.create("text", `[]`), newClient()
	post := func(seq int) (*http.Response, map[string]any) {
		t.Helper()
		return s.call("POST", "/v1/docs/"+doc+"/ops", good, fmt.Sprintf(`{"client":%q,"seq":%d,"d":[{"insert":"x"}]}`, client, seq))
	}
	for seq := 1; seq <= 3; seq++ {
		if r, got := post(seq); r.StatusCode != http.StatusOK {
			t.Fatal(got)
		}
	}
	if gone, err := collab.Fold(t.Context(), s.node.store, doc, time.Now().Add(time.Minute), nil); err != nil || gone != 2 {
		t.Fatalf("%d operations were folded away, and %v", gone, err)
	}
	for range 2 {
		r, got := post(1)
		asProblem(t, "one that was folded away", r, got, 410, "gone")
		if r, got := post(3); r.StatusCode != http.StatusOK || got["v"] != 3.0 {
			t.Errorf("the last one, sent again: %d %v", r.StatusCode, got)
		}
	}
	if _, got := s.call("GET", "/v1/docs/"+doc+"?format=text", good, ""); got["text"] != "xxx" {
		t.Errorf("the text is %q", got["text"])
	}
}
