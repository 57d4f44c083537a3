package collab

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

var (
	simSeeds = flag.Int("sim.seeds", 300, "how many simulations to run")
	simFrom  = flag.Uint64("sim.from", 1, "the first seed")
)

const simDoc = "d"

// world is a whole system in one thread: nodes, their store and bus, clients and
// everything that can go wrong between them, drawn from one seed.
type world struct {
	t       *testing.T
	seed    uint64
	rng     *rand.Rand
	now     time.Time
	store   *memStore
	nodes   []*simNode
	clients []*simClient
	counts  map[string]int
	ending  bool // no more faults: everything is to come to rest

	marks     int
	doubtful  map[rune]bool     // may be there twice, or not at all
	acks      map[string]string // "client/seq" -> delta as its author got it
	said      map[int64]string  // version -> operation as any client saw it
	mayForget map[string]bool
	failed    string
}

// simNode is one node: its document, what it waits for, its connections.
type simNode struct {
	w     *world
	name  string
	up    bool
	doc   *document // nil: not open
	asked []effect  // effects of the store, under way
	done  []event   // their results, not yet delivered
	bus   [][]byte  // messages under way to it
	conns []*simConn
}

// simConn is a connection between a client and a node: two ordered streams.
type simConn struct {
	client   *simClient
	node     *simNode
	s        *session
	toServer [][]byte
	toClient [][]byte
	welcomed bool
	gone     bool // the client has hung up, or the network has
	stuck    bool // the client does not read
	closed   bool // by the server: what is on its way still arrives
}

func (c *simConn) Send(frame []byte) { c.toClient = append(c.toClient, frame) }
func (c *simConn) Close(last []byte, _ int, _ string) {
	if last != nil {
		c.toClient = append(c.toClient, last)
	}
	c.closed = true
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_700_000_000, 0), store: newMemStore(),
		counts: map[string]int{}, doubtful: map[rune]bool{}, acks: map[string]string{}, said: map[int64]string{}, mayForget: map[string]bool{},
	}
	w.store.now = func() time.Time { return w.now }
	for i := range 3 {
		w.nodes = append(w.nodes, &simNode{w: w, name: fmt.Sprintf("node%d", i), up: true})
	}
	for i := range 5 {
		c := &simClient{w: w, name: fmt.Sprintf("client%d", i), reader: i == 4}
		c.id = w.clientID()
		c.save()
		w.clients = append(w.clients, c)
	}
	return w
}

func (w *world) fail(format string, args ...any) {
	if w.failed == "" {
		w.failed = fmt.Sprintf("seed %d: ", w.seed) + fmt.Sprintf(format, args...)
	}
}

func (w *world) count(what string)       { w.counts[what]++ }
func (w *world) chance(percent int) bool { return !w.ending && w.rng.IntN(100) < percent }
func (w *world) clientID() string        { return randID(w.rng) }
func (w *world) mark() rune              { w.marks++; return rune(0xF0000 + w.marks) }
func (w *world) acked(op protocol.Committed) {
	w.acks[fmt.Sprintf("%s/%d", op.Client, op.Seq)] = string(op.Delta)
}

// seen notes that a client was shown an operation at a version.
func (w *world) seen(c *simClient, v int64, op protocol.Committed) {
	text := fmt.Sprintf("%s/%d %s", op.Client, op.Seq, op.Delta)
	if before, ok := w.said[v]; ok && before != text {
		w.fail("%s was shown %s at version %d, another one %s", c.name, text, v, before)
	}
	w.said[v] = text
}

func simRules() rules {
	return rules{
		limits: protocol.Limits{Message: 1 << 20, Document: 1 << 20, Attributes: 4096, Presence: 2048}, sessions: 100, batch: 4,
		snapshotEvery: 16, idleAfter: 2 * time.Second, slowAfter: 10 * time.Second, storeAfter: time.Minute,
		tellEvery: 40 * time.Millisecond, announceEvery: 10 * time.Second, forgetAfter: 25 * time.Second,
	}
}

// step has one thing happen, anywhere.
func (w *world) step() {
	w.now = w.now.Add(time.Duration(w.rng.IntN(20)) * time.Millisecond)
	for _, n := range w.nodes {
		n.tick()
	}
	switch r := w.rng.IntN(100); {
	case r < 25:
		w.clientActs(w.clients[w.rng.IntN(len(w.clients))])
	case r < 60:
		w.connMoves()
	case r < 97:
		w.nodes[w.rng.IntN(len(w.nodes))].works()
	default:
		w.faults()
	}
}

