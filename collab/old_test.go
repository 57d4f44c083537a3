package collab

import (
	"fmt"
	"testing"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
)

// Operations that are older than what is in memory are dealt with a few at a time, and with a part
// of the log for each in turn; those of sessions that have left do not stand in the way.
func TestOldOperationsTakeTurns(t *testing.T) {
	s := newStage(t, longStore(t, 50))
	s.answer()
	var all []*session
	for i := range 5 {
		all = append(all, s.join(fmt.Sprint("old", i), Write, s.now.Add(time.Hour), protocol.Hello{}))
	}
	for _, session := range all {
		s.op(session, 0, 1, "x")
	}
	s.step(evLeave{all[2]})
	parts := map[string]int{}
	for len(s.asked) > 0 {
		reads, first := 0, ""
		for _, e := range s.asked {
			if e, ok := e.(effLog); ok && e.purpose.kind == toRebase {
				if reads++; first == "" {
					first = e.purpose.s.client
				}
			}
		}
		if reads > oldMost {
			t.Fatalf("the log is read for %d operations at a time", reads)
		}
		if parts[first]++; first != "" {
			for _, session := range all {
				if n := parts[session.client]; session != all[2] && n < parts[first]-2 {
					t.Errorf("%s has had %d parts of the log, %s %d", first, parts[first], session.client, n)
				}
			}
		}
		e := s.hold()
		s.step(ask(t.Context(), s.store, simDoc, e))
	}
	if head := s.d.head(); head != 54 || parts[all[2].client] != 0 {
		t.Errorf("the document is at version %d, and for who has left %d parts were read", head, parts[all[2].client])
	}
	if len(s.d.old)+s.d.readingOld != 0 {
		t.Errorf("%d wait, %d are read", len(s.d.old), s.d.readingOld)
	}
}
