package collab

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

// stage is one document on one node, led by hand: every event is given, every effect looked at.
type stage struct {
	t     *testing.T
	d     *document
	now   time.Time
	store *memStore
	asked []effect
	sent  map[*session][]string
	ended map[*session]string

	lastWord map[*session]string // of those that ended
}

// nobody is a connection that takes everything and tells nothing.
type nobody struct{}

func (nobody) Send([]byte)               {}
func (nobody) Close([]byte, int, string) {}

func newStage(t *testing.T, store *memStore) *stage {
	rules := simRules()
	rules.limits.OpsPerS = 0 // as many as the test likes
	rules.welcomeBytes = 0
	s := &stage{t: t, d: newDocument(simDoc, rules), now: time.Unix(1_700_000_000, 0), store: store, sent: map[*session][]string{}, ended: map[*session]string{}, lastWord: map[*session]string{}}
	s.take(s.d.begin(s.now))
	return s
}

func (s *stage) take(effects []effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case effSend:
			s.sent[e.s] = append(s.sent[e.s], string(e.frame))
		case effClose:
			s.ended[e.s], s.lastWord[e.s] = e.reason, string(e.last)
		case effDo:
			e.do()
		case effPublish, effWarn, effUnload:
		default:
			s.asked = append(s.asked, e)
		}
	}
}

func (s *stage) step(ev event) { s.take(s.d.step(s.now, ev)) }

// answer has the store do everything that it was asked, also what follows from that.
func (s *stage) answer() {
	for len(s.asked) > 0 {
		e := s.asked[0]
		s.asked = s.asked[1:]
		s.step(ask(s.t.Context(), s.store, simDoc, e))
	}
}

// hold takes the next call of the store out, to be answered later.
func (s *stage) hold() effect {
	s.t.Helper()
	if len(s.asked) == 0 {
		s.t.Fatal("the store is asked nothing")
	}
	e := s.asked[0]
	s.asked = s.asked[1:]
	return e
}

func (s *stage) join(client string, role Role, expires time.Time, hello protocol.Hello) *session {
	hello.Client = client
	id := Identity{User: "ada", Expires: expires, Docs: map[string]Role{simDoc: role}}
	session := &session{id: "s" + client + expires.String(), client: client, ident: id, role: role, conn: nobody{}}
	s.step(evJoin{session, hello})
	s.answer()
	return session
}

func (s *stage) op(session *session, v, seq int64, text string) {
	s.step(evMessage{session, insert(v, seq, text)})
}

func bornStore(t *testing.T) *memStore {
	store := newMemStore()
	if _, err := store.Create(t.Context(), simDoc, ot.Rich, nil); err != nil {
		t.Fatal(err)
	}
	return store
}

func TestAnOperationSentAgainWithANewerTokenOutlivesTheOlderToken(t *testing.T) {
	s := newStage(t, bornStore(t))
	s.answer()
	first := s.join("c", Write, s.now.Add(time.Second), protocol.Hello{})
	other := s.join("other", Write, s.now.Add(time.Hour), protocol.Hello{})
	s.op(other, 0, 1, "y")
	append1 := s.hold() // the store is at work: what comes now gathers
	s.op(first, 0, 1, "x")
	s.step(evLeave{first})
	second := &session{id: "s2", client: "c", ident: Identity{User: "ada", Expires: s.now.Add(time.Hour)}, role: Write, conn: nobody{}}
	s.step(evJoin{second, protocol.Hello{Client: "c"}})
	s.answer()
	s.op(second, 0, 1, "x")
	s.now = s.now.Add(2 * time.Second)
	s.step(ask(t.Context(), s.store, simDoc, append1))
	s.answer()
	if row, _ := s.store.Client(t.Context(), simDoc, "c"); row.Seq != 1 {
		t.Errorf("it is not stored, and its author was told %q, %q", s.sent[second], s.ended[second])
	}
}