func (w *world) clientActs(c *simClient) {
	switch {
	case c.conn == nil:
		if n := w.nodes[w.rng.IntN(len(w.nodes))]; n.up {
			c.call(n)
		}
		if w.rng.IntN(2) == 0 && !w.ending {
			c.edit() // offline
		}
	case w.chance(3):
		w.count("vanished with an operation in flight")
		c.hangUp()
	case w.chance(2):
		w.count("reloaded")
		c.reload()
	case w.rng.IntN(3) == 0 || w.ending:
		c.send()
	case w.chance(5):
		if c.conn.welcomed && c.content != nil && !c.flying && len(c.buffer) == 0 {
			p := protocol.Presence{V: c.v, Cursor: &protocol.Cursor{Index: w.rng.IntN(c.content.Len() + 1)}}
			c.conn.toServer = append(c.conn.toServer, p.Append(nil))
		}
	case !w.ending:
		c.edit()
	}
}

// connMoves has one frame cross one connection.
func (w *world) connMoves() {
	var all []*simConn
	for _, n := range w.nodes {
		all = append(all, n.conns...)
	}
	if len(all) == 0 {
		return
	}
	c := all[w.rng.IntN(len(all))]
	if w.rng.IntN(2) == 0 {
		c.serverReads()
		return
	}
	c.clientReads()
}

func (c *simConn) serverReads() {
	n := c.node
	switch {
	case len(c.toServer) > 0 && !c.closed:
		frame := c.toServer[0]
		c.toServer = c.toServer[1:]
		m, err := protocol.Decode(frame, protocol.Limits{Message: 1 << 20, Attributes: 4096, Presence: 2048})
		if err != nil {
			n.w.fail("an honest client's message: %v: %s", err, frame)
			return
		}
		if hello, ok := m.(protocol.Hello); ok {
			id := Identity{User: c.client.name, Expires: n.w.now.Add(24 * time.Hour), Docs: map[string]Role{"*": Write}}
			role := Write
			if c.client.reader {
				role = Read
			}
			c.s = &session{id: randID(n.w.rng), client: hello.Client, ident: id, role: role, conn: c}
			n.open()
			n.tell(evJoin{c.s, hello})
			return
		}
		n.tell(evMessage{c.s, m})
	case len(c.toServer) == 0 && c.gone:
		// The socket's end is seen when all before it was read.
		n.drop(c)
	}
}

// drop is the end of a connection as its node sees it.
func (n *simNode) drop(c *simConn) {
	n.conns = slices.DeleteFunc(n.conns, func(o *simConn) bool { return o == c })
	if c.s != nil {
		n.tell(evLeave{c.s})
	}
}

func (c *simConn) clientReads() {
	w := c.node.w
	if c.gone || c.client.conn != c {
		return
	}
	if c.stuck && !w.ending {
		if w.chance(10) {
			c.stuck = false
		}
		return
	}
	if len(c.toClient) > 0 {
		frame := c.toClient[0]
		c.toClient = c.toClient[1:]
		if c.s != nil && !c.closed {
			c.node.tell(evCredit{c.s, 1, len(frame)})
		}
		if c.gone {
			return // the node died of it
		}
		c.client.read(frame)
		return
	}
	if c.closed {
		c.client.hangUp()
		c.node.conns = slices.DeleteFunc(c.node.conns, func(o *simConn) bool { return o == c })
		if c.s != nil {
			c.node.tell(evLeave{c.s})
		}
	}
}

func (n *simNode) open() {
	if n.doc == nil {
		n.doc = newDocument(simDoc, simRules())
		n.perform(n.doc.begin(n.w.now))
	}
}

func (n *simNode) tell(ev event) {
	if n.up && n.doc != nil {
		n.perform(n.doc.step(n.w.now, ev))
	}
}

func (n *simNode) tick() {
	if n.up && n.doc != nil && !n.doc.next.IsZero() && !n.w.now.Before(n.doc.next) {
		n.tell(evTimer{})
	}
}

