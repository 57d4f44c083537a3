package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/ot"
)

func deletion(t *testing.T, s *suite) {
	for _, purge := range []bool{false, true} {
		doc := fmt.Sprint(s.id, "-", purge)
		want(t, s.Delete(s.ctx, doc, "ada", purge), collab.ErrNotFound)
		s.create(t, doc, op("a", 1, `[]`))
		if err := s.PutSnapshot(s.ctx, doc, collab.Snapshot{Version: 1, Content: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(s.ctx, doc, "ada", purge); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			s.isDeleted(t, doc)
			if err := s.Delete(s.ctx, doc, "ada", true); err != nil {
				t.Errorf("a purge of what was deleted: %v", err)
			}
		}
		want(t, s.Delete(s.ctx, doc, "ada", false), collab.ErrDeleted)
	}
}

func (s *suite) isDeleted(t *testing.T, doc string) {
	t.Helper()
	_, err := s.Meta(s.ctx, doc)
	want(t, err, collab.ErrDeleted)
	_, err = s.Create(s.ctx, doc, ot.Rich, nil)
	want(t, err, collab.ErrDeleted)
	want(t, s.Append(s.ctx, doc, 1, []collab.Operation{op("a", 2, `[]`)}), collab.ErrDeleted)
	_, err = s.Log(s.ctx, doc, 0, 10, 0)
	want(t, err, collab.ErrDeleted)
	_, err = s.Client(s.ctx, doc, "a")
	want(t, err, collab.ErrDeleted)
	_, err = s.Operation(s.ctx, doc, "a", 1)
	want(t, err, collab.ErrDeleted)
	_, err = s.Snapshot(s.ctx, doc, 1)
	want(t, err, collab.ErrDeleted)
	_, err = s.Fold(s.ctx, doc, 1)
	want(t, err, collab.ErrDeleted)
	_, err = s.Versions(s.ctx, doc)
	want(t, err, collab.ErrDeleted)
	want(t, s.NameVersion(s.ctx, doc, collab.NamedVersion{Version: 1, Name: "x"}), collab.ErrDeleted)
	want(t, s.PutSnapshot(s.ctx, doc, collab.Snapshot{Version: 1, Content: []byte("x")}), collab.ErrDeleted)
	heads, err := s.Heads(s.ctx, []string{doc})
	if err != nil || !heads[doc].Deleted {
		t.Errorf("its head is %+v (%v)", heads, err)
	}
	list, err := s.List(s.ctx, doc, "", 10)
	if err != nil || len(list) != 0 {
		t.Errorf("it is listed: %v (%v)", list, err)
	}
}

func auditing(t *testing.T, s *suite) {
	before := time.Now().Add(-time.Minute)
	other := s.id + "-other"
	s.filled(t, s.id, 3)
	s.filled(t, other, 5)
	for _, d := range []struct {
		doc, by string
		purge   bool
	}{{s.id, "ada", false}, {other, "bob", true}, {s.id, "eve", true}, {s.id, "eve again", true}} {
		if err := s.Delete(s.ctx, d.doc, d.by, d.purge); err != nil {
			t.Fatal(err)
		}
	}
	want(t, s.Delete(s.ctx, s.id, "too late", false), collab.ErrDeleted)
	all, err := s.Audit(s.ctx, "", 3)
	if err != nil {
		t.Fatal(err)
	}
	expect := []collab.AuditEntry{
		{Action: "purge", Doc: s.id, User: "eve", Operations: 3}, {Action: "purge", Doc: other, User: "bob", Operations: 5}, {Action: "delete", Doc: s.id, User: "ada", Operations: 3},
	}
	for i := range all {
		if all[i].At.Before(before) || all[i].At.After(time.Now().Add(time.Minute)) {
			t.Errorf("it was at %v", all[i].At)
		}
		all[i].At = time.Time{}
	}
	if d := cmp.Diff(expect, all); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if one, err := s.Audit(s.ctx, other, 10); err != nil || len(one) != 1 || one[0].User != "bob" {
		t.Errorf("of one document: %+v, %v", one, err)
	}
}
