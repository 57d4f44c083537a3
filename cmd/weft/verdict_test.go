package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

// verdict notes what a check finds, where the test is that it finds it.
type verdict struct {
	testing.TB
	found []string
}

func (v *verdict) Helper()                   {}
func (v *verdict) Error(args ...any)         { v.found = append(v.found, fmt.Sprint(args...)) }
func (v *verdict) Errorf(f string, a ...any) { v.found = append(v.found, fmt.Sprintf(f, a...)) }

// falsified is a store that tells another log, snapshot or client's row than it has, and a node that may tell another text.
type falsified struct {
	collab.Store
	log      func([]collab.Operation) []collab.Operation
	snapshot bool
	row      bool
	node     string // that is asked
}

func (f falsified) Log(ctx context.Context, doc string, from int64, limit, most int) ([]collab.Operation, error) {
	ops, err := f.Store.Log(ctx, doc, from, limit, most)
	if f.log != nil && len(ops) > 0 {
		ops = f.log(slices.Clone(ops))
	}
	return ops, err
}

func (f falsified) Snapshot(ctx context.Context, doc string, at int64) (collab.Snapshot, error) {
	if f.snapshot {
		return collab.Snapshot{Version: at, Content: []byte(`[{"insert":"another"}]`)}, nil
	}
	return f.Store.Snapshot(ctx, doc, at)
}

func (f falsified) Client(ctx context.Context, doc, client string) (collab.ClientRow, error) {
	row, err := f.Store.Client(ctx, doc, client)
	if f.row {
		row.Seq--
	}
	return row, err
}

// lie makes a history, or what a store tells, untrue.
type lie func(h *history, f *falsified)

func lieOfLog(change func([]collab.Operation) []collab.Operation) lie {
	return func(_ *history, f *falsified) { f.log = change }
}