// perform does effects in order; a node may die between any two of them.
func (n *simNode) perform(effects []effect) {
	for _, e := range effects {
		if n.w.rng.IntN(4000) == 0 && !n.w.ending {
			n.w.count("died between two effects")
			n.die()
			return
		}
		switch e := e.(type) {
		case effSend:
			e.s.conn.Send(e.frame)
		case effClose:
			e.s.conn.Close(e.last, e.code, e.reason)
		case effPublish:
			n.publish(e.msg)
		case effDo:
			e.do()
		case effWarn:
			if strings.Contains(e.msg, "does not apply") {
				n.w.fail("%s: %s: %v", n.name, e.msg, e.err)
			}
			n.w.count("warned: " + e.msg)
		case effUnload:
			if n.w.hasConns(n) {
				n.done = append(n.done, evStay{})
				continue
			}
			n.w.count("evicted")
			n.doc, n.asked, n.done, n.bus = nil, nil, nil, nil
			return
		default:
			n.asked = append(n.asked, e)
		}
	}
}

func (w *world) hasConns(n *simNode) bool {
	for _, c := range n.conns {
		if c.s != nil {
			return true
		}
	}
	return false
}

func (n *simNode) publish(msg []byte) {
	for _, other := range n.w.nodes {
		if other == n || !other.up || other.doc == nil {
			continue
		}
		switch {
		case n.w.chance(10):
			n.w.count("bus dropped")
			continue
		case n.w.chance(5):
			n.w.count("bus repeated")
			other.bus = append(other.bus, msg)
		}
		other.bus = append(other.bus, msg)
		if k := len(other.bus); k > 1 && n.w.chance(20) {
			n.w.count("bus reordered")
			other.bus[k-1], other.bus[k-2] = other.bus[k-2], other.bus[k-1]
		}
	}
}

var errSim = errors.New("the store did not answer")

// works has a node do one thing that is under way.
func (n *simNode) works() {
	w := n.w
	if !n.up {
		if w.rng.IntN(10) == 0 || w.ending {
			n.up = true
			w.count("restarted")
		}
		return
	}
	switch r := w.rng.IntN(4); {
	case r == 0 && len(n.bus) > 0:
		msg := n.bus[0]
		n.bus = n.bus[1:]
		n.tell(evBus{msg})
	case r == 1 && len(n.asked) > 0:
		i := w.rng.IntN(len(n.asked))
		e := n.asked[i]
		n.asked = slices.Delete(n.asked, i, i+1)
		n.done = append(n.done, n.ask(e))
	case r == 2 && len(n.done) > 0:
		i := w.rng.IntN(len(n.done))
		ev := n.done[i]
		n.done = slices.Delete(n.done, i, i+1)
		n.tell(ev)
	case r == 3 && n.doc != nil && w.rng.IntN(8) == 0:
		heads, _ := w.store.Heads(context.Background(), []string{simDoc})
		if h, ok := heads[simDoc]; ok {
			n.tell(evHead{h})
		}
	}
}

func (n *simNode) ask(e effect) event {
	w := n.w
	if _, ok := e.(effAppend); ok && w.chance(4) {
		if w.rng.IntN(2) == 0 {
			w.count("store failed before the commit")
			return evStored{errSim}
		}
		w.count("store failed after the commit")
		if ev := ask(context.Background(), w.store, simDoc, e).(evStored); ev.err != nil {
			return ev
		}
		return evStored{errSim}
	}
	if e, ok := e.(effLog); ok && w.chance(3) {
		w.count("store failed at reading")
		return evLog{e.purpose, e.from, nil, errSim}
	}
	ev := ask(context.Background(), w.store, simDoc, e)
	if ev, ok := ev.(evStored); ok && errors.Is(ev.err, ErrConflict) {
		w.count("conflict")
	}
	return ev
}

func (n *simNode) die() {
	n.up, n.doc, n.asked, n.done, n.bus = false, nil, nil, nil, nil
	for _, c := range n.conns {
		c.gone = true
		if c.client.conn == c {
			c.client.conn = nil
		}
	}
	n.conns = nil
}

func (w *world) faults() {
	if w.ending {
		return
	}
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	switch w.rng.IntN(12) {
	case 0:
		if n.up {
			w.count("killed")
			n.die()
		}
	case 1:
		if len(n.bus) > 0 {
			w.count("bus went down")
			n.bus = nil
		}
	case 2:
		if w.store.fold(simDoc) {
			w.count("log compacted")
		}
	case 3, 4:
		if len(n.conns) > 0 {
			w.count("window stayed shut")
			n.conns[w.rng.IntN(len(n.conns))].stuck = true
		}
	}
}

// rest lets everything come to rest, without faults.
func (w *world) rest() {
	w.ending = true
	for _, n := range w.nodes {
		n.up = true
	}
	for range 400_000 {
		w.step()
		if w.failed != "" || w.still() {
			return
		}
	}
	for _, c := range w.clients {
		w.t.Log(c)
	}
	w.fail("it does not come to rest")
}

