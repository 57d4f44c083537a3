package collab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

// days fills a document that was born 20 days ago: operation i inserts its number i days after that.
func days(t *testing.T, store Store, doc string, n int) (birth time.Time) {
	t.Helper()
	birth = time.Now().UTC().AddDate(0, 0, -20)
	if _, err := store.Create(context.Background(), doc, ot.Text, nil); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		op := Operation{Client: "c", Seq: int64(i + 1), User: "ada", At: birth.AddDate(0, 0, i), Delta: fmt.Appendf(nil, `[{"insert":"%d,"}]`, i)}
		if err := store.Append(context.Background(), doc, int64(i), []Operation{op}); err != nil {
			t.Fatal(err)
		}
	}
	return birth
}

func contentIs(t *testing.T, store Store, v int64, want string) {
	t.Helper()
	got, err := ReadAt(context.Background(), store, "doc", v)
	if err != nil || string(got.Content) != want {
		t.Errorf("version %d is %s (%v), not %s", v, got.Content, err, want)
	}
}

func TestAFoldKeepsWhatIsYoungAndWhatIsNamed(t *testing.T) {
	store, ctx := newMemStore(), context.Background()
	birth := days(t, store, "doc", 10)
	if err := store.NameVersion(ctx, "doc", NamedVersion{Version: 2, Name: "draft"}); err != nil {
		t.Fatal(err)
	}
	// A snapshot that is wrong does not get into the one that stands for the operations.
	if err := store.PutSnapshot(ctx, "doc", Snapshot{Version: 3, Content: []byte(`[{"insert":"wrong"}]`)}); err != nil {
		t.Fatal(err)
	}
	before := birth.AddDate(0, 0, 5)
	if n, err := Old(ctx, store, "doc", before); n != 5 || err != nil {
		t.Errorf("%d operations are old (%v)", n, err)
	}
	var seen []int64
	if n, err := Fold(ctx, store, "doc", before, func(n int64) { seen = append(seen, n) }); n != 5 || err != nil || fmt.Sprint(seen) != "[5]" {
		t.Errorf("%d operations are gone, %v was seen (%v)", n, seen, err)
	}
	if n, err := Fold(ctx, store, "doc", before, nil); n != 0 || err != nil {
		t.Errorf("again: %d operations are gone (%v)", n, err)
	}
	contentIs(t, store, 2, `[{"insert":"1,0,"}]`)
	contentIs(t, store, 5, `[{"insert":"4,3,2,1,0,"}]`)
	contentIs(t, store, 6, `[{"insert":"5,4,3,2,1,0,"}]`)
	contentIs(t, store, -1, `[{"insert":"9,8,7,6,5,4,3,2,1,0,"}]`)
	for _, v := range []int64{1, 3, 4} {
		if _, err := ReadAt(ctx, store, "doc", v); !errors.Is(err, ErrGone) {
			t.Errorf("version %d: %v", v, err)
		}
	}
	// All that is old: the newest operation stays, and says who made the head.
	if n, err := Fold(ctx, store, "doc", birth.AddDate(1, 0, 0), nil); n != 4 || err != nil {
		t.Errorf("%d operations are gone (%v)", n, err)
	}
	at, err := load(ctx, store, "doc", loadedOps)
	if made, ok := at.tail, len(at.tail) == 1; err != nil || !ok || made[0].seq != 10 {
		t.Errorf("loaded with the tail %v (%v)", at.tail, err)
	}
	contentIs(t, store, -1, `[{"insert":"9,8,7,6,5,4,3,2,1,0,"}]`)
}

func TestALongLogIsFoldedInParts(t *testing.T) {
	store, ctx := newMemStore(), context.Background()
	if _, err := store.Create(ctx, "doc", ot.Text, nil); err != nil {
		t.Fatal(err)
	}
	ops := make([]Operation, foldStep*2+10)
	for i := range ops {
		ops[i] = Operation{Client: "c", Seq: int64(i + 1), User: "ada", Delta: []byte(`[{"insert":"x"}]`)}
	}
	if err := store.Append(ctx, "doc", 0, ops); err != nil {
		t.Fatal(err)
	}
	var parts []int64
	n, err := Fold(ctx, store, "doc", time.Now(), func(n int64) { parts = append(parts, n) })
	if want := fmt.Sprint([]int{foldStep, 2 * foldStep, 2*foldStep + 9}); n != int64(len(ops)-1) || err != nil || fmt.Sprint(parts) != want {
		t.Errorf("%d operations are gone in parts %v (%v)", n, parts, err)
	}
}

// meanwhile is a store in which something happens after each snapshot that is read, once.
type meanwhile struct {
	*memStore
	then func()
}

func (m *meanwhile) Snapshot(ctx context.Context, doc string, at int64) (Snapshot, error) {
	s, err := m.memStore.Snapshot(ctx, doc, at)
	if then := m.then; then != nil {
		m.then = nil
		then()
	}
	return s, err
}

