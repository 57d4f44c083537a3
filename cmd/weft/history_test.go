package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/client"
	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

// history is what the clients of one document did and saw, to be held against the store
// afterwards. Its methods may be called from any goroutine.
type history struct {
	doc     string
	folds   bool      // the log is folded meanwhile; what the store no longer tells, clients were shown
	clients []*scribe // set before the first edit

	mu      sync.Mutex
	made    []time.Time          // when each edit was made; the index is its mark's
	acks    map[string]string    // "client/seq": the delta that came back to its author
	sent    map[string][]sending // "client/seq": every copy that went out, at another version each
	seen    map[int64]shown      // by version: the operation that clients were shown
	jumps   []jump               // where clients got content in place of operations
	lost    map[rune]bool        // marks that were stored, and that the backup does not have which was restored
	odd     []string             // what no client should have seen
	arrived map[rune]time.Time   // when another client first saw a mark; nil where it is not watched
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
	nodes       []string // that welcomed it
	now         string   // client id that it has by now; "" before the first welcome
	version     int64    // that it has followed the log to
	jumps       int
	ahead       bool // of the store, since that was restored: it has to start over
}

// shown is an operation as clients see it.
type shown struct {
	client string
	seq    int64
	user   string
	delta  string
}

func (s shown) key() string    { return fmt.Sprintf("%s/%d", s.client, s.seq) }
func (s shown) String() string { return fmt.Sprintf("%s of %s, %s", s.key(), s.user, s.delta) }

// sending is an operation as it went out.
type sending struct {
	protocol.Op
	jumps int // that its author had behind it
}

// jump is where a client got the content of a version, and not the operations up to it.
type jump struct {
	client   string
	from, to int64
}

func newHistory(doc string) *history {
	return &history{doc: doc, acks: map[string]string{}, sent: map[string][]sending{}, seen: map[int64]shown{}, lost: map[rune]bool{}}
}

// firstMark is that of the first edit. Every mark is two UTF-16 units, and a document has
// nothing but marks, so that none is ever split or deleted.
const firstMark = 0x10000

// open adds a client that uses servers in turn.
func (h *history) open(ctx context.Context, t *testing.T, user string, servers ...string) *scribe {
	p := &scribe{id: newClient()}
	h.clients = append(h.clients, p)
	p.Client = client.Open(ctx, client.Config{
		Servers: servers, Doc: h.doc, Type: ot.Text, ID: p.id, Backoff: 50 * time.Millisecond,
		Token:       func(context.Context) (string, error) { return token(t, user, time.Hour, "*=write"), nil },
		OnOperation: func(r *client.Replica, op protocol.Committed, own bool) { h.operation(p, r.Version(), op, own) },
		OnWelcome: func(r *client.Replica, node string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.follow(p, r.Client(), r.Version())
			p.welcomes, p.nodes = append(p.welcomes, time.Now()), append(p.nodes, node)
		},
		OnSend: func(r *client.Replica, op protocol.Op) { h.goesOut(p, r.Client(), op) },
	})
	return p
}

// follow notes the version that a client is at. Where no operation has brought it there,
// content has. h.mu is held.
func (h *history) follow(p *scribe, id string, version int64) {
	if p.now != "" && (version != p.version || id != p.now) {
		if !h.folds && !p.ahead {
			h.odd = append(h.odd, fmt.Sprintf("%s, at version %d, got the content of version %d as %s", p.now, p.version, version, id))
		}
		h.jumps = append(h.jumps, jump{id, p.version, version})
		p.jumps++
	}
	p.now, p.version = id, version
}

// queued is how many operations a client has wait one by one. Only what it writes beyond them,
// as it does while nothing is stored, is composed.
const queued = 3

// edit has a client write a mark of its own, and an operation of its own while the client
// is not too far ahead: somewhere, or at the end where place is negative.
func (h *history) edit(p *scribe, place int) (mark rune, err error) {
	p.Do(func(r *client.Replica) {
		if r.View() == nil {
			err = errors.New("the document has not come yet")
			return
		}
		h.mu.Lock()
		mark = rune(firstMark + len(h.made))
		h.made = append(h.made, time.Now())
		p.made++
		h.mu.Unlock()
		if r.Unsent() < queued {
			r.Seal()
		}
		places := r.View().Len()/2 + 1
		if place < 0 {
			place = places - 1
		}
		d := ot.New()
		if at := 2 * (place % places); at > 0 {
			d = d.Retain(at)
		}
		err = r.Edit(d.Insert(string(mark)))
	})
	return mark, err
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
		if _, err := h.edit(p, r.IntN(1<<20)); err != nil {
			t.Errorf("%s cannot edit: %v", p.id, err)
			return
		}
	}
}