func (w *world) still() bool {
	head := int64(-1)
	if d := w.store.docs[simDoc]; d != nil {
		head = d.meta.Version
	}
	for _, c := range w.clients {
		if c.conn == nil || c.conn.closed || !c.conn.welcomed || c.flying || len(c.buffer) > 0 || c.v != head || len(c.conn.toClient) > 0 {
			return false
		}
	}
	return true
}

// check holds the fixed list of invariants against what happened.
func (w *world) check() {
	d := w.store.docs[simDoc]
	if d == nil {
		w.fail("nothing was stored")
		return
	}
	if int64(len(d.ops)) != d.meta.Version-d.folded {
		w.fail("the log has a hole")
	}
	rows := map[string]int64{}
	for i, op := range d.ops {
		key := fmt.Sprintf("%s/%d", op.Client, op.Seq)
		if before, ok := rows[op.Client]; ok && op.Seq != before+1 {
			w.fail("%s comes after seq %d", key, before)
		}
		rows[op.Client] = op.Seq
		if got, ok := w.acks[key]; ok && got != string(op.Delta) {
			w.fail("%s was acknowledged as %s and is stored as %s", key, got, op.Delta)
		}
		v := d.folded + int64(i) + 1
		if said, ok := w.said[v]; ok && said != fmt.Sprintf("%s %s", key, op.Delta) {
			w.fail("version %d was shown as %s and is %s %s", v, said, key, op.Delta)
		}
	}
	for key := range w.acks {
		client, seq, _ := strings.Cut(key, "/")
		if row := d.clients[client]; fmt.Sprint(row.Seq) < seq && row.Seq < 10 && len(seq) == 1 {
			w.fail("%s was acknowledged and is not stored", key)
		}
	}
	_, content, err := contentAt(context.Background(), w.store, d.meta, d.meta.Version)
	if err != nil {
		w.fail("the store does not rebuild the document: %v", err)
		return
	}
	truth := string(content.AppendJSON(nil))
	for _, c := range w.clients {
		if got := string(c.content.AppendJSON(nil)); got != truth {
			w.fail("%s holds %s, the store %s", c.name, got, truth)
		}
	}
	for _, n := range w.nodes {
		if n.doc != nil && n.doc.phase == open && n.doc.head() == d.meta.Version {
			if got := string(n.doc.content.AppendJSON(nil)); got != truth {
				w.fail("%s holds %s, the store %s", n.name, got, truth)
			}
		}
	}
	w.checkMarks(content)
}

func (w *world) checkMarks(content *ot.Document) {
	times := map[rune]int{}
	for _, r := range content.Text() {
		times[r]++
	}
	for i := 1; i <= w.marks; i++ {
		m := rune(0xF0000 + i)
		if times[m] != 1 && !w.doubtful[m] {
			w.fail("edit %d stands in the content %d times", i, times[m])
		}
	}
}

func simulate(t *testing.T, seed uint64) *world {
	w := newWorld(t, seed)
	for w.marks < 200 && w.failed == "" {
		w.step()
	}
	if w.failed == "" {
		w.rest()
	}
	if w.failed == "" {
		w.check()
	}
	return w
}

// TestNothingIsLostUnderAnyOrderOfEvents runs whole systems from seeds.
func TestNothingIsLostUnderAnyOrderOfEvents(t *testing.T) {
	counts := map[string]int{}
	bad := 0
	for i := range *simSeeds {
		w := simulate(t, *simFrom+uint64(i))
		for k, n := range w.counts {
			counts[k] += n
		}
		if w.failed != "" {
			t.Error(w.failed)
			if bad++; bad == 5 {
				break
			}
		}
	}
	for _, what := range sortedKeys(counts) {
		t.Logf("%8d %s", counts[what], what)
	}
	wanted := []string{
		"bus dropped", "bus repeated", "bus reordered", "bus went down", "conflict", "store failed before the commit",
		"store failed after the commit", "store failed at reading", "vanished with an operation in flight", "reloaded", "sent twice", "killed",
		"died between two effects", "restarted", "evicted", "window stayed shut", "log compacted",
	}
	if *simSeeds >= 5000 { // rarer than one in a thousand
		wanted = append(wanted, "compared otherwise", "an operation given up was stored after all")
	}
	for _, what := range wanted {
		if counts[what] == 0 && *simSeeds >= 100 {
			t.Errorf("this never happened: %s", what)
		}
	}
}