// The check finds nothing in a true history, and finds each kind of lie: here of four
// versions, by two clients in turn. The numbers are those of the invariants.
func TestTheInvariantsAreReallyChecked(t *testing.T) {
	s := startServer(t, nil)
	liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "another") }))
	defer liar.Close()
	for _, c := range []struct {
		name, says string
		lie        lie
	}{
		{"it is true", "", func(*history, *falsified) {}},
		{"1: the log has a hole", "the log after version 3 of 4", lieOfLog(func(ops []collab.Operation) []collab.Operation { return ops[1:] })},
		{"1: it begins with a fold that nobody made", "nobody folded it", func(h *history, f *falsified) { fold(h, f, 2) }},
		{"2: two operations are swapped", "after seq", lieOfLog(func(ops []collab.Operation) []collab.Operation { ops[1], ops[3] = ops[3], ops[1]; return ops })},
		{"2: an operation is there twice", "after seq 1", lieOfLog(func(ops []collab.Operation) []collab.Operation { ops[2] = ops[0]; return ops })},
		{"2: a client's row is another", "the row of client", func(_ *history, f *falsified) { f.row = true }},
		{"3: an acknowledged one is lost", "came back as [] and is stored as \"\"", func(h *history, _ *falsified) { h.acks["somebody/1"] = "[]" }},
		{"3: one is stored as another", "came back as", func(h *history, _ *falsified) { h.acks[h.clients[0].id+"/1"] = "[]" }},
		{"3: one never came back", "never came back to its author", func(h *history, _ *falsified) { delete(h.acks, h.clients[0].id+"/1") }},
		{"3: one came back twice", "came back to its author twice", func(h *history, _ *falsified) {
			s := h.seen[4]
			h.operation(h.clients[1], 4, protocol.Committed{Client: s.client, Seq: s.seq, User: s.user, Delta: []byte(s.delta)}, true)
		}},
		{"4: an operation is another", "holds another content", lieOfLog(func(ops []collab.Operation) []collab.Operation { ops[1].Delta = ops[0].Delta; return ops })},
		{"4: a snapshot is another", "give another content", func(_ *history, f *falsified) { f.snapshot = true }},
		{"4: a node tells another text", "another content than the store's", func(_ *history, f *falsified) { f.node = liar.URL }},
		{"5: a client saw another", "version 2 was shown as", func(h *history, _ *falsified) { h.seen[2] = shown{} }},
		{"5: a client saw what is not there", "version 99 was shown", func(h *history, _ *falsified) { h.seen[99] = shown{} }},
		{"5: two clients saw two things", "and as", func(h *history, _ *falsified) {
			h.operation(h.clients[0], 4, protocol.Committed{Client: "somebody", Seq: 1, Delta: []byte("[]")}, false)
		}},
		{"7: an edit is lost", "stands in the content 0 times, and not 1", func(h *history, _ *falsified) { h.made = append(h.made, h.made[0]) }},
		{"7: nobody made an edit", "4 different ones stand in the content", func(h *history, _ *falsified) { h.made = h.made[1:] }},
		{"7: one that was lost with the store is there", "stands in the content 1 times, and not 0", func(h *history, _ *falsified) { h.lost[firstMark] = true }},
		{"8: a client holds other text", "holds another content", func(h *history, _ *falsified) {
			_ = h.clients[0].Edit(func(*ot.Document) ot.Delta { return ot.New().Insert("x") })
		}},
		{"8: a client started over", "had to start over: true", func(h *history, _ *falsified) { h.clients[0].id = "another" }},
		{"8: one that was ahead did not", "had to start over: false", func(h *history, _ *falsified) { h.clients[0].ahead = true }},
		{"8: a client got content in place of operations", "got the content of version 9", func(h *history, _ *falsified) { h.follow(h.clients[0], h.clients[0].id, 9) }},
		{"9: one was never sent", "version 4 was never sent", func(h *history, _ *falsified) { delete(h.sent, h.clients[1].id+"/2") }},
		{"9: its author held another", "its author held another", func(h *history, _ *falsified) { h.sent[h.clients[1].id+"/2"][0].Delta = ot.New().Insert("x") }},
		{"9: one of two copies was another", "its author held another", func(h *history, _ *falsified) {
			key := h.clients[1].id + "/2"
			h.sent[key] = append(h.sent[key], sending{Op: protocol.Op{V: 0, Seq: 2, Delta: ot.New().Insert("x")}})
		}},
	} {
		t.Run(c.name, func(t *testing.T) { judge(t, s, c.lie, c.says) })
	}
}

// What is known of a folded log, and of who was away, is checked as well.
func TestTheInvariantsOfAFoldedLogAreReallyChecked(t *testing.T) {
	s := startServer(t, nil)
	away := func(h *history, sent ...ot.Delta) { // the author of version 2 jumped over it
		p := h.clients[1]
		delete(h.acks, p.id+"/1")
		h.jumps = append(h.jumps, jump{p.id, 1, 2})
		for i, d := range sent {
			h.sent[p.id+"/1"] = append(h.sent[p.id+"/1"], sending{protocol.Op{V: 1, Seq: 1, Delta: d}, i + 1})
		}
	}
	for _, c := range []struct {
		name, says string
		lie        lie
	}{
		{"it is true", "", func(*history, *falsified) {}},
		{"its author was away", "", func(h *history, _ *falsified) { away(h, ot.New().Insert("x")) }},
		{"2: a client's row is another", "the row of client", func(_ *history, f *falsified) { f.row = true }},
		{"3: one never came back, and its author was there", "version 1 is", func(h *history, _ *falsified) { away(h); delete(h.acks, h.clients[0].id+"/1") }},
		{"4: the content at the fold is another", "the snapshot of version 2", func(h *history, _ *falsified) { s := h.seen[1]; s.delta = h.seen[2].delta; h.seen[1] = s }},
		{"4: there is no content at the fold", "and the snapshot there is one of version 1", func(_ *history, f *falsified) { f.Store = early{f.Store} }},
		{"5: nobody saw what was folded", "version 1 is folded away, and nobody was shown it", func(h *history, _ *falsified) { delete(h.seen, 1) }},
		{"5: another was folded than was shown", "and as", func(h *history, f *falsified) {
			h.shown(1, protocol.Committed{Client: "somebody", Seq: 1, Delta: []byte("[]")})
		}},
		{"9: its author held another, before it was away and after", "its author held another", func(h *history, _ *falsified) {
			away(h, ot.New().Insert("x"))
			h.sent[h.clients[1].id+"/1"][0].Delta = ot.New().Insert("y")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			judge(t, s, func(h *history, f *falsified) {
				h.folds = true
				fold(h, f, 2)
				c.lie(h, f)
			}, c.says)
		})
	}
}

