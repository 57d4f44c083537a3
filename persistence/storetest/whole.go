package storetest

import (
	"testing"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/ot"
)

// Whole holds a document to what must be true of it after whatever happened to its store:
// the versions from the fold to the head are there without a hole; each client's seqs are
// there once and in order, and its row names the last; and the log, replayed from where it
// begins, gives the content that the newest snapshot and its tail give.
func Whole(t testing.TB, store collab.Store, doc string) collab.Meta {
	t.Helper()
	ctx := t.Context()
	m, err := store.Meta(ctx, doc)
	if err != nil {
		t.Fatal(err)
	}
	base, err := collab.ReadAt(ctx, store, doc, m.Folded)
	if err != nil {
		t.Fatal(err)
	}
	delta, err := ot.DecodeCommitted(base.Content)
	if err != nil {
		t.Fatal(err)
	}
	content, err := ot.DocumentOf(m.Type, delta)
	if err != nil {
		t.Fatal(err)
	}
	last := map[string]collab.ClientRow{}
	for v := m.Folded; v < m.Version; {
		ops, err := store.Log(ctx, doc, v, 1000, 0) // without a hole, or an error
		if err != nil || len(ops) == 0 {
			t.Fatalf("the log of %s ends at version %d of %d: %v", doc, v, m.Version, err)
		}
		for _, op := range ops {
			v++
			before, known := last[op.Client]
			if known && op.Seq != before.Seq+1 || m.Folded == 0 && !known && op.Seq != 1 {
				t.Errorf("version %d is seq %d of its client, after %d", v, op.Seq, before.Seq)
			}
			last[op.Client] = collab.ClientRow{User: op.User, Seq: op.Seq, Version: v}
			d, err := ot.DecodeCommitted(op.Delta)
			if err == nil {
				err = content.Apply(d)
			}
			if err != nil {
				t.Fatalf("version %d does not apply: %v", v, err)
			}
		}
	}
	for client, want := range last {
		if row, err := store.Client(ctx, doc, client); err != nil || row != want {
			t.Errorf("the row of a client is %+v (%v), not %+v", row, err, want)
		}
	}
	head, err := collab.ReadAt(ctx, store, doc, -1)
	if err != nil || string(head.Content) != string(content.AppendJSON(nil)) {
		t.Errorf("snapshot and tail of %s give another content than its log (%v)", doc, err)
	}
	return m
}
