// Package storetest is the contract of collab.Store as a suite of tests that every
// store passes.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/ot"
)

// Backend is a store under test.
type Backend struct {
	Store collab.Store
	// Damage overwrites the content of a snapshot without its checksum.
	Damage func(t *testing.T, doc string, version int64)
}

// Run holds a store to its contract. open is called for each part, with an empty store or one that other parts have used.
func Run(t *testing.T, open func(t *testing.T) Backend) {
	for name, test := range map[string]func(*testing.T, *suite){
		"a document is born once":                   born,
		"what was appended is read back":            readBack,
		"the head is compared and swapped":          compareAndSwap,
		"one of two appenders wins":                 race,
		"a client's seqs are taken once, in order":  clientRows,
		"nothing of a refused batch stays":          wholeOrNot,
		"the log is read in parts":                  parts,
		"bytes stay as they are":                    rawBytes,
		"an operation is found by its client":       find,
		"snapshots":                                 snapshots,
		"a deleted id is not used again":            deletion,
		"documents are listed in the order of ids":  listing,
		"many heads are read at once":               heads,
		"a batch of a thousand":                     thousand,
		"a context that has ended ends the call":    cancelled,
		"what is not there is told apart":           missing,
		"it says whether it can be written":         ping,
		"clients of many documents stay apart":      apart,
		"several clients move in one batch":         several,
		"a document is born with its first content": bornWithContent,
		"folded operations are gone, nothing else":  folding,
		"a fold needs its snapshots":                foldRefused,
		"a fold races appends and snapshots":        foldRace,
		"a fold is whole or not at all":             foldCancelled,
		"old operations are found":                  foldable,
		"named versions outlive a fold":             naming,
		"deletions leave a line in the audit":       auditing,
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			test(t, &suite{Store: b.Store, damage: b.Damage, ctx: t.Context(), id: fmt.Sprintf("d%d", time.Now().UnixNano())})
		})
	}
}

type suite struct {
	collab.Store
	damage func(t *testing.T, doc string, version int64)
	ctx    context.Context
	id     string
}

var at = time.Date(2026, 3, 4, 5, 6, 7, 891011000, time.UTC)

func op(client string, seq int64, delta string) collab.Operation {
	return collab.Operation{Client: client, Seq: seq, User: "u-" + client, At: at, Delta: []byte(delta)}
}

func (s *suite) create(t *testing.T, doc string, ops ...collab.Operation) {
	t.Helper()
	if _, err := s.Create(s.ctx, doc, ot.Rich, ops); err != nil {
		t.Fatal(err)
	}
}

func (s *suite) append(t *testing.T, doc string, head int64, ops ...collab.Operation) {
	t.Helper()
	if err := s.Append(s.ctx, doc, head, ops); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, err, is error) {
	t.Helper()
	if !errors.Is(err, is) {
		t.Errorf("the error is %v, not %v", err, is)
	}
}

func (s *suite) holds(t *testing.T, doc string, ops ...collab.Operation) {
	t.Helper()
	got, err := s.Log(s.ctx, doc, 0, 10_000, 0)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(ops, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("the log is another (-want +got):\n%s", d)
	}
	m, err := s.Meta(s.ctx, doc)
	if err != nil || m.Version != int64(len(ops)) {
		t.Errorf("the head is %d (%v), of %d operations", m.Version, err, len(ops))
	}
}

func (s *suite) row(t *testing.T, doc, client string, row collab.ClientRow) {
	t.Helper()
	got, err := s.Client(s.ctx, doc, client)
	if err != nil || got != row {
		t.Errorf("the row of %s is %+v (%v), not %+v", client, got, err, row)
	}
}