func TestARejectedCopyIsToldToWhoSentItLast(t *testing.T) {
	s := newStage(t, bornStore(t))
	s.answer()
	first := s.join("c", Write, s.now.Add(time.Second), protocol.Hello{})
	other := s.join("other", Write, s.now.Add(time.Hour), protocol.Hello{})
	s.op(other, 0, 1, "y")
	append1 := s.hold()
	s.op(first, 0, 1, "x")
	s.step(evLeave{first})
	second := &session{id: "s2", client: "c", ident: Identity{User: "ada", Expires: s.now.Add(2 * time.Second)}, role: Write, conn: nobody{}}
	s.step(evJoin{second, protocol.Hello{Client: "c"}})
	s.answer()
	s.op(second, 0, 1, "x")
	s.now = s.now.Add(3 * time.Second)
	s.step(ask(t.Context(), s.store, simDoc, append1))
	s.answer()
	if s.ended[second] != string(protocol.TokenExpired) {
		t.Errorf("its author was told %q, %q", s.sent[second], s.ended[second])
	}
}

func TestAReadingIsNotOlderThanTheDocumentsCreationElsewhere(t *testing.T) {
	store := newMemStore()
	s := newStage(t, store)
	late := ask(t.Context(), store, simDoc, s.hold()) // asked before the document was made, answered after
	if _, err := store.Create(t.Context(), simDoc, ot.Rich, nil); err != nil {
		t.Fatal(err)
	}
	var got error
	answered := false
	s.step(evRead{func(_ Document, err error) { got, answered = err, true }})
	s.step(late)
	s.answer()
	if !answered || got != nil {
		t.Errorf("answered %v: %v", answered, got)
	}
}

func TestAReadingOfNoDocumentIsAnswered(t *testing.T) {
	s := newStage(t, newMemStore())
	var got []error
	for range 3 {
		s.step(evRead{func(_ Document, err error) { got = append(got, err) }})
	}
	s.answer()
	if len(got) != 3 || code(got[0]) != protocol.NotFound || code(got[2]) != protocol.NotFound {
		t.Errorf("answered %v", got)
	}
}

func TestAnOperationThatAnotherNodeStoredIsNoErrorWhereTheLogIsFolded(t *testing.T) {
	store := bornStore(t)
	for v := range int64(20) {
		if err := store.Append(t.Context(), simDoc, v, []Operation{{Client: "b", Seq: v + 1, User: "bob", Delta: []byte(`[{"insert":"b"}]`)}}); err != nil {
			t.Fatal(err)
		}
	}
	s := newStage(t, store)
	s.answer()
	zero := int64(0)
	c := s.join("c", Write, s.now.Add(time.Hour), protocol.Hello{V: &zero})
	s.op(c, 0, 1, "x") // older than the tail: the log is read
	read := s.hold()
	if err := store.Append(t.Context(), simDoc, 20, []Operation{{Client: "c", Seq: 1, User: "ada", Delta: []byte(`[{"retain":20},{"insert":"x"}]`)}}); err != nil {
		t.Fatal(err)
	}
	s.step(evHead{Head{Version: 21}})
	s.answer()
	log := read.(effLog)
	s.step(evLog{log.purpose, log.from, nil, ErrGone})
	s.answer()
	if why, ended := s.ended[c]; ended {
		t.Errorf("the session of a stored operation was ended: %s", why)
	}
}

func TestAWelcomeThatStopsEarlyNamesTheClientsLastSeqUpToThere(t *testing.T) {
	store := bornStore(t)
	add := func(client, user string, seq int64) {
		head := store.docs[simDoc].meta.Version
		if err := store.Append(t.Context(), simDoc, head, []Operation{{Client: client, Seq: seq, User: user, Delta: []byte(`[{"insert":"b"}]`)}}); err != nil {
			t.Fatal(err)
		}
	}
	add("c", "ada", 1)
	for seq := range int64(30) {
		add("b", "bob", seq+1)
	}
	add("c", "ada", 2)
	for seq := range int64(30) {
		add("b", "bob", seq+31)
	}
	s := newStage(t, store)
	s.answer()
	one := int64(1)
	c := s.join("c", Write, s.now.Add(time.Hour), protocol.Hello{V: &one, Last: &protocol.Origin{Client: "c", Seq: 1}})
	if len(s.sent[c]) == 0 {
		t.Fatal("no welcome")
	}
	m, err := protocol.DecodeServer([]byte(s.sent[c][0]))
	if err != nil {
		t.Fatal(err)
	}
	if w := m.(*protocol.Welcome); w.Seq != 1 || w.V >= 32 {
		t.Errorf("welcome at version %d says seq %d, want 1 before version 32", w.V, w.Seq)
	}
}

