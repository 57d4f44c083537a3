package main

import (
	"context"
	"fmt"
	"slices"
	"testing"

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

// falsified is a store that tells another log, or another snapshot, than it has.
type falsified struct {
	collab.Store
	log      func([]collab.Operation) []collab.Operation
	snapshot bool
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

// The check of the invariants finds nothing in a true history, and finds each kind of lie.
func TestTheInvariantsAreReallyChecked(t *testing.T) {
	another := func(ops []collab.Operation) []collab.Operation { ops[1].Delta = ops[0].Delta; return ops }
	for name, lie := range map[string]func(h *history, f *falsified){
		"": func(*history, *falsified) {},
		"the log has a hole": func(_ *history, f *falsified) {
			f.log = func(ops []collab.Operation) []collab.Operation { return ops[1:] }
		},
		"two operations are swapped": func(_ *history, f *falsified) {
			f.log = func(ops []collab.Operation) []collab.Operation { ops[0], ops[1] = ops[1], ops[0]; return ops }
		},
		"an operation is there twice": func(_ *history, f *falsified) {
			f.log = func(ops []collab.Operation) []collab.Operation { ops[1] = ops[0]; return ops }
		},
		"an operation is another":     func(_ *history, f *falsified) { f.log = another },
		"a snapshot is another":       func(_ *history, f *falsified) { f.snapshot = true },
		"an acknowledged one is lost": func(h *history, _ *falsified) { h.acks["somebody/1"] = "[]" },
		"one was never acknowledged":  func(h *history, _ *falsified) { delete(h.acks, h.clients[0].id+"/1") },
		"a client saw another":        func(h *history, _ *falsified) { h.seen[2] = "somebody/1 []" },
		"a client saw what is not there": func(h *history, _ *falsified) {
			h.seen[99] = "somebody/1 []"
		},
		"two clients saw two things": func(h *history, _ *falsified) {
			h.operation(h.clients[0], 1, protocol.Committed{Client: "somebody", Seq: 1, Delta: []byte("[]")}, false)
		},
		"an edit is lost":         func(h *history, _ *falsified) { h.made = append(h.made, h.made[0]) },
		"nobody made an edit":     func(h *history, _ *falsified) { h.made = h.made[1:] },
		"one was never sent":      func(h *history, _ *falsified) { delete(h.sent, h.clients[1].id+"/2") },
		"its author held another": func(h *history, _ *falsified) { h.sent[h.clients[1].id+"/2"][0].Delta = ot.New().Insert("x") },
		"a client started over":   func(h *history, _ *falsified) { h.clients[0].id = "another" },
		"a client holds other text": func(h *history, _ *falsified) {
			_ = h.clients[0].Edit(func(*ot.Document) ot.Delta { return ot.New().Insert("x") })
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, nil)
			h := newHistory(newDoc())
			for range 2 {
				h.open(t.Context(), t, "ada", []string{s.URL})
			}
			defer h.close()
			for n := range 4 {
				p := h.clients[n%2]
				if err := p.Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := h.edit(p, n*7); err != nil {
					t.Fatal(err)
				}
				if err := h.rest(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			f := falsified{Store: s.node.store}
			lie(h, &f)
			v := &verdict{TB: t}
			h.check(t.Context(), v, f, s.URL)
			if name == "" && len(v.found) > 0 || name != "" && len(v.found) == 0 {
				t.Errorf("found %q", v.found)
			}
		})
	}
}