func born(t *testing.T, s *suite) {
	before := time.Now().Add(-time.Minute)
	m, err := s.Create(s.ctx, s.id, ot.Text, nil)
	if err != nil || m.ID != s.id || m.Type != ot.Text || m.Version != 0 || m.Created.Before(before) || !m.Created.Equal(m.Updated) {
		t.Errorf("created %+v (%v)", m, err)
	}
	got, err := s.Meta(s.ctx, s.id)
	if d := cmp.Diff(m, got); err != nil || d != "" {
		t.Errorf("%v, read back (-want +got):\n%s", err, d)
	}
	_, err = s.Create(s.ctx, s.id, ot.Rich, nil)
	want(t, err, collab.ErrExists)

	var wg sync.WaitGroup
	won := make([]bool, 8)
	for i := range won {
		wg.Go(func() {
			_, err := s.Create(s.ctx, s.id+"-race", ot.Rich, nil)
			if won[i] = err == nil; err != nil && !errors.Is(err, collab.ErrExists) {
				t.Errorf("the loser is told %v", err)
			}
		})
	}
	wg.Wait()
	n := 0
	for _, w := range won {
		if w {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d of %d created the same document", n, len(won))
	}
}

func bornWithContent(t *testing.T, s *suite) {
	s.create(t, s.id, op("a", 1, `[{"insert":"x"}]`))
	s.holds(t, s.id, op("a", 1, `[{"insert":"x"}]`))
	s.row(t, s.id, "a", collab.ClientRow{User: "u-a", Seq: 1, Version: 1})
	_, err := s.Create(s.ctx, s.id, ot.Rich, []collab.Operation{op("b", 1, `[]`)})
	want(t, err, collab.ErrExists)
	s.holds(t, s.id, op("a", 1, `[{"insert":"x"}]`))
}

func readBack(t *testing.T, s *suite) {
	s.create(t, s.id)
	born, _ := s.Meta(s.ctx, s.id)
	s.append(t, s.id, 0, op("a", 1, `[{"insert":"x"}]`), op("b", 1, `[]`))
	s.append(t, s.id, 2, op("a", 2, `[{"delete":1}]`))
	s.holds(t, s.id, op("a", 1, `[{"insert":"x"}]`), op("b", 1, `[]`), op("a", 2, `[{"delete":1}]`))
	s.row(t, s.id, "a", collab.ClientRow{User: "u-a", Seq: 2, Version: 3})
	s.row(t, s.id, "b", collab.ClientRow{User: "u-b", Seq: 1, Version: 2})
	s.row(t, s.id, "c", collab.ClientRow{})
	if m, err := s.Meta(s.ctx, s.id); err != nil || !m.Updated.Equal(at) || !m.Created.Equal(born.Created) {
		t.Errorf("the dates are %v and %v (%v)", m.Created, m.Updated, err)
	}
}

func compareAndSwap(t *testing.T, s *suite) {
	s.create(t, s.id)
	s.append(t, s.id, 0, op("a", 1, `[]`))
	for _, head := range []int64{0, 2, -1} {
		want(t, s.Append(s.ctx, s.id, head, []collab.Operation{op("b", 1, `[]`)}), collab.ErrConflict)
	}
	s.holds(t, s.id, op("a", 1, `[]`))
	s.row(t, s.id, "b", collab.ClientRow{})
}

func race(t *testing.T, s *suite) {
	s.create(t, s.id)
	const appenders, rounds = 4, 20
	var wg sync.WaitGroup
	for a := range appenders {
		wg.Go(func() {
			client := fmt.Sprint("c", a)
			for seq := int64(1); seq <= rounds; {
				m, err := s.Meta(s.ctx, s.id)
				if err != nil {
					t.Error(err)
					return
				}
				switch err := s.Append(s.ctx, s.id, m.Version, []collab.Operation{op(client, seq, `[]`)}); {
				case err == nil:
					seq++
				case !errors.Is(err, collab.ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	ops, err := s.Log(s.ctx, s.id, 0, 1000, 0)
	if err != nil || len(ops) != appenders*rounds {
		t.Fatalf("the log has %d operations (%v), not %d", len(ops), err, appenders*rounds)
	}
	last := map[string]int64{}
	for i, o := range ops {
		if o.Seq != last[o.Client]+1 {
			t.Errorf("version %d is seq %d of %s, after %d", i+1, o.Seq, o.Client, last[o.Client])
		}
		last[o.Client] = o.Seq
	}
}

func clientRows(t *testing.T, s *suite) {
	s.create(t, s.id)
	s.append(t, s.id, 0, op("a", 1, `[]`), op("a", 2, `[]`))
	foreign := op("a", 3, `[]`)
	foreign.User = "somebody else"
	for name, bad := range map[string][]collab.Operation{
		"a seq that is committed":      {op("a", 2, `[]`)},
		"the first seq again":          {op("a", 1, `[]`)},
		"a seq that skips ahead":       {op("a", 4, `[]`)},
		"a new client not from 1 on":   {op("b", 2, `[]`)},
		"another user's client":        {foreign},
		"a good one and one too many":  {op("a", 3, `[]`), op("c", 5, `[]`)},
		"a good one and an older copy": {op("c", 1, `[]`), op("a", 1, `[]`)},
	} {
		if err := s.Append(s.ctx, s.id, 2, bad); !errors.Is(err, collab.ErrConflict) {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
	s.holds(t, s.id, op("a", 1, `[]`), op("a", 2, `[]`))
	s.row(t, s.id, "a", collab.ClientRow{User: "u-a", Seq: 2, Version: 2})
	s.row(t, s.id, "c", collab.ClientRow{})
	s.append(t, s.id, 2, op("a", 3, `[]`))
}

func wholeOrNot(t *testing.T, s *suite) {
	s.create(t, s.id)
	bad := []collab.Operation{op("a", 1, `[1]`), op("a", 2, `[2]`), op("b", 9, `[3]`)}
	want(t, s.Append(s.ctx, s.id, 0, bad), collab.ErrConflict)
	s.holds(t, s.id)
	s.row(t, s.id, "a", collab.ClientRow{})
}

func several(t *testing.T, s *suite) {
	s.create(t, s.id)
	s.append(t, s.id, 0, op("a", 1, `[]`), op("b", 1, `[]`), op("a", 2, `[]`), op("c", 1, `[]`), op("b", 2, `[]`))
	s.append(t, s.id, 5, op("c", 2, `[]`), op("b", 3, `[]`), op("d", 1, `[]`), op("b", 4, `[]`))
	s.row(t, s.id, "a", collab.ClientRow{User: "u-a", Seq: 2, Version: 3})
	s.row(t, s.id, "b", collab.ClientRow{User: "u-b", Seq: 4, Version: 9})
	s.row(t, s.id, "c", collab.ClientRow{User: "u-c", Seq: 2, Version: 6})
	s.row(t, s.id, "d", collab.ClientRow{User: "u-d", Seq: 1, Version: 8})
}

func apart(t *testing.T, s *suite) {
	other := s.id + "-other"
	s.create(t, s.id)
	s.create(t, other)
	s.append(t, s.id, 0, op("a", 1, `[1]`))
	s.append(t, other, 0, op("a", 1, `[2]`), op("a", 2, `[3]`))
	s.holds(t, s.id, op("a", 1, `[1]`))
	s.holds(t, other, op("a", 1, `[2]`), op("a", 2, `[3]`))
}

func parts(t *testing.T, s *suite) {
	s.create(t, s.id)
	var ops []collab.Operation
	for i := range int64(10) {
		ops = append(ops, op("a", i+1, `["ten bytes"]`[:12]))
	}
	s.append(t, s.id, 0, ops...)
	for _, c := range []struct {
		from            int64
		limit, maxBytes int
		want            []collab.Operation
	}{
		{0, 100, 0, ops}, {0, 3, 0, ops[:3]}, {4, 3, 0, ops[4:7]}, {8, 100, 0, ops[8:]}, {10, 100, 0, nil}, {99, 100, 0, nil},
		{0, 100, 36, ops[:3]}, {0, 100, 37, ops[:4]}, {0, 100, 35, ops[:3]}, {5, 100, 1, ops[5:6]}, {5, 2, 1000, ops[5:7]},
	} {
		got, err := s.Log(s.ctx, s.id, c.from, c.limit, c.maxBytes)
		if err != nil || len(got) != len(c.want) || len(got) > 0 && cmp.Diff(c.want, got) != "" {
			t.Errorf("from %d, at most %d and %d bytes: %d operations (%v), not %d", c.from, c.limit, c.maxBytes, len(got), err, len(c.want))
		}
	}
}

func rawBytes(t *testing.T, s *suite) {
	s.create(t, s.id)
	o := op("a", 1, "[{\"insert\":\"\x00 \\u0000 é 😀\", \"b\" : 1,\"a\":2}]\xff")
	o.User = "Ünïcode ' \" ; -- user"
	s.append(t, s.id, 0, o)
	s.holds(t, s.id, o)
	s.row(t, s.id, "a", collab.ClientRow{User: o.User, Seq: 1, Version: 1})
}

func find(t *testing.T, s *suite) {
	s.create(t, s.id)
	s.append(t, s.id, 0, op("a", 1, `[]`), op("b", 1, `[]`), op("a", 2, `[]`))
	if v, err := s.Operation(s.ctx, s.id, "a", 2); err != nil || v != 3 {
		t.Errorf("found at %d (%v)", v, err)
	}
	for _, seq := range []int64{0, 3} {
		_, err := s.Operation(s.ctx, s.id, "a", seq)
		want(t, err, collab.ErrNotFound)
	}
}

func snapshots(t *testing.T, s *suite) {
	s.create(t, s.id)
	s.append(t, s.id, 0, op("a", 1, `[]`), op("a", 2, `[]`), op("a", 3, `[]`), op("a", 4, `[]`))
	none, err := s.Snapshot(s.ctx, s.id, 4)
	if err != nil || none.Content != nil || none.Version != 0 {
		t.Errorf("without any: %+v, %v", none, err)
	}
	for _, v := range []int64{1, 3, 3} {
		if err := s.PutSnapshot(s.ctx, s.id, collab.Snapshot{Version: v, Content: fmt.Appendf(nil, "content %d \x00", v)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutSnapshot(s.ctx, s.id, collab.Snapshot{Version: 5, Content: []byte("x")}); err == nil {
		t.Error("a snapshot of a version that is not committed was kept")
	}
	expect := func(at, version int64) {
		t.Helper()
		got, err := s.Snapshot(s.ctx, s.id, at)
		content := fmt.Sprintf("content %d \x00", version)
		if version == 0 {
			content = ""
		}
		if err != nil || got.Version != version || string(got.Content) != content {
			t.Errorf("at %d: %d %q (%v), not %d", at, got.Version, got.Content, err, version)
		}
	}
	expect(0, 0)
	expect(1, 1)
	expect(2, 1)
	expect(3, 3)
	expect(100, 3)
	s.damage(t, s.id, 3)
	expect(100, 1)
	s.damage(t, s.id, 1)
	expect(100, 0)
}

func missing(t *testing.T, s *suite) {
	_, err := s.Meta(s.ctx, s.id)
	want(t, err, collab.ErrNotFound)
	want(t, s.Append(s.ctx, s.id, 0, []collab.Operation{op("a", 1, `[]`)}), collab.ErrNotFound)
	_, err = s.Log(s.ctx, s.id, 0, 10, 0)
	want(t, err, collab.ErrNotFound)
	_, err = s.Client(s.ctx, s.id, "a")
	want(t, err, collab.ErrNotFound)
	_, err = s.Operation(s.ctx, s.id, "a", 1)
	want(t, err, collab.ErrNotFound)
	_, err = s.Snapshot(s.ctx, s.id, 1)
	want(t, err, collab.ErrNotFound)
	_, err = s.Fold(s.ctx, s.id, 1)
	want(t, err, collab.ErrNotFound)
	_, err = s.Versions(s.ctx, s.id)
	want(t, err, collab.ErrNotFound)
	want(t, s.NameVersion(s.ctx, s.id, collab.NamedVersion{Name: "x"}), collab.ErrNotFound)
	want(t, s.PutSnapshot(s.ctx, s.id, collab.Snapshot{Content: []byte("x")}), collab.ErrNotFound)
}

func listing(t *testing.T, s *suite) {
	p := s.id
	ids := []string{p + "-a", p + ".a", p + "0", p + ":", p + "A", p + "_", p + "a", p + "a0", p + "~"} // byte order
	for i := range ids {
		s.create(t, ids[len(ids)-1-i])
	}
	names := func(prefix, after string, limit int) (out []string) {
		list, err := s.List(s.ctx, prefix, after, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range list {
			out = append(out, m.ID)
		}
		return out
	}
	if d := cmp.Diff(ids, names(p, "", 100)); d != "" {
		t.Errorf("all (-want +got):\n%s", d)
	}
	if d := cmp.Diff(ids[3:5], names(p, ids[2], 2)); d != "" {
		t.Errorf("a page (-want +got):\n%s", d)
	}
	if d := cmp.Diff(ids[6:8], names(p+"a", "", 100)); d != "" {
		t.Errorf("a prefix (-want +got):\n%s", d)
	}
	if got := names(p+"%", "", 100); len(got) != 0 {
		t.Errorf("a percent sign matches %v", got)
	}
}

func heads(t *testing.T, s *suite) {
	var ids []string
	for i := range 50 {
		id := fmt.Sprint(s.id, "-", i)
		s.create(t, id)
		ids = append(ids, id)
	}
	s.append(t, ids[7], 0, op("a", 1, `[]`), op("a", 2, `[]`))
	for i := range 950 {
		ids = append(ids, fmt.Sprint(s.id, "-none-", i))
	}
	got, err := s.Heads(s.ctx, ids)
	if err != nil || len(got) != 50 || got[ids[7]] != (collab.Head{Version: 2}) || got[ids[8]] != (collab.Head{}) {
		t.Errorf("%d heads (%v), the eighth %+v", len(got), err, got[ids[7]])
	}
	if got, err := s.Heads(s.ctx, nil); err != nil || len(got) != 0 {
		t.Errorf("of none: %v (%v)", got, err)
	}
}

func thousand(t *testing.T, s *suite) {
	s.create(t, s.id)
	var ops []collab.Operation
	for i := range int64(1000) {
		ops = append(ops, op(fmt.Sprint("c", i%7), i/7+1, `[{"retain":1},{"insert":"x"}]`))
	}
	s.append(t, s.id, 0, ops...)
	s.holds(t, s.id, ops...)
}

func cancelled(t *testing.T, s *suite) {
	s.create(t, s.id)
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	if err := s.Append(ctx, s.id, 0, []collab.Operation{op("a", 1, `[]`)}); err == nil {
		t.Error("an append in a context that has ended succeeded")
	}
	s.append(t, s.id, 0, op("a", 1, `[]`))
	s.holds(t, s.id, op("a", 1, `[]`))
}

func ping(t *testing.T, s *suite) {
	if err := s.Ping(s.ctx); err != nil {
		t.Error(err)
	}
}
