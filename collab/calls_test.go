package collab

import (
	"testing"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
)

// said is what a call was answered.
type said struct {
	v    int64
	err  error
	done bool
}

// submits has a call reach the document, as far as its row being asked for.
func (s *stage) submits(client string, op protocol.Op, newest bool) *said {
	got := &said{}
	s.step(evSubmit{&submission{client: client, user: "ada", role: Write, expires: s.now.Add(time.Hour), op: op, newest: newest,
		reply: func(v int64, err error) { *got = said{v, err, true} }}})
	return got
}

// fill has another node store operations.
func fill(t *testing.T, store *memStore, n int) {
	t.Helper()
	for range n {
		v := store.docs[simDoc].meta.Version
		if err := store.Append(t.Context(), simDoc, v, []Operation{{Client: "b", Seq: store.docs[simDoc].clients["b"].Seq + 1, User: "bob", Delta: []byte(`[{"insert":"b"}]`)}}); err != nil {
			t.Fatal(err)
		}
	}
}

// The row of its client is read while others of the client's operations are stored: the answer is the same.
func TestASubmissionSentAgainIsAnsweredWithItsVersionHoweverManyFollowMeanwhile(t *testing.T) {
	for later := range 3 {
		s := newStage(t, bornStore(t))
		s.answer()
		first := s.submits("c", insert(0, 1, "x"), true)
		s.answer()
		if !first.done || first.v != 1 {
			t.Fatalf("the first answer is %+v", *first)
		}
		again := s.submits("c", insert(0, 1, "x"), true)
		row := ask(t.Context(), s.store, simDoc, s.hold()) // it says seq 1
		for i := range later {
			s.submits("c", insert(0, int64(i)+2, "y"), true)
			s.answer()
		}
		s.step(row)
		s.answer()
		if !again.done || again.err != nil || again.v != 1 {
			t.Errorf("with %d operations meanwhile it is answered %+v", later, *again)
		}
	}
}

func TestASubmissionWhoseRowIsOlderThanTheDocumentIsAnsweredWithItsVersion(t *testing.T) {
	s := newStage(t, bornStore(t))
	s.answer()
	early := s.submits("c", insert(0, 1, "x"), true)
	row := ask(t.Context(), s.store, simDoc, s.hold()) // it knows of no operation
	for seq := range int64(2) {
		s.submits("c", insert(0, seq+1, "x"), true)
		s.answer()
	}
	s.step(row)
	s.answer()
	if !early.done || early.err != nil || early.v != 1 {
		t.Errorf("it is answered %+v", *early)
	}
}

func TestASubmissionWhoseLogIsBeingReadIsAnsweredWhenTheDocumentEnds(t *testing.T) {
	store := bornStore(t)
	fill(t, store, 20)
	s := newStage(t, store)
	s.answer()
	call := s.submits("c", insert(1, 1, "x"), false)
	s.step(ask(t.Context(), store, simDoc, s.hold())) // its row
	log, ok := s.hold().(effLog)
	if !ok || log.purpose.kind != toRebase {
		t.Fatalf("the store is asked %+v", log)
	}
	if err := store.Delete(t.Context(), simDoc, "ada", false); err != nil {
		t.Fatal(err)
	}
	s.step(evHead{Head{Deleted: true}})
	s.step(ask(t.Context(), store, simDoc, log))
	if !call.done || code(call.err) != protocol.Deleted {
		t.Errorf("it is answered %+v", *call)
	}
}

// An operation is rebased over parts of the store's log, which may be ahead of the node.
func TestAnOperationIsTakenByANodeThatIsBehindTheLogThatItIsRebasedOver(t *testing.T) {
	store := bornStore(t)
	fill(t, store, 20)
	s := newStage(t, store)
	s.answer()
	zero := int64(0)
	c := s.join("c", Write, s.now.Add(time.Hour), protocol.Hello{V: &zero})
	fill(t, store, 7) // the bus loses them
	s.op(c, 1, 1, "x")
	s.answer()
	if row, _ := store.Client(t.Context(), simDoc, "c"); row.Seq != 1 || s.ended[c] != "" {
		t.Errorf("its client has row %+v; the session was told %q and %q", row, s.sent[c][max(0, len(s.sent[c])-1):], s.ended[c])
	}
}

// The store tells of a deletion before the bus does: whoever has it asked learns that, and not that it is out of reach.
func TestWhoeverAsksTheStoreAfterADeletionIsToldOfIt(t *testing.T) {
	for _, what := range []string{"row", "rebase by call", "rebase", "welcome", "feed"} {
		store := bornStore(t)
		fill(t, store, 40)
		s := newStage(t, store)
		s.answer()
		zero := int64(0)
		c := s.join("c", Write, s.now.Add(time.Hour), protocol.Hello{})
		var call *said
		switch what {
		case "row":
			call = s.submits("d", insert(0, 1, "x"), true)
		case "rebase by call":
			call = s.submits("d", insert(1, 1, "x"), false)
			s.step(ask(t.Context(), store, simDoc, s.hold())) // its row
		case "rebase":
			s.op(c, 1, 1, "x")
		case "welcome":
			late := &session{id: "late", client: "l", ident: Identity{User: "ada", Expires: s.now.Add(time.Hour)}, role: Read, conn: nobody{}}
			s.step(evJoin{late, protocol.Hello{Client: "l", V: &zero}})
			s.step(ask(t.Context(), store, simDoc, s.hold())) // its row
		case "feed":
			c.frames += WindowFrames
			fill(t, store, 40)
			s.step(evHead{Head{Version: 80}})
			s.answer()
			s.step(evCredit{c, WindowFrames, 0})
		}
		if err := store.Delete(t.Context(), simDoc, "ada", true); err != nil {
			t.Fatal(err)
		}
		s.answer()
		if s.ended[c] != string(protocol.Deleted) || call != nil && code(call.err) != protocol.Deleted {
			t.Errorf("%s: the session was told %q, the call %+v", what, s.ended[c], call)
		}
	}
}
