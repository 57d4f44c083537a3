package collab

import (
	"strings"
	"testing"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
)

// A client whose session was replaced starts over, and sets on top what it does not know to be stored.
func TestAReplacedSessionIsToldFirstWhatOfItsOwnIsStored(t *testing.T) {
	for _, shut := range []bool{false, true} {
		s := newStage(t, bornStore(t))
		s.answer()
		first := s.join("c", Write, s.now.Add(time.Hour), protocol.Hello{})
		s.op(first, 0, 1, "x")
		if shut {
			s.op(s.join("other", Write, s.now.Add(time.Hour), protocol.Hello{}), 0, 1, "y")
			first.frames += WindowFrames
			s.answer()
		}
		second := &session{id: "s2", client: "c", ident: Identity{User: "ada", Expires: s.now.Add(2 * time.Hour)}, role: Write, conn: nobody{}}
		s.step(evJoin{second, protocol.Hello{Client: "c"}})
		if s.ended[first] != "" {
			t.Errorf("shut %v: the first session was ended before its operation came back", shut)
		}
		s.step(evCredit{first, first.frames, first.bytes})
		s.answer()
		if !strings.Contains(strings.Join(s.sent[first], ""), `"c":"c","seq":1`) {
			t.Errorf("shut %v: the first session was sent %q", shut, s.sent[first])
		}
		if s.ended[first] != string(protocol.Replaced) {
			t.Errorf("shut %v: the first session was told %q at its end", shut, s.ended[first])
		}
	}
}

func TestWhatFollowsAnOperationThatWaitsForTheLogIsDealtWithAfterIt(t *testing.T) {
	store := bornStore(t)
	fill(t, store, 40)
	s := newStage(t, store)
	s.answer()
	c := s.join("c", Write, s.now.Add(time.Hour), protocol.Hello{})
	s.op(c, 1, 1, "x") // rebased over more than the tail holds
	s.step(evMessage{c, protocol.Ping{}})
	s.op(c, 40, 2, "y")
	if last := s.sent[c][len(s.sent[c])-1]; strings.Contains(last, "pong") {
		t.Fatalf("it was answered out of turn: %s", last)
	}
	s.answer()
	if all := strings.Join(s.sent[c], ""); !strings.Contains(all, "pong") || !strings.Contains(all, `"c":"c","seq":2`) {
		t.Errorf("the session was sent %q", s.sent[c][1:])
	}
}

// What was published while the bus was away is lost: presence of others among it.
func TestADocumentAsksWhoIsThereWhenTheBusComesBack(t *testing.T) {
	s := newStage(t, bornStore(t))
	s.answer()
	s.join("c", Write, s.now.Add(time.Hour), protocol.Hello{})
	said := ""
	for _, e := range s.d.step(s.now, evBus{backMessage()}) {
		if p, ok := e.(effPublish); ok {
			said += string(p.msg)
		}
	}
	if !strings.Contains(said, `"t":"who"`) || !strings.Contains(said, `"t":"join"`) {
		t.Errorf("other nodes are told %q", said)
	}
}

// A draining node's sessions are sent away one by one; what they had it take is stored all the same.
func TestADrainingDocumentStaysUntilWhatItHasTakenIsStored(t *testing.T) {
	s := newStage(t, bornStore(t))
	s.answer()
	a := s.join("a", Write, s.now.Add(time.Hour), protocol.Hello{})
	b := s.join("b", Write, s.now.Add(time.Hour), protocol.Hello{})
	s.op(a, 0, 1, "x")
	append1 := s.hold()
	s.op(b, 0, 1, "y") // it gathers behind
	s.step(evDrain{0})
	s.step(evTimer{})
	if s.ended[a] != string(protocol.Draining) || s.ended[b] != string(protocol.Draining) {
		t.Fatalf("the sessions were told %q and %q", s.ended[a], s.ended[b])
	}
	next := append1
	for range 2 { // both batches
		if s.d.unloading {
			t.Fatalf("the document leaves before %+v is done", next)
		}
		s.step(ask(t.Context(), s.store, simDoc, next))
		next = s.hold()
	}
	s.asked = append(s.asked, next) // the snapshot
	s.answer()
	if v := s.store.docs[simDoc].meta.Version; v != 2 || !s.d.unloading {
		t.Errorf("the store is at version %d, and the document leaves: %v", v, s.d.unloading)
	}
}
