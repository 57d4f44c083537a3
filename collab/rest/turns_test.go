package rest

import (
	"context"
	"errors"
	"testing"

	"github.com/weft-collab/weft/collab/protocol"
)

func refused(err error) protocol.Code {
	var e *protocol.Error
	if !errors.As(err, &e) || e.RetryMS <= 0 {
		return ""
	}
	return e.Code
}

func TestAUserHasSomeCallsAtATimeAndKeepsNobodyElseWaiting(t *testing.T) {
	turns := newTurns(2, 1)
	over, cancel := context.WithCancel(t.Context()) // who has no time left does not wait
	cancel()
	var leave []func()
	for range 2 {
		l, err := turns.enter(t.Context(), "ada")
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, l)
	}
	if _, err := turns.enter(over, "ada"); refused(err) != protocol.RateLimited {
		t.Errorf("a third call is told %v", err)
	}
	if l, err := turns.enter(t.Context(), "bob"); err != nil {
		t.Errorf("another user is told %v", err)
	} else {
		leave = append(leave, l)
	}
	waits := make(chan error)
	go func() {
		l, err := turns.enter(t.Context(), "ada")
		if err == nil {
			l()
		}
		waits <- err
	}()
	leave[0]()
	if err := <-waits; err != nil {
		t.Errorf("when one has left the next is told %v", err)
	}
	for _, l := range leave[1:] {
		l()
	}
	if len(turns.users) != 0 {
		t.Errorf("nobody calls, and %d users are kept", len(turns.users))
	}
}

func TestCallsHoldNoMoreThanTheirBytes(t *testing.T) {
	turns := newTurns(0, 1000)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	one, two := &call{turns: turns}, &call{turns: turns}
	if err := one.hold(t.Context(), 5000); err != nil || one.held != 1000 {
		t.Fatalf("what is larger than all has all: %d, %v", one.held, err)
	}
	if err := two.hold(over, 1); refused(err) != protocol.Unavailable {
		t.Errorf("the next is told %v", err)
	}
	one.needs(600)
	if err := two.hold(over, 401); refused(err) != protocol.Unavailable {
		t.Errorf("one too many are taken: %v", err)
	}
	if err := two.hold(t.Context(), 400); err != nil {
		t.Error(err)
	}
	one.needs(0)
	two.needs(0)
	if err := one.hold(t.Context(), 1000); err != nil {
		t.Errorf("what was given back is not there: %v", err)
	}
}