// judge makes a history of four versions by two clients, lies of it, and expects the check to say so.
func judge(t *testing.T, s *server, lie lie, says string) {
	h := newHistory(newDoc())
	for range 2 {
		h.open(t.Context(), t, "ada", s.URL)
	}
	defer h.close()
	for n := range 4 {
		p := h.clients[n%2]
		h.writeInTurn(t.Context(), t, p, func(n int) bool { return n < 1 })
		if err := h.rest(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	f := falsified{Store: s.node.store, node: s.URL}
	lie(h, &f)
	v := &verdict{TB: t}
	h.check(t.Context(), v, f, f.node)
	if found := strings.Join(v.found, "\n"); says == "" && found != "" || !strings.Contains(found, says) {
		t.Errorf("found %q, and not %q", found, says)
	}
}

// fold folds the log up to a version.
func fold(h *history, f *falsified, to int64) {
	ctx := context.Background()
	at, err := collab.ReadAt(ctx, f.Store, h.doc, to)
	if err == nil {
		err = f.PutSnapshot(ctx, h.doc, collab.Snapshot{Version: to, Content: at.Content})
	}
	if err == nil {
		_, err = f.Fold(ctx, h.doc, to)
	}
	if err != nil {
		panic(err)
	}
}

// early has no snapshot but one of version 1.
type early struct{ collab.Store }

func (e early) Snapshot(context.Context, string, int64) (collab.Snapshot, error) {
	return collab.Snapshot{Version: 1}, nil
}

// A node that holds sessions, and their document, does not count as one that is at rest.
func TestANodeThatHoldsSomethingIsNotAtRest(t *testing.T) {
	env := []string{"WEFT_DATA_DIR=" + t.TempDir(), "WEFT_JWT_SECRET=" + testSecret, "WEFT_IDLE_AFTER=100ms"}
	node := startProcess(t, freeAddr(t), env...)
	dir := strings.TrimPrefix(env[0], "WEFT_DATA_DIR=")
	before, err := measure(node, dir)
	if err != nil {
		t.Fatal(err)
	}
	h := newHistory("doc")
	for range 5 {
		h.writeInTurn(t.Context(), t, h.open(t.Context(), t, "ada", node.url), func(n int) bool { return n < 1 })
	}
	defer h.close()
	now, err := measure(node, dir)
	if err != nil || !slices.Equal(now.above(before), held) {
		t.Errorf("with five sessions it holds %v, and before it was %v (%v)", now, before, err)
	}
	h.close()
	comesToRest(t.Context(), t, node, before, dir)
}

// A fault of a link that carries nothing meanwhile shows nothing, and is an error.
func TestAFaultThatNobodyMeetsIsAnError(t *testing.T) {
	before := patience
	defer func() { patience = before }()
	patience = 50 * time.Millisecond
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for mode := range counts {
		v := &verdict{TB: t}
		fail(v, mode, 0, proxy(t, silent.Addr().String()))
		if found := strings.Join(v.found, "\n"); !strings.Contains(found, "nobody met the fault") {
			t.Errorf("mode %d: found %q", mode, found)
		}
	}
}
