package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/client"
	"github.com/weft-collab/weft/persistence/postgres"
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
			env := []string{"WEFT_DATA_DIR=" + t.TempDir(), "WEFT_JWT_SECRET=" + testSecret, "WEFT_MAX_OPS_PER_SECOND=100000", "WEFT_IDLE_AFTER=500ms"}
			node := startProcess(t, freeAddr(t), env...)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			g := newGate(t, node.addr)
			h := newHistory("doc")
			h.folds = true
			away, other := h.open(ctx, t, "ada", g.url()), h.open(ctx, t, "bob", node.url)
			defer h.close()
			for _, p := range h.clients {
				if err := p.Ready(ctx); err != nil {
					t.Fatal(err)
				}
			}
			edit := func(place int) rune {
				t.Helper()
				mark, err := h.edit(away, place)
				if err != nil {
					t.Fatal(err)
				}
				return mark
			}
			begin, end := edit(0), edit(-1)
			if err := h.rest(ctx); err != nil {
				t.Fatal(err)
			}

			g.set(func() { *lose(g) = true })
			inFlight, after := edit(1), edit(-1)
			if g.deaf {
				err := other.Wait(ctx, func(r *client.Replica) bool { return strings.ContainsRune(r.View().Text(), inFlight) })
				if err != nil {
					t.Fatal(err)
				}
			}
			g.set(func() { g.shut = true })
			offline := edit(0)
			h.writeInTurn(ctx, t, other, func(n int) bool { return n < 100 })
			node.end(t)
			store := openReader(t, env)
			h.remember(ctx, t, store)
			says(t, []string{"doc", "compact", "doc", "--keep", "0", "--quiet", "--data-dir", strings.TrimPrefix(env[0], "WEFT_DATA_DIR=")}, "operations folded")
			node = startProcess(t, node.addr, env...)
			calm := calmly(t, env, node)
			g.set(func() { g.shut, g.deaf, g.mute = false, false, false })
			if err := h.rest(ctx); err != nil {
				t.Fatal(err)
			}

			want := []rune{offline, begin, inFlight, end, after}
			mine := slices.DeleteFunc([]rune(other.Content().Text()), func(r rune) bool { return !slices.Contains(want, r) })
			if !slices.Equal(mine, want) {
				t.Errorf("without the other's marks it is %U, and not %U", mine, want)
			}
			if m := storetest.Whole(t, store, "doc"); m.Folded == 0 || len(h.jumps) != 1 {
				t.Errorf("the log begins after version %d, and %d clients got content", m.Folded, len(h.jumps))
			}
			h.check(ctx, t, store, node.url)
			h.close()
			calm(ctx)
			node.end(t)
			h.check(ctx, t, store)
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
	nodes, database, env := cluster(t, 2, "WEFT_JWT_SECRET="+testSecret, "WEFT_IDLE_AFTER=500ms")
	calm := calmly(t, env, nodes...)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	const writers, edits = 4, 100
	h := newHistory("doc")
	h.folds = true
	for i := range writers {
		p := h.open(ctx, t, fmt.Sprint("writer", i), nodes[i%2].url, nodes[(i+1)%2].url)
		if err := p.Ready(ctx); err != nil {
			t.Fatal(err)
		}
	}
	defer h.close()
	var work sync.WaitGroup
	written := make(chan struct{})
	for _, p := range h.clients {
		work.Go(func() { h.writeInTurn(ctx, t, p, func(n int) bool { return n < edits }) })
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
	if err := h.rest(ctx); err != nil {
		t.Fatal(err)
	}
	h.check(ctx, t, store, nodes[0].url, nodes[1].url)
	h.close()
	calm(ctx)
	t.Logf("%d folds", folds)
}

// A purge over HTTP leaves nothing but the id and a line in the audit; its clients keep what
// they have and are let go, and what is written beside it meanwhile is whole.
func TestAPurgeLeavesALineAndNothingElse(t *testing.T) {
	s := startServer(t, func(c *config) { c.idleAfter = 100 * time.Millisecond })
	doc := s.create("rich", `[{"insert":"secret\n"}]`)
	manager := token(t, "boss", time.Hour, "*=manage")
	ws, _ := s.open(doc, token(t, "ada", time.Hour, doc+"=write"), newClient())
	neighbour, written := newHistory(newDoc()), newHistory(newDoc())
	var work sync.WaitGroup
	writing, stop := context.WithCancel(t.Context())
	defer stop()
	for _, h := range []*history{neighbour, written} {
		defer h.close()
		for range 2 {
			if err := h.open(t.Context(), t, "bob", s.URL).Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	work.Go(func() {
		neighbour.writeInTurn(t.Context(), t, neighbour.clients[0], func(int) bool { return writing.Err() == nil })
	})
	written.writeInTurn(t.Context(), t, written.clients[0], func(n int) bool { return n < 10 })
	if err := written.rest(t.Context()); err != nil {
		t.Fatal(err)
	}
	written.check(t.Context(), t, s.node.store, s.URL)
	for _, path := range []string{doc, doc + "?purge=true", written.doc + "?purge=true"} {
		if r, m := s.call("DELETE", "/v1/docs/"+path, manager, ""); r.StatusCode != http.StatusNoContent {
			t.Errorf("DELETE %s: %d %v", path, r.StatusCode, m)
		}
	}
	ws.awaitClose("deleted", 4410)
	for i, p := range written.clients {
		var closed *client.Closed
		err := p.Wait(t.Context(), func(*client.Replica) bool { return false })
		if !errors.As(err, &closed) || closed.Close != 4410 || p.Content().Len() != 2*len(written.made) {
			t.Errorf("client %d is told %v, and keeps %d of %d units", i, err, p.Content().Len(), 2*len(written.made))
		}
	}
	stop()
	work.Wait()
	if err := neighbour.rest(t.Context()); err != nil {
		t.Fatal(err)
	}
	neighbour.check(t.Context(), t, s.node.store, s.URL)
	neighbour.close()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		now := s.node.hub.Stats()
		if now.Sessions == 0 && now.Documents == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the node holds %+v", now)
		}
	}
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
