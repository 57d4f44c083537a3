package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weft-collab/weft/collab"
)

// filled makes a document of n operations of one client, each a second after the one before.
func (s *suite) filled(t *testing.T, doc string, n int64) (ops []collab.Operation) {
	t.Helper()
	for seq := range n {
		o := op("a", seq+1, `[]`)
		o.At = at.Add(time.Duration(seq) * time.Second)
		ops = append(ops, o)
	}
	s.create(t, doc, ops...)
	return ops
}

func (s *suite) snap(t *testing.T, doc string, versions ...int64) {
	t.Helper()
	for _, v := range versions {
		if err := s.PutSnapshot(s.ctx, doc, collab.Snapshot{Version: v, Content: fmt.Append(nil, "content ", v)}); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *suite) fold(t *testing.T, doc string, to, removed int64) {
	t.Helper()
	if n, err := s.Fold(s.ctx, doc, to); err != nil || n != removed {
		t.Fatalf("folding up to %d removed %d operations (%v), not %d", to, n, err, removed)
	}
}

// snapshotAt expects the newest snapshot at or below a version; 0: none.
func (s *suite) snapshotAt(t *testing.T, doc string, at, version int64) {
	t.Helper()
	got, err := s.Snapshot(s.ctx, doc, at)
	if err != nil || got.Version != version || version > 0 && string(got.Content) != fmt.Sprint("content ", version) {
		t.Errorf("at %d the snapshot is %d %q (%v), not %d", at, got.Version, got.Content, err, version)
	}
}

func folding(t *testing.T, s *suite) {
	ops := s.filled(t, s.id, 10)
	s.snap(t, s.id, 2, 4, 8)
	s.fold(t, s.id, 4, 4)
	for _, from := range []int64{0, 3} {
		_, err := s.Log(s.ctx, s.id, from, 100, 0)
		want(t, err, collab.ErrGone)
	}
	got, err := s.Log(s.ctx, s.id, 4, 100, 0)
	if d := cmp.Diff(ops[4:], got); err != nil || d != "" {
		t.Errorf("%v; what is left (-want +got):\n%s", err, d)
	}
	_, err = s.Operation(s.ctx, s.id, "a", 4)
	want(t, err, collab.ErrNotFound)
	if v, err := s.Operation(s.ctx, s.id, "a", 5); err != nil || v != 5 {
		t.Errorf("operation 5 made version %d (%v)", v, err)
	}
	s.snapshotAt(t, s.id, 10, 8)
	s.snapshotAt(t, s.id, 7, 4)
	s.snapshotAt(t, s.id, 3, 0)
	s.snap(t, s.id, 3) // one that comes late
	s.snapshotAt(t, s.id, 3, 0)
	s.fold(t, s.id, 4, 0)
	s.fold(t, s.id, 1, 0)
	m, err := s.Meta(s.ctx, s.id)
	if err != nil || m.Version != 10 || m.Folded != 4 || !m.Updated.Equal(ops[9].At) {
		t.Errorf("it is %+v (%v)", m, err)
	}
	if list, err := s.List(s.ctx, s.id, "", 1); err != nil || len(list) != 1 || list[0] != m {
		t.Errorf("it is listed as %+v (%v)", list, err)
	}
	// The rows of clients stay: what was folded away has no effect when it is sent again.
	s.row(t, s.id, "a", collab.ClientRow{User: "u-a", Seq: 10, Version: 10})
	for _, seq := range []int64{1, 4, 10, 12} {
		want(t, s.Append(s.ctx, s.id, 10, []collab.Operation{op("a", seq, `[]`)}), collab.ErrConflict)
	}
	s.append(t, s.id, 10, op("a", 11, `[]`), op("b", 1, `[]`))
	s.fold(t, s.id, 8, 4)
}

func foldRefused(t *testing.T, s *suite) {
	s.filled(t, s.id, 6)
	s.snap(t, s.id, 2, 6)
	for _, to := range []int64{1, 3} { // no snapshot
		_, err := s.Fold(s.ctx, s.id, to)
		want(t, err, collab.ErrNoSnapshot)
	}
	for _, to := range []int64{6, 7} { // the newest operation
		if n, err := s.Fold(s.ctx, s.id, to); err == nil {
			t.Errorf("folded up to %d: %d operations", to, n)
		}
	}
	s.damage(t, s.id, 2)
	_, err := s.Fold(s.ctx, s.id, 2)
	want(t, err, collab.ErrNoSnapshot)
	s.snap(t, s.id, 2, 4)
	if err := s.NameVersion(s.ctx, s.id, collab.NamedVersion{Version: 3, Name: "draft", At: at}); err != nil {
		t.Fatal(err)
	}
	_, err = s.Fold(s.ctx, s.id, 4) // version 3 could not be read any more
	want(t, err, collab.ErrNoSnapshot)
	if ops, err := s.Log(s.ctx, s.id, 0, 100, 0); err != nil || len(ops) != 6 {
		t.Errorf("of 6 operations %d are left (%v)", len(ops), err)
	}
}

func foldRace(t *testing.T, s *suite) {
	const rounds = 60
	s.filled(t, s.id, 2)
	var work sync.WaitGroup
	done := make(chan struct{})
	work.Go(func() { // appends
		defer close(done)
		for seq := int64(1); seq <= rounds; seq++ {
			if err := s.Append(s.ctx, s.id, seq+1, []collab.Operation{op("b", seq, `[]`)}); err != nil {
				t.Errorf("append %d: %v", seq, err)
				return
			}
		}
	})
	for range 2 { // snapshots and folds, by two at once
		work.Go(func() {
			for over := false; !over; {
				select {
				case <-done:
					over = true
				default:
				}
				m, err := s.Meta(s.ctx, s.id)
				if err != nil {
					t.Error(err)
					return
				}
				v := m.Version - 1
				if err := s.PutSnapshot(s.ctx, s.id, collab.Snapshot{Version: v, Content: fmt.Append(nil, "content ", v)}); err != nil {
					t.Error(err)
				}
				// The other may have folded further, and have taken this snapshot with it: then there is nothing to do.
				if _, err := s.Fold(s.ctx, s.id, v); err != nil && !errors.Is(err, collab.ErrNoSnapshot) {
					t.Error(err)
				}
			}
		})
	}
	work.Go(func() { // reads: whole, or told that it is gone
		for over := false; !over; {
			select {
			case <-done:
				over = true
			default:
			}
			m, err := s.Meta(s.ctx, s.id)
			if err != nil {
				t.Error(err)
				return
			}
			ops, err := s.Log(s.ctx, s.id, m.Folded, 1000, 0)
			if err != nil && !errors.Is(err, collab.ErrGone) {
				t.Errorf("reading from version %d: %v", m.Folded, err)
			}
			if err == nil && int64(len(ops)) < m.Version-m.Folded {
				t.Errorf("from version %d to %d there are %d operations", m.Folded, m.Version, len(ops))
			}
		}
	})
	work.Wait()
	m, err := s.Meta(s.ctx, s.id)
	if err != nil || m.Version != rounds+2 || m.Folded != rounds+1 {
		t.Fatalf("it is %+v (%v)", m, err)
	}
	s.snapshotAt(t, s.id, m.Version, m.Folded)
	s.row(t, s.id, "b", collab.ClientRow{User: "u-b", Seq: rounds, Version: rounds + 2})
}

// A fold that is broken off at any moment has happened, or has not.
func foldCancelled(t *testing.T, s *suite) {
	const n = 2000
	s.filled(t, s.id, n)
	s.snap(t, s.id, n-1)
	for wait := time.Microsecond; ; wait *= 2 {
		ctx, cancel := context.WithTimeout(s.ctx, wait)
		_, err := s.Fold(ctx, s.id, n-1)
		cancel()
		m, again := s.Meta(s.ctx, s.id)
		if again != nil {
			t.Fatal(again)
		}
		ops, again := s.Log(s.ctx, s.id, m.Folded, n, 0)
		if again != nil || int64(len(ops)) != n-m.Folded || m.Folded != 0 && m.Folded != n-1 {
			t.Fatalf("broken off after %v: the log begins after %d and has %d operations (%v)", wait, m.Folded, len(ops), again)
		}
		if err == nil {
			break
		}
	}
}

func foldable(t *testing.T, s *suite) {
	find := func(before time.Time, after string, limit int) (found []string) {
		t.Helper()
		ids, err := s.Foldable(s.ctx, before, after, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			if len(id) > len(s.id) && id[:len(s.id)] == s.id { // not those of other parts
				found = append(found, id[len(s.id):])
			}
		}
		return found
	}
	s.create(t, s.id+"-empty")
	s.filled(t, s.id+"-one", 1)
	s.filled(t, s.id+"-two", 2)
	s.filled(t, s.id+"-ten", 10)
	s.filled(t, s.id+"-deleted", 10)
	if err := s.Delete(s.ctx, s.id+"-deleted", "ada", false); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"-ten", "-two"}, find(at.Add(time.Microsecond), s.id, 100)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got := find(at, s.id, 100); len(got) != 0 {
		t.Errorf("younger ones are found: %v", got)
	}
	if d := cmp.Diff([]string{"-two"}, find(at.Add(time.Hour), s.id+"-ten", 1)); d != "" {
		t.Errorf("a page (-want +got):\n%s", d)
	}
	s.snap(t, s.id+"-ten", 5)
	s.fold(t, s.id+"-ten", 5, 5)
	if d := cmp.Diff([]string{"-two"}, find(at.Add(4*time.Second), s.id, 100)); d != "" {
		t.Errorf("after a fold (-want +got):\n%s", d)
	}
}