func TestADocumentIsReadWhileItIsFolded(t *testing.T) {
	mem, ctx := newMemStore(), context.Background()
	birth := days(t, mem, "doc", 10)
	store := &meanwhile{memStore: mem}
	fold := func(n int) func() {
		return func() {
			if _, err := Fold(ctx, mem, "doc", birth.AddDate(0, 0, n), nil); err != nil {
				t.Error(err)
			}
		}
	}
	store.then = fold(4)
	if _, err := load(ctx, store, "doc", loadedOps); err != nil {
		t.Errorf("loading: %v", err)
	}
	store.then = fold(6)
	contentIs(t, store, 8, `[{"insert":"7,6,5,4,3,2,1,0,"}]`)
	store.then = fold(8) // beside another fold
	if _, err := Fold(ctx, store, "doc", birth.AddDate(0, 0, 9), nil); err != nil {
		t.Errorf("folding: %v", err)
	}
	if d := mem.docs["doc"]; d.folded != 9 {
		t.Errorf("the log begins after %d", d.folded)
	}
	contentIs(t, store, -1, `[{"insert":"9,8,7,6,5,4,3,2,1,0,"}]`)
}

func TestNodesFoldWhatIsOldInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemStore()
		for i := range 3 {
			days(t, store, fmt.Sprint("doc", i), 5+i)
		}
		ctx, end := context.WithCancel(context.Background())
		var hubs sync.WaitGroup
		for range 2 {
			h := NewHub(Config{Store: store, Verifier: tokens{}, Logger: slog.New(slog.DiscardHandler), Keep: 17 * 24 * time.Hour})
			hubs.Go(func() {
				if err := h.Run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		folded := func(want string) {
			t.Helper()
			var got []int64
			for i := range 3 {
				m, err := store.Meta(ctx, fmt.Sprint("doc", i))
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, m.Folded)
			}
			if fmt.Sprint(got) != want {
				t.Errorf("the logs begin after %v, not %s", got, want)
			}
		}
		folded("[0 0 0]")
		time.Sleep(90 * time.Minute)
		folded("[4 4 4]")
		time.Sleep(25 * time.Hour)
		folded("[4 5 5]") // the newest operation stays
		time.Sleep(30 * 24 * time.Hour)
		folded("[4 5 6]")
		end()
		hubs.Wait()
	})
}

// What a session has asked for may be folded away while it is there.
func TestSessionsOfFoldedDocumentsGetContent(t *testing.T) {
	c := newCluster(t, 1, nil)
	days(t, c.store, "doc", 100)
	if _, err := Fold(context.Background(), c.store, "doc", time.Now(), nil); err != nil {
		t.Fatal(err)
	}
	v := int64(3)
	_, a := c.join(0, user("ada", Write), protocol.Hello{Client: "c000000000000000", V: &v, Last: &protocol.Origin{Client: "c", Seq: 3}})
	a.await(t, `"doc":[{"insert":"99,98,`)
	v = 100
	_, b := c.join(0, user("ada", Write), protocol.Hello{Client: "d000000000000000", V: &v, Last: &protocol.Origin{Client: "c", Seq: 100}})
	b.await(t, `"ops":[]`)
	v = 100
	_, e := c.join(0, user("ada", Write), protocol.Hello{Client: "e000000000000000", V: &v, Last: &protocol.Origin{Client: "x", Seq: 1}})
	e.await(t, `"bad_version"`)
}

// A client comes back from so far behind that its welcome stops before its own last
// operation, which was stored while it was away: what it is told is its seq up to there.
func TestAWelcomeThatStopsEarlyTellsTheSeqUpToThere(t *testing.T) {
	c := newCluster(t, 1, nil)
	if _, err := c.store.Create(context.Background(), "doc", ot.Text, nil); err != nil {
		t.Fatal(err)
	}
	op := func(client string, seq int64) Operation {
		return Operation{Client: client, Seq: seq, User: "ada", At: time.Now(), Delta: []byte(`[]`)}
	}
	back := hello("back").Client
	ops := []Operation{op(back, 1), op(back, 2)}
	for i := range int64(3 * tailOps) {
		ops = append(ops, op("other", i+1))
	}
	ops = append(ops, op(back, 3))
	for i := range int64(3 * tailOps) {
		ops = append(ops, op("other", 3*tailOps+i+1))
	}
	if err := c.store.Append(context.Background(), "doc", 0, ops); err != nil {
		t.Fatal(err)
	}
	v := int64(2)
	_, a := c.join(0, user("ada", Write), protocol.Hello{Client: back, V: &v, Last: &protocol.Origin{Client: back, Seq: 2}})
	welcome := a.await(t, `"welcome"`)
	if !strings.Contains(welcome, `"seq":2,"last"`) {
		t.Errorf("the welcome ends in %s", welcome[max(0, len(welcome)-300):])
	}
}
