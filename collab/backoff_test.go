package collab

import (
	"errors"
	"testing"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
)

// An append whose reply was lost has the log read again after a while; what the log has told then, nobody waits for any more.
func TestWhoComesAfterALostReplyDoesNotWait(t *testing.T) {
	store := bornStore(t)
	s := newStage(t, store)
	s.answer()
	session := s.join("ada", Write, s.now.Add(time.Hour), protocol.Hello{})
	s.op(session, 0, 1, "x")
	lost := s.hold().(effAppend)
	if err := store.Append(t.Context(), simDoc, lost.head, lost.ops); err != nil {
		t.Fatal(err)
	}
	s.step(evStored{errors.New("the reply was lost")})
	if e := s.hold().(effLog); e.after == 0 {
		t.Error("the log is read at once from a store that has just failed")
	} else {
		s.step(ask(t.Context(), store, simDoc, e))
	}
	s.step(evRead{func(Document, error) {}})
	if e := s.hold().(effLog); e.after != 0 {
		t.Errorf("a reading waits for %v, though the store has answered", e.after)
	}
}