func naming(t *testing.T, s *suite) {
	s.filled(t, s.id, 9)
	name := func(v int64, name string) error {
		return s.NameVersion(s.ctx, s.id, collab.NamedVersion{Version: v, Name: name, User: "ada", At: at})
	}
	for _, v := range []int64{-1, 10} {
		if err := name(v, "none"); err == nil {
			t.Errorf("version %d has a name", v)
		}
	}
	for _, err := range []error{name(7, "last"), name(3, "draft"), name(3, "draft"), name(3, "Entwurf")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s.snap(t, s.id, 2, 3, 5, 7, 8)
	s.fold(t, s.id, 5, 5)
	s.snapshotAt(t, s.id, 4, 3)
	s.snapshotAt(t, s.id, 2, 0)
	s.fold(t, s.id, 8, 3)
	s.snapshotAt(t, s.id, 7, 7)
	s.snapshotAt(t, s.id, 6, 3)
	want(t, name(5, "too late"), collab.ErrGone)
	if err := name(3, "first"); err != nil {
		t.Errorf("one more name of a version that is kept: %v", err)
	}
	got, err := s.Versions(s.ctx, s.id)
	var names []string
	for _, v := range got {
		if names = append(names, fmt.Sprint(v.Version, " ", v.Name)); v.User != "ada" || !v.At.Equal(at) {
			t.Errorf("%+v", v)
		}
	}
	if d := cmp.Diff([]string{"3 Entwurf", "3 draft", "3 first", "7 last"}, names); err != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
}
