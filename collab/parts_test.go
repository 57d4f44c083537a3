package collab

import (
	"context"
	"testing"

	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

// A client's operation has a bound of components; what transforming makes of it, and the
// content, have none. Both are read back on every node.
func TestAContentOfMorePartsThanAnOperationMayHaveIsServed(t *testing.T) {
	c := newCluster(t, 2, nil)
	ctx, ada := context.Background(), user("ada", Manage)
	const parts = ot.MaxComponents / 2
	text := ot.New()
	for i := range ot.MaxComponents {
		text = text.Insert("xy", ot.Attributes{"n": float64(i % 2)})
	}
	if _, err := c.hubs[0].Create(ctx, ada, "doc", ot.Rich, nil); err != nil {
		t.Fatal(err)
	}
	inserts, bold := ot.New(), ot.New()
	for i := range parts - 1 {
		inserts = inserts.Retain(3).Insert("-")
		bold = bold.Retain(1).Retain(1+i%2, ot.Attributes{"bold": true})
	}
	for i, op := range []protocol.Op{{V: 0, Delta: text}, {V: 1, Delta: inserts}, {V: 1, Delta: bold}} {
		op.Seq = 1
		if v, err := c.hubs[0].Submit(ctx, ada, "doc", hello(string(rune('a'+i))).Client, op, false); err != nil || v != int64(i+1) {
			t.Fatalf("operation %d: version %d, %v", i, v, err)
		}
	}
	ops, err := c.store.Log(ctx, "doc", 2, 1, 0)
	if err != nil || len(ops) != 1 {
		t.Fatal(ops, err)
	}
	if stored, err := ot.DecodeCommitted(ops[0].Delta); err != nil || len(stored) <= ot.MaxComponents {
		t.Fatalf("the rebased operation has %d components, %v: this shows nothing", len(stored), err)
	}
	here, err := c.hubs[0].Read(ctx, ada, "doc", -1)
	if err != nil {
		t.Fatal(err)
	}
	there, err := c.hubs[1].Read(ctx, ada, "doc", -1) // it loads the document
	if err != nil || string(there.Content) != string(here.Content) {
		t.Fatalf("the other node has %d bytes of %d, %v", len(there.Content), len(here.Content), err)
	}
	if err := c.store.PutSnapshot(ctx, "doc", Snapshot{Version: 3, Content: here.Content}); err != nil {
		t.Fatal(err)
	}
	if again, err := c.hubs[1].Read(ctx, ada, "doc", 3); err != nil || string(again.Content) != string(here.Content) {
		t.Errorf("from its snapshot: %v", err)
	}
}
