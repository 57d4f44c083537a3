package collab

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

const (
	simDoc        = "d"
	simOperations = 200
)

// world is a whole system in one thread: nodes, their store and bus, clients and
// everything that can go wrong between them, drawn from one seed.
type world struct {
	seed uint64
	rng  *rand.Rand
	tell func(string, ...any) // nil: in silence

	rules  rules
	narrow bool // its bounds of bytes are small

	now     time.Time
	ns      int64 // now, in nanoseconds
	typ     ot.Type
	life    time.Duration // of a token
	store   *simStore
	referee *referee
	nodes   []*simNode
	clients []*simClient
	bot     *simBot
	reads   []*simRead
	late    []*simCall // calls of the store whose callers have given up, and that may still be carried out
	backup  *memDoc

	restores, duplicates bool // whether these may happen at all
	hasty                bool // clients start over at every bad_version

	epoch   int // how often a backup was restored
	shared  map[string]bool
	users   map[string]string      // by client id
	cursors map[string][]simCursor // that sessions have told, in order
	marks   int                    // edits made
	sent    int                    // operations sent, not counting again
	counts  map[string]int
	frames  memo[protocol.ServerMessage]
	deltas  memo[ot.Delta] // of the log
	deaf    bool           // the bus loses everything
	ending  bool           // no more faults: everything is to come to rest
	due     func()         // deletes the document, between two calls of a reader
	gone    bool           // it was deleted
	purged  bool           // with its history
	inOrder bool           // while nothing failed
	firm    bool           // nothing but that is a reason to turn anybody away
	deleter *simNode       // that was asked to delete it
	bereft  []*simConn     // that had a session then
	failed  string
	moot    bool // what happened cannot be judged
}

func newWorld(seed, stream uint64, tell func(string, ...any)) *world {
	w := &world{
		seed: seed, tell: tell, rng: rand.New(rand.NewPCG(seed, stream)), now: time.Unix(1_700_000_000, 0).UTC(),
		typ: ot.Rich, life: 24 * time.Hour, counts: map[string]int{}, shared: map[string]bool{}, users: map[string]string{}, cursors: map[string][]simCursor{},
		frames: memoOf(protocol.DecodeServer), deltas: memoOf(ot.Decode),
	}
	w.ns = w.now.UnixNano()
	w.referee = newReferee(w)
	w.store = &simStore{newMemStore(), w}
	w.store.now = func() time.Time { return w.now }
	w.drawBounds()
	skew := time.Duration(0)
	switch w.rng.IntN(4) {
	case 0:
		skew = 10 * time.Minute
	case 1:
		skew = time.Second
		w.life = time.Duration(5+w.rng.IntN(30)) * time.Second
	}
	w.restores, w.duplicates, w.hasty = w.one(6), w.one(6), w.one(8)
	if w.one(5) {
		w.typ = ot.Text
	}
	for i := range 3 {
		n := &simNode{w: w, name: fmt.Sprintf("node%d", i), up: true, unread: new(atomic.Int64)}
		if skew > 0 {
			n.skew = time.Duration(w.rng.Int64N(2*int64(skew))) - skew
		}
		w.nodes = append(w.nodes, n)
	}
	for i := range 5 {
		c := &simClient{w: w, name: fmt.Sprintf("client%d", i), reader: i == 4}
		c.user = c.name
		c.id = w.client(c.user)
		c.save()
		w.clients = append(w.clients, c)
	}
	w.bot = &simBot{w: w, id: w.client("bot"), user: "bot"}
	return w
}

// memo reads each bytes once: many clients are sent the same.
type memo[T any] struct {
	read func([]byte) (T, error)
	seen map[string]T
}

func memoOf[T any](read func([]byte) (T, error)) memo[T] { return memo[T]{read, map[string]T{}} }

func (m memo[T]) of(wire []byte) (T, error) {
	if v, ok := m.seen[string(wire)]; ok {
		return v, nil
	}
	v, err := m.read(wire)
	if err == nil {
		m.seen[string(wire)] = v
	}
	return v, err
}

func (w *world) fail(format string, args ...any) {
	if w.failed == "" {
		w.failed = fmt.Sprintf("seed %d: ", w.seed) + fmt.Sprintf(format, args...) +
			fmt.Sprintf("\n  again: go test ./collab -run NothingIsLost -sim.from %d -sim.seeds 1 -v", w.seed)
		w.trace("FAILED: %s", w.failed)
	}
}

func (w *world) trace(format string, args ...any) {
	if w.tell != nil {
		w.tell("%s "+format, append([]any{w.now.Format("04:05.000")}, args...)...)
	}
}

func (w *world) count(what string) {
	if w.counts[what]++; w.tell != nil {
		w.trace("* %s", what)
	}
}
func (w *world) one(of int) bool        { return w.rng.IntN(of) == 0 }
func (w *world) fault(one, of int) bool { return !w.ending && w.rng.IntN(of) < one }
func (w *world) draw() string           { return fmt.Sprintf("c%016x", w.rng.Uint64()) }
func (w *world) client(user string) string {
	id := w.draw()
	w.users[id] = user
	return id
}
func (w *world) node() *simNode { return w.nodes[w.rng.IntN(len(w.nodes))] }
func (w *world) over() bool     { return w.failed != "" || w.moot }
func (w *world) within(d time.Duration) time.Time {
	return w.now.Add(time.Duration(w.rng.Int64N(int64(d))))
}

