package collab

import (
	"strings"
	"testing"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
)

// stranger joins with a client id that is not his: everybody who reads a document sees those of its authors.
func (s *stage) stranger(client string) *session {
	bob := &session{id: "stranger", client: client, ident: Identity{User: "bob", Expires: s.now.Add(time.Hour)}, role: Write, conn: nobody{}}
	v := s.d.head()
	hello := protocol.Hello{Client: client, V: &v}
	if op, ok := s.d.tail.made(v); ok {
		hello.Last = op.origin()
	}
	s.step(evJoin{bob, hello})
	return bob
}

func TestAStrangerWithTheSameClientIDReplacesNobody(t *testing.T) {
	s := newStage(t, bornStore(t))
	s.answer()
	ada := s.join("c", Write, s.now.Add(time.Hour), protocol.Hello{})
	s.now = s.now.Add(time.Second)
	bob := s.stranger("c")
	s.step(evBus{joinMessage(&session{id: "elsewhere", client: "c", ident: Identity{User: "carol"}, since: s.now.Add(time.Second).UnixMicro()})})
	s.answer()
	s.op(ada, 0, 1, "x")
	s.answer()
	if s.ended[ada] != "" || !strings.Contains(strings.Join(s.sent[ada], ""), `"c":"c","seq":1`) {
		t.Errorf("the client's own session was sent %q and told %q at its end", s.sent[ada], s.ended[ada])
	}
	s.op(bob, 1, 2, "y")
	s.answer()
	if s.ended[bob] != string(protocol.ClientTaken) {
		t.Errorf("the stranger was told %q", s.ended[bob])
	}
}

func TestAStrangersOperationIsNoCopyOfOneThatIsPending(t *testing.T) {
	for _, seq := range []int64{1, 2} {
		s := newStage(t, bornStore(t))
		s.answer()
		ada := s.join("c", Write, s.now.Add(time.Hour), protocol.Hello{})
		bob := s.stranger("c") // nothing is known of the client yet
		s.answer()
		s.op(ada, 0, 1, "x")
		s.op(bob, 0, seq, "y")
		if s.ended[bob] != string(protocol.ClientTaken) {
			t.Errorf("seq %d: the stranger was told %q", seq, s.ended[bob])
		}
		s.answer()
		if row, _ := s.store.Client(t.Context(), simDoc, "c"); row.User != "ada" || row.Seq != 1 || s.ended[ada] != "" {
			t.Errorf("seq %d: the client's row is %+v, and its session was told %q", seq, row, s.ended[ada])
		}
	}
}

// The clock of the other node is ahead: what this node has heard of is older than who comes now.
func TestASessionIsNewerThanThoseItsNodeHasHeardOf(t *testing.T) {
	s := newStage(t, bornStore(t))
	s.answer()
	elsewhere := joinMessage(&session{id: "elsewhere", client: "c", ident: Identity{User: "ada"}, since: s.now.Add(time.Hour).UnixMicro()})
	s.step(evBus{elsewhere})
	ada := s.join("c", Write, s.now.Add(time.Hour), protocol.Hello{})
	s.answer()
	s.step(evBus{elsewhere})
	s.answer()
	if s.ended[ada] != "" {
		t.Errorf("the newer session was told %q", s.ended[ada])
	}
	s.step(evBus{joinMessage(&session{id: "next", client: "c", ident: Identity{User: "ada"}, since: ada.since + 1})})
	s.answer()
	if s.ended[ada] != string(protocol.Replaced) {
		t.Errorf("the older session was told %q", s.ended[ada])
	}
}
