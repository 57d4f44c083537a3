package collab

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

// longStore has a document of one thousand units, made by as many operations as are asked for.
func longStore(t *testing.T, operations int64) *memStore {
	t.Helper()
	store := newMemStore()
	var ops []Operation
	for seq := range operations {
		ops = append(ops, Operation{Client: "maker", Seq: seq + 1, User: "ada", Delta: ot.New().Insert(strings.Repeat("0123456789", 100/int(operations))).AppendJSON(nil)})
	}
	if _, err := store.Create(t.Context(), simDoc, ot.Rich, ops); err != nil {
		t.Fatal(err)
	}
	return store
}

// Two documents of a node have a bound together. The one that is over it has one welcome under
// way at a time, and none waits for the other's readers for ever.
func TestWelcomesThatNobodyReadsAreBoundedForTheWholeNode(t *testing.T) {
	unread := new(atomic.Int64)
	document := func() *stage {
		s := newStage(t, longStore(t, 1))
		s.d.rules.nodeUnread, s.d.rules.nodeBytes = unread, 2500
		s.answer()
		return s
	}
	one, two := document(), document()
	join := func(s *stage, client string) *session {
		return s.join(client, Write, s.now.Add(time.Hour), protocol.Hello{})
	}
	welcomed := func(s *stage, session *session, want bool) {
		t.Helper()
		if got := len(s.sent[session]) > 0; got != want {
			t.Errorf("%s is welcomed: %v", session.client, got)
		}
	}
	a, b := join(one, "a"), join(one, "b")
	welcomed(one, a, true)
	welcomed(one, b, true)
	c, d := join(two, "c"), join(two, "d")
	welcomed(two, c, true) // each document has one
	welcomed(two, d, false)
	two.step(evCredit{c, 1, 1 << 20})
	welcomed(two, d, true)
	e := join(two, "e")
	welcomed(two, e, false)
	one.step(evLeave{a})
	one.step(evCredit{b, 1, 1 << 20})
	welcomed(two, e, false) // nobody has told it
	if two.d.next.IsZero() || two.d.next.Sub(two.now) > knockEvery {
		t.Fatalf("it looks again at %v, and it is %v", two.d.next, two.now)
	}
	two.now = two.d.next
	two.step(evTimer{})
	welcomed(two, e, true)
	for _, s := range two.d.everyone() {
		two.step(evLeave{s})
	}
	if n := unread.Load(); n != 0 {
		t.Errorf("nobody is there, and %d bytes are unread", n)
	}
}

// What follows a short welcome, and is made for one session alone, counts as a welcome does.
func TestWhatFollowsAWelcomeCountsAsOne(t *testing.T) {
	s := newStage(t, longStore(t, 2))
	s.d.rules.welcomeBytes = 1
	s.answer()
	s.d.tail.ops[1].wire = []byte(strings.Replace(string(s.d.tail.ops[1].wire), "0123456789", strings.Repeat("0123456789", frameBytes/10), 1))
	first := s.join("first", Write, s.now.Add(time.Hour), protocol.Hello{V: new(int64)})
	if got := s.sent[first]; len(got) != 2 || s.d.unread < frameBytes || s.d.unread != len(got[0])+len(got[1]) {
		t.Fatalf("it was sent %d frames, and %d bytes are unread", len(got), s.d.unread)
	}
	s.step(evCredit{first, 1, len(s.sent[first][0])})
	if second := s.join("second", Write, s.now.Add(time.Hour), protocol.Hello{V: new(int64)}); len(s.sent[second]) != 0 {
		t.Error("the next is welcomed, though what the first was sent is not read")
	}
	s.step(evCredit{first, 1, len(s.sent[first][1])})
	if s.d.unread == 0 || len(s.d.door) != 0 {
		t.Errorf("%d bytes are unread, %d wait", s.d.unread, len(s.d.door))
	}
}

// A welcome that is made of operations which only the log has counts while the log is read.
func TestAWelcomeCountsWhileTheLogIsReadForIt(t *testing.T) {
	s := newStage(t, longStore(t, 50))
	s.d.rules.welcomeBytes = 1
	s.answer()
	hello := protocol.Hello{V: new(int64)}
	for _, client := range []string{"a", "b", "c"} {
		hello.Client = client
		id := Identity{User: "ada", Expires: s.now.Add(time.Hour), Docs: map[string]Role{simDoc: Write}}
		s.step(evJoin{&session{id: client, client: client, ident: id, role: Write, conn: nobody{}}, hello})
	}
	reads := 0
	for range 3 { // what the store says of the clients
		s.step(ask(t.Context(), s.store, simDoc, s.hold()))
	}
	for _, e := range s.asked {
		if e, ok := e.(effLog); ok && e.purpose.kind == toGreet {
			reads++
		}
	}
	if reads != 1 || len(s.d.door) != 2 {
		t.Errorf("the log is read for %d, and %d wait", reads, len(s.d.door))
	}
	s.answer()
	for _, session := range s.d.everyone() {
		for range 10 {
			s.step(evCredit{session, 1, 1 << 20})
			s.answer()
		}
	}
	for _, session := range s.d.everyone() {
		if !session.joined || session.v != s.d.head() {
			t.Errorf("%s has joined: %v, at version %d", session.client, session.joined, session.v)
		}
	}
	if s.d.unread != 0 {
		t.Errorf("%d bytes are unread", s.d.unread)
	}
}