func TestTheStoresEndOfPatienceIsToldAndLetsGo(t *testing.T) {
	s := newStage(t, bornStore(t))
	s.answer()
	c := s.join("c", Write, s.now.Add(time.Hour), protocol.Hello{})
	s.op(c, 0, 1, "x")
	for range 200 {
		if len(s.asked) == 0 {
			break
		}
		s.now = s.now.Add(time.Second)
		s.step(failed(s.hold()))
	}
	if s.ended[c] != string(protocol.Unavailable) || s.d.phase != finished {
		t.Errorf("the session was told %q and the document is in phase %d", s.ended[c], s.d.phase)
	}
}

// A node that has fallen behind while the store was away reads on without a pause, else
// nodes that write meanwhile could be faster than it reads.
func TestCatchingUpWithTheStoreWaitsOnceAndNotBetweenReadings(t *testing.T) {
	store := bornStore(t)
	s := newStage(t, store)
	s.answer()
	c := s.join("c", Write, s.now.Add(time.Hour), protocol.Hello{})
	s.op(c, 0, 1, "x")
	for range 5 { // the append, and then the readings of the log
		s.now = s.now.Add(time.Second)
		s.step(failed(s.hold()))
	}
	most := s.d.rules.tailOps
	for n := range int64(2*most + 1) {
		op := Operation{Client: "another", Seq: n + 1, User: "bob", At: s.now, Delta: ot.New().Insert("y").AppendJSON(nil)}
		if err := store.Append(t.Context(), simDoc, n, []Operation{op}); err != nil {
			t.Fatal(err)
		}
	}
	for reading := range 3 {
		e, ok := s.hold().(effLog)
		if !ok || (e.after > 0) != (reading == 0) {
			t.Fatalf("reading %d from version %d waits for %v", reading, e.from, e.after)
		}
		s.step(ask(t.Context(), store, simDoc, e))
	}
	s.answer()
	if head := s.d.head(); head != int64(2*most+2) {
		t.Errorf("the document is at version %d", head)
	}
}