// writeInTurn has a client make edits, each when the one before is stored, while more says so of their number.
func (h *history) writeInTurn(ctx context.Context, t *testing.T, p *scribe, more func(n int) bool) {
	err := p.Ready(ctx)
	for n := 0; err == nil && more(n); n++ {
		if _, err = h.edit(p, n*7); err == nil {
			err = p.Flush(ctx)
		}
	}
	if err != nil {
		t.Errorf("%s cannot write: %v", p.id, err)
	}
}

func (h *history) goesOut(p *scribe, id string, op protocol.Op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.follow(p, id, op.V)
	key := fmt.Sprintf("%s/%d", id, op.Seq)
	if !slices.ContainsFunc(h.sent[key], func(before sending) bool { return before.V == op.V }) {
		h.sent[key] = append(h.sent[key], sending{op, p.jumps})
	}
}

// operation notes what a client is shown.
func (h *history) operation(p *scribe, version int64, op protocol.Committed, own bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.follow(p, p.now, version-1)
	p.version = version
	s := h.shown(version, op)
	now := time.Now()
	if own {
		if _, twice := h.acks[s.key()]; twice {
			h.odd = append(h.odd, s.key()+" came back to its author twice")
		}
		h.acks[s.key()] = s.delta
	} else if h.arrived == nil {
		return
	}
	for _, mark := range marksOf(s.delta) {
		switch {
		case own:
			p.acked++
			p.times = append(p.times, now)
		case h.arrived[mark].IsZero():
			h.arrived[mark] = now
		}
	}
}

// shown notes the operation of a version, which is the same for everybody. h.mu is held.
func (h *history) shown(version int64, op protocol.Committed) shown {
	s := shown{op.Client, op.Seq, op.User, string(op.Delta)}
	if before, ok := h.seen[version]; ok && before != s {
		h.odd = append(h.odd, fmt.Sprintf("version %d was shown as %v and as %v", version, before, s))
	}
	h.seen[version] = s
	return s
}

func marksOf(delta string) (all []rune) {
	for _, r := range delta {
		if r >= firstMark {
			all = append(all, r)
		}
	}
	return all
}

// remember notes the log as the store has it, to be held against what clients are shown,
// and returns its head: before it is folded, or after it was restored.
func (h *history) remember(ctx context.Context, t testing.TB, store collab.Store) int64 {
	t.Helper()
	meta, err := store.Meta(ctx, h.doc)
	if err != nil {
		t.Fatal(err)
	}
	log, err := store.Log(ctx, h.doc, meta.Folded, int(meta.Version), 0)
	if err != nil || int64(len(log)) != meta.Version-meta.Folded {
		t.Fatalf("of versions %d to %d there are %d (%v)", meta.Folded, meta.Version, len(log), err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, op := range log {
		h.shown(meta.Folded+int64(i)+1, protocol.Committed{Client: op.Client, Seq: op.Seq, User: op.User, Delta: op.Delta})
	}
	return meta.Version
}

// restored tells that the store is a backup from now on. What clients were shown up to its
// head is what it has; what came after is lost, with its marks, and nobody sends it again;
// and who had followed the log further has to start over.
func (h *history) restored(ctx context.Context, t testing.TB, store collab.Store) {
	t.Helper()
	head := h.remember(ctx, t, store)
	h.mu.Lock()
	defer h.mu.Unlock()
	for v, s := range h.seen {
		if v > head {
			delete(h.seen, v)
			delete(h.acks, s.key())
			for _, mark := range marksOf(s.delta) {
				h.lost[mark] = true
			}
		}
	}
	for _, p := range h.clients {
		p.ahead = p.version > head
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

// acknowledgements are the operations that have come back to their authors.
func (h *history) acknowledgements() map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.acks)
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
