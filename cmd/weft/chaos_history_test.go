package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weft-collab/weft/collab/client"
	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

// history is what the clients of one document did and saw, to be held against the store
// afterwards. Its methods may be called from any goroutine.
type history struct {
	doc     string
	clients []*scribe // set before the first edit

	mu      sync.Mutex
	made    []time.Time              // when each edit was made; the index is its mark's
	acks    map[string]string        // "client/seq": the delta that came back to its author
	sent    map[string][]protocol.Op // "client/seq": every copy that went out, at another version each
	seen    map[int64]string         // by version: the operation that clients were shown
	odd     []string                 // what no client should have seen
	arrived map[rune]time.Time       // when another client first saw a mark; nil where it is not watched
}

// scribe is an honest client that stays to the end.
type scribe struct {
	*client.Client
	id    string // client id that it began with
	reads bool   // and never edits

	// Guarded by history.mu.
	made, acked int         // marks
	times       []time.Time // when each of the acked ones came back
	welcomes    []time.Time
}

func newHistory(doc string) *history {
	return &history{doc: doc, acks: map[string]string{}, sent: map[string][]protocol.Op{}, seen: map[int64]string{}}
}

// firstMark is that of the first edit. Every mark is two UTF-16 units, and a document has
// nothing but marks, so that none is ever split or deleted.
const firstMark = 0x10000

// open adds a client that uses servers in turn.
func (h *history) open(ctx context.Context, t *testing.T, user string, servers []string) *scribe {
	p := &scribe{id: newClient()}
	h.clients = append(h.clients, p)
	p.Client = client.Open(ctx, client.Config{
		Servers: servers, Doc: h.doc, Type: ot.Text, ID: p.id, Backoff: 50 * time.Millisecond,
		Token:       func(context.Context) (string, error) { return token(t, user, time.Hour, "*=write"), nil },
		OnOperation: func(r *client.Replica, op protocol.Committed, own bool) { h.operation(p, r.Version(), op, own) },
		OnWelcome: func(*client.Replica, string) {
			h.mu.Lock()
			p.welcomes = append(p.welcomes, time.Now())
			h.mu.Unlock()
		},
		OnSend: func(r *client.Replica, op protocol.Op) { h.goesOut(r.Client(), op) },
	})
	return p
}

// edit has a client write a mark of its own somewhere.
func (h *history) edit(p *scribe, place int) error {
	return p.Edit(func(content *ot.Document) ot.Delta {
		h.mu.Lock()
		mark := rune(firstMark + len(h.made))
		h.made = append(h.made, time.Now())
		p.made++
		h.mu.Unlock()
		return ot.New().Retain(2 * (place % (content.Len()/2 + 1))).Insert(string(mark))
	})
}

// write has a client edit at random places, again and again, until writing ends.
func (h *history) write(ctx, writing context.Context, t *testing.T, p *scribe, seed uint64, every time.Duration) {
	if err := p.Ready(ctx); err != nil {
		t.Errorf("%s cannot begin: %v", p.id, err)
		return
	}
	r := rand.New(rand.NewPCG(seed, 0))
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-writing.Done():
			return
		case <-tick.C:
		}
		if err := h.edit(p, r.IntN(1<<20)); err != nil {
			t.Errorf("%s cannot edit: %v", p.id, err)
			return
		}
	}
}

func (h *history) goesOut(client string, op protocol.Op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := fmt.Sprintf("%s/%d", client, op.Seq)
	if !slices.ContainsFunc(h.sent[key], func(before protocol.Op) bool { return before.V == op.V }) {
		h.sent[key] = append(h.sent[key], op)
	}
}

// operation notes what a client is shown.
func (h *history) operation(p *scribe, version int64, op protocol.Committed, own bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := fmt.Sprintf("%s/%d", op.Client, op.Seq)
	text := key + " " + string(op.Delta)
	if before, ok := h.seen[version]; ok && before != text {
		h.odd = append(h.odd, fmt.Sprintf("version %d was shown as %s and as %s", version, before, text))
	}
	h.seen[version] = text
	now := time.Now()
	if own {
		if _, twice := h.acks[key]; twice {
			h.odd = append(h.odd, key+" came back to its author twice")
		}
		h.acks[key] = string(op.Delta)
	} else if h.arrived == nil {
		return
	}
	for _, mark := range string(op.Delta) {
		switch {
		case mark < firstMark:
		case own:
			p.acked++
			p.times = append(p.times, now)
		case h.arrived[mark].IsZero():
			h.arrived[mark] = now
		}
	}
}

// moment is how many edits each client had made.
type moment struct {
	at   time.Time
	made []int
}

func (h *history) now() moment {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := moment{at: time.Now()}
	for _, p := range h.clients {
		m.made = append(m.made, p.made)
	}
	return m
}

// back waits until an edit that each client made after a moment has come back to it, and
// tells how long the slowest client took.
func (h *history) back(ctx context.Context, m moment) (time.Duration, error) {
	slowest := time.Duration(0)
	for i, p := range h.clients {
		if p.reads {
			continue
		}
		err := p.Wait(ctx, func(*client.Replica) bool {
			h.mu.Lock()
			defer h.mu.Unlock()
			if p.acked <= m.made[i] {
				return false
			}
			slowest = max(slowest, p.times[m.made[i]].Sub(m.at))
			return true
		})
		if err != nil {
			return 0, fmt.Errorf("client %d does not get its edits stored: %w", i, err)
		}
	}
	return slowest, nil
}

// rest waits until every edit is stored and every client has all of them.
func (h *history) rest(ctx context.Context) error {
	for i, p := range h.clients {
		if err := p.Flush(ctx); err != nil {
			return fmt.Errorf("client %d cannot store what it has: %w", i, err)
		}
	}
	var newest int64
	for _, p := range h.clients {
		p.Do(func(r *client.Replica) { newest = max(newest, r.Version()) })
	}
	for i, p := range h.clients {
		if err := p.Wait(ctx, func(r *client.Replica) bool { return r.Version() >= newest && r.Unsent() == 0 }); err != nil {
			return fmt.Errorf("client %d does not get to version %d: %w", i, newest, err)
		}
	}
	return nil
}

// delays are how long edits took to reach another client, the shortest first.
func (h *history) delays() []time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []time.Duration
	for mark, at := range h.arrived {
		all = append(all, at.Sub(h.made[mark-firstMark]))
	}
	slices.Sort(all)
	return all
}

// acknowledged is how many operations have come back to their authors.
func (h *history) acknowledged() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.acks)
}

// close ends the clients.
func (h *history) close() {
	var work sync.WaitGroup
	for _, p := range h.clients {
		work.Go(p.Close)
	}
	work.Wait()
}