func simRules() rules {
	return rules{
		limits: protocol.Limits{Message: 1 << 20, Document: 1 << 20, Attributes: 4096, OpsPerS: 1, Presence: 2048}, sessions: 100, welcomeBytes: 1, batch: 4,
		snapshotEvery: 16, idleAfter: 2 * time.Second, slowAfter: 10 * time.Second, storeAfter: 20 * time.Second,
		tellEvery: time.Second, announceEvery: 10 * time.Second, forgetAfter: 25 * time.Second, tailOps: 12, tailBytes: tailBytes, loadedOps: 6,
		frameBytes: frameBytes, oldMost: oldMost,
	}
}

// step has one thing happen, anywhere.
func (w *world) step() {
	w.passes(time.Duration(w.rng.IntN(20)) * time.Millisecond)
	if w.one(300) {
		w.passes(time.Duration(w.rng.IntN(4000)) * time.Millisecond)
	}
	switch r := w.rng.IntN(100); {
	case r < 24:
		w.clients[w.rng.IntN(len(w.clients))].acts()
	case r < 60:
		w.connMoves()
	case r < 96:
		w.node().works()
	case r < 98:
		w.callsByHTTP()
	case w.one(2):
		w.faults()
	}
}

func (w *world) passes(d time.Duration) {
	w.now, w.ns = w.now.Add(d), w.ns+int64(d)
	for _, n := range w.nodes {
		n.tick()
	}
	for i := 0; i < len(w.late); i++ {
		if c := w.late[i]; !w.now.Before(c.from) {
			w.late = append(w.late[:i], w.late[i+1:]...)
			w.carriesOut(c)
			i--
		}
	}
}

// connMoves has one frame cross one connection.
func (w *world) connMoves() {
	n := 0
	for _, node := range w.nodes {
		n += len(node.conns)
	}
	if n == 0 {
		return
	}
	at := w.rng.IntN(n)
	for range n {
		c := w.conn(at)
		toServer := w.one(2)
		if c.moves(toServer) || c.moves(!toServer) {
			return
		}
		at = (at + 1) % n
	}
}

func (w *world) conn(at int) *simConn {
	for _, node := range w.nodes {
		if at < len(node.conns) {
			return node.conns[at]
		}
		at -= len(node.conns)
	}
	return nil
}

// ends has no more faults happen.
func (w *world) ends() {
	w.ending, w.life = true, 24*time.Hour
	for _, n := range w.nodes {
		n.linked(true)
		n.othersUnread(0)
	}
}

// rest lets everything come to rest, without faults.
func (w *world) rest() {
	w.ends()
	for range 20_000 {
		for range 16 {
			w.step()
			if w.over() {
				return
			}
		}
		if w.still() {
			return
		}
	}
	for _, c := range w.clients {
		w.trace("%s", c)
	}
	w.fail("it does not come to rest: %v, bot %+v", w.clients, *w.bot)
}

// silence has the bus lose the last message of all: only the store's heads tell other nodes of it.
func (w *world) silence() {
	w.calm(16 * time.Second) // stores answer, and an operation is allowed again
	before := w.referee.head()
	w.deaf = true
	for _, c := range w.clients {
		if !w.over() && c.conn != nil && c.conn.welcomed && !c.conn.closed && c.conn.role >= Write {
			c.edit()
			c.send()
			break
		}
	}
	w.calm(4 * time.Second)
	w.deaf = false
	if w.referee.head() == before {
		return
	}
	w.count("the bus lost the last message of all")
	for _, c := range w.clients {
		if c.conn != nil && c.conn.welcomed && !c.conn.closed && c.v != w.referee.head() {
			w.fail("%s is at version %d, and nothing tells it of version %d", c.name, c.v, w.referee.head())
		}
	}
}

// still reports whether every client has everything, and nothing of anyone is unsent.
func (w *world) still() bool {
	head := w.referee.head()
	for _, c := range w.clients {
		if c.conn == nil || c.conn.closed || !c.conn.welcomed || c.flying || len(c.buffer) > 0 || c.v != head || len(c.conn.toClient) > 0 {
			return false
		}
		if c.conn.role != c.role() || c.conn.expires.Sub(w.now) < time.Hour {
			return false
		}
	}
	for _, n := range w.nodes {
		if !n.up {
			return false
		}
	}
	return w.bot.call == nil && !w.bot.unsent && len(w.late) == 0 && len(w.reads) == 0
}

// calm lets time go by, in which everything that is under way arrives and nobody does anything.
func (w *world) calm(d time.Duration) {
	for ; d > 0 && !w.over(); d -= 500 * time.Millisecond {
		w.passes(500 * time.Millisecond)
		w.settle()
	}
}

// settle has everything arrive that is under way now.
func (w *world) settle() {
	for n, moved := 0, true; moved && !w.over(); n++ {
		if moved = false; n > 5000 {
			w.fail("what is under way never comes to its end: %v", w.clients)
		}
		for _, n := range w.nodes {
			for _, c := range append([]*simConn(nil), n.conns...) {
				moved = c.moves(true) || moved
				moved = c.moves(false) || moved
			}
			moved = n.settles() || moved
		}
	}
}