// A token decides until an operation enters its batch, also while the operation waits for the store.
func TestATokenThatAllowsLessStopsAnOperationThatWaitsForTheLog(t *testing.T) {
	store := bornStore(t)
	for n := range int64(40) {
		if err := store.Append(t.Context(), simDoc, n, []Operation{{Client: "b", Seq: n + 1, User: "bob", Delta: []byte(`[{"insert":"b"}]`)}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, role := range []Role{Read, Write} {
		s := newStage(t, store)
		s.answer()
		client := "c" + role.String()
		c := s.join(client, Write, s.now.Add(time.Minute), protocol.Hello{})
		s.op(c, 1, 1, "x") // rebased over more than the tail holds
		reading := s.hold()
		if _, ok := reading.(effLog); !ok {
			t.Fatalf("the store is asked %T", reading)
		}
		s.step(evToken{c, Identity{User: "ada", Expires: s.now.Add(time.Hour), Docs: map[string]Role{simDoc: role}}, nil})
		if role >= Write {
			s.now = s.now.Add(2 * time.Minute) // the first token is over
		}
		s.step(ask(t.Context(), store, simDoc, reading))
		s.answer()
		row, _ := store.Client(t.Context(), simDoc, client)
		refused := slices.ContainsFunc(s.sent[c], func(frame string) bool { return strings.Contains(frame, `"code":"forbidden"`) })
		if allowed := role >= Write; (row.Seq == 1) != allowed || refused == allowed || s.ended[c] != "" {
			t.Errorf("with the role %s the operation has seq %d in the store; the session was told %q, %q", role, row.Seq, s.sent[c], s.ended[c])
		}
	}
}

// The store takes no gap in a client's seqs, so that one would stand in the way of everybody's operations.
func TestWhatFollowsAnOperationThatIsDroppedIsDroppedToo(t *testing.T) {
	s := newStage(t, bornStore(t))
	s.answer()
	c := s.join("c", Write, s.now.Add(time.Hour), protocol.Hello{})
	other := s.join("other", Write, s.now.Add(time.Hour), protocol.Hello{})
	s.op(other, 0, 1, "y")
	append1 := s.hold() // the store is at work: what comes now gathers
	s.op(c, 0, 1, "a")
	s.op(c, 0, 2, "b")
	var said error
	s.step(evSubmit{&submission{client: "c", user: "ada", role: Write, expires: s.now.Add(time.Hour), op: insert(0, 3, "c"), newest: true,
		reply: func(_ int64, err error) { said = err }}})
	s.answer() // its row
	s.op(other, 0, 2, "z")
	s.step(evToken{c, Identity{User: "ada", Expires: s.now.Add(time.Hour), Docs: map[string]Role{simDoc: Read}}, nil})
	s.step(ask(t.Context(), s.store, simDoc, append1))
	next, ok := s.hold().(effAppend)
	if !ok || len(next.ops) != 1 || next.ops[0].Client != "other" {
		t.Fatalf("the next batch is %v", next)
	}
	var refused *protocol.Error
	if !errors.As(said, &refused) || refused.Code != protocol.BadSeq {
		t.Errorf("the call is answered with %v", said)
	}
	s.step(ask(t.Context(), s.store, simDoc, next))
	s.answer()
	if row, _ := s.store.Client(t.Context(), simDoc, "other"); row.Seq != 2 {
		t.Errorf("the other one's operations are stored up to %d", row.Seq)
	}
}

func TestADocumentTakesNoMoreSessionsThanItsLimit(t *testing.T) {
	s := newStage(t, bornStore(t))
	s.d.rules.sessions = 2
	s.answer()
	join := func(client string) *session { return s.join(client, Read, s.now.Add(time.Hour), protocol.Hello{}) }
	first, second, third := join("first"), join("second"), join("third")
	if why := s.ended[third]; why != string(protocol.Unavailable) || !strings.Contains(s.lastWord[third], `"retry_ms"`) {
		t.Errorf("one too many is told %q, %s", why, s.lastWord[third])
	}
	s.step(evLeave{first})
	fourth := join("fourth")
	if len(s.sent[second]) == 0 || len(s.sent[fourth]) == 0 || s.ended[fourth] != "" {
		t.Errorf("when one has left the next is told %q", s.ended[fourth])
	}
}

func TestWelcomesThatNobodyReadsAreBounded(t *testing.T) {
	for name, hello := range map[string]protocol.Hello{"contents": {}, "operations": {V: new(int64)}} {
		store := newMemStore()
		if _, err := store.Create(t.Context(), simDoc, ot.Rich, []Operation{{Client: "maker", Seq: 1, User: "ada", Delta: ot.New().Insert(strings.Repeat("0123456789", 100)).AppendJSON(nil)}}); err != nil {
			t.Fatal(err)
		}
		s := newStage(t, store)
		s.answer()
		first := s.join("first", Write, s.now.Add(time.Hour), hello)
		size := len(s.sent[first][0])
		s.d.rules.welcomeBytes = 5 * size / 2
		var all []*session
		for _, client := range []string{"a", "b", "c", "d", "e"} {
			all = append(all, s.join(client, Write, s.now.Add(time.Hour), hello))
		}
		welcomed := func(what string, want ...*session) {
			t.Helper()
			for i, session := range all {
				if got := len(s.sent[session]) > 0; got != slices.Contains(want, session) {
					t.Errorf("%s, %s: session %d is welcomed: %v", name, what, i, got)
				}
			}
		}
		welcomed("three may be unread", all[0], all[1])
		s.step(evCredit{all[0], 0, 2 * size / 3})
		welcomed("most of one is written", all[0], all[1], all[2])
		s.step(evLeave{all[3]})
		s.step(evLeave{first})
		s.step(evLeave{all[1]})
		welcomed("two leave, and so does one who waited", all[0], all[1], all[2], all[4])
		s.op(all[4], 1, 1, "x")
		s.answer()
		if head := s.d.head(); head != 2 {
			t.Errorf("%s: the document is at version %d", name, head)
		}
		for _, session := range s.d.everyone() {
			s.step(evCredit{session, 1, 1 << 20})
		}
		if s.d.unread != 0 || len(s.d.door) != 0 {
			t.Errorf("%s: %d bytes are unread, %d wait", name, s.d.unread, len(s.d.door))
		}
	}
}
