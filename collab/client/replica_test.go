package client

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

func never(protocol.Committed, bool) {}

// at is a replica at version 3, with an operation in flight and more that is unsent.
func at(t *testing.T, text, inFlight, unsent string) *Replica {
	t.Helper()
	r := newReplica("me00000000000000", ot.Text)
	if _, err := r.welcome(&protocol.Welcome{V: 3, Type: ot.Text, Doc: doc(text), Last: &protocol.Origin{Client: "x", Seq: 1}}, never); err != nil {
		t.Fatal(err)
	}
	if err := r.Edit(ot.New().Insert(inFlight)); err != nil {
		t.Fatal(err)
	}
	if _, ok := r.next(); !ok {
		t.Fatal("nothing goes out")
	}
	if err := r.Edit(ot.New().Insert(unsent)); err != nil {
		t.Fatal(err)
	}
	return r
}

func doc(text string) json.RawMessage { return ot.New().Insert(text).AppendJSON(nil) }

func TestContentInPlaceOfOperationsKeepsWhatIsUnsent(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		seq     int64 // of the welcome
		view    string
		resend  bool
	}{
		"what was in flight is stored":     {"1AbcZ", 1, "2 1AbcZ", false},
		"what was in flight is not stored": {"abcZ", 0, "2 1abcZ", true},
		"nothing else happened":            {"1abc", 1, "2 1abc", false},
		"all else is gone":                 {"1", 1, "2 1", false},
	} {
		r := at(t, "abc", "1", "2 ")
		resend, err := r.welcome(&protocol.Welcome{V: 9, Type: ot.Text, Doc: doc(c.content), Seq: c.seq, Last: &protocol.Origin{Client: "y", Seq: 6}}, never)
		if err != nil || resend != c.resend || r.View().Text() != c.view || r.Version() != 9 {
			t.Errorf("%s: %q at version %d, resend %v (%v); not %q, %v", name, r.View().Text(), r.Version(), resend, err, c.view, c.resend)
		}
		if r.flying != c.resend || len(r.unsent) != 1 || r.id != "me00000000000000" || resend && r.again().Seq != 1 {
			t.Errorf("%s: in flight %v, %d unsent, as %s", name, r.flying, len(r.unsent), r.id)
		}
	}
}

func TestAReplicaKnowsThatTheServerHasAnotherHistoryOfIt(t *testing.T) {
	for name, seq := range map[string]int64{"an operation that it never sent": 2, "without one that was acknowledged": 0} {
		r := at(t, "abc", "1", "2 ")
		if seq == 0 { // the first comes back, and the second goes out
			if own, err := r.receive(protocol.Committed{Client: r.id, Seq: 1, User: "u", Delta: ot.New().Insert("1").AppendJSON(nil)}); err != nil || !own {
				t.Fatal(own, err)
			}
			if _, ok := r.next(); !ok {
				t.Fatal("nothing goes out")
			}
		}
		view := r.View().Text()
		if _, err := r.welcome(&protocol.Welcome{V: 9, Type: ot.Text, Doc: doc("another"), Seq: seq}, never); !errors.Is(err, errLost) {
			t.Errorf("%s: %v", name, err)
		}
		if r.View().Text() != view || r.Unsent() == 0 {
			t.Errorf("%s: %q became %q, with %d unsent", name, view, r.View().Text(), r.Unsent())
		}
	}
}

// An edit is sent, given up, and set on top anew; then the first copy of it is stored after all. One of both
// remains: what both delete is gone, and what both insert stands once.
func TestAnEditWhoseFormerCopyIsStoredAfterAllStandsOnce(t *testing.T) {
	for name, flies := range map[string]bool{"while it waits anew": false, "while it is in flight anew": true} {
		r := newReplica("me00000000000000", ot.Text)
		if _, err := r.welcome(&protocol.Welcome{V: 1, Type: ot.Text, Doc: doc("abc"), Last: &protocol.Origin{Client: "x", Seq: 1}}, never); err != nil {
			t.Fatal(err)
		}
		if err := r.Edit(ot.New().Insert("Z").Delete(2)); err != nil {
			t.Fatal(err)
		}
		former, _ := r.next()
		client := r.id
		r.startOver(true)
		if _, err := r.welcome(&protocol.Welcome{V: 1, Type: ot.Text, Ops: []json.RawMessage{}, Last: &protocol.Origin{Client: "x", Seq: 1}}, never); err != nil {
			t.Fatal(err)
		}
		if flies {
			r.next()
		}
		if err := r.Edit(ot.New().Retain(2).Insert("!")); err != nil {
			t.Fatal(err)
		}
		wire := protocol.Committed{Client: client, Seq: former.Seq, User: "u", Delta: former.Delta.AppendJSON(nil)}
		if _, err := r.receive(wire); err != nil {
			t.Fatal(err)
		}
		stored := r.server.Clone()
		for _, d := range append([]ot.Delta{r.inFlight}, r.unsent...) {
			if err := stored.Apply(d); err != nil {
				t.Fatal(name, err)
			}
		}
		if got, want := r.View().Text(), "Zc!"; got != want || stored.Text() != want {
			t.Errorf("%s: the view is %q, and what is stored in the end %q; not %q", name, got, stored.Text(), want)
		}
	}
}
