package collab

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"
)

// simNode is one node: what its Hub holds, its link to the bus, its connections, its clock.
type simNode struct {
	w        *world
	name     string
	skew     time.Duration // of its clock
	up       bool
	unlinked bool // the bus is away
	draining bool
	open     *simLoop    // the document, as the hub finds it; nil: not in memory
	single   [1]*simLoop // for loops, where there is but that one
	ending   []*simLoop  // let go of by the hub, and still held by somebody
	conns    []*simConn
	compare  int64 // when heads are compared with the store
	unread   *atomic.Int64
	others   int64 // of these bytes, what other documents have
}

// simLoop does for a document what loop does, one thing at a time.
type simLoop struct {
	n      *simNode
	doc    *document
	refs   int
	vacant bool
	mail   []event     // in their order
	asked  []*simCall  // calls of the store that are under way
	done   []event     // what came of them, not yet delivered
	bus    [][]byte    // messages under way to it
	heads  []event     // of comparisons
	rights []*simRight // what the document was told of tokens
	next   int64       // when the document asks for a timer, in nanoseconds; 0: never
	over   bool
	dead   bool // its node died
}

// simCall is a call of the store: it is carried out at some time from then on, and given up after storeTimeout.
type simCall struct {
	l     *simLoop
	e     effect
	begun int64 // in nanoseconds
	from  time.Time
}

// simRight is what one session or call may do, by its latest token.
type simRight struct {
	s       *session
	client  string
	role    Role
	expires time.Time
}

var errSim = errors.New("the store did not answer")

func (n *simNode) now() time.Time { return n.w.now.Add(n.skew) }

func (n *simNode) loops() []*simLoop {
	switch {
	case n.open == nil:
		return slices.Clone(n.ending) // one may end while the others are walked over
	case len(n.ending) == 0:
		n.single[0] = n.open
		return n.single[:]
	}
	return append(n.ending[:len(n.ending):len(n.ending)], n.open)
}

func (n *simNode) rules() rules {
	r := n.w.rules
	r.nodeUnread = n.unread
	return r
}

// acquire, release and unload are the hub's.
func (n *simNode) acquire() *simLoop {
	if n.open == nil {
		if n.draining {
			return nil
		}
		n.open = &simLoop{n: n, doc: newDocument(simDoc, n.rules())}
		n.open.perform(n.open.doc.begin(n.now()))
		if n.open == nil {
			return nil // it died of it
		}
		n.open.asks()
	}
	if n.open.doc.unloading {
		n.w.count("somebody came while it unloaded")
	}
	n.open.refs++
	return n.open
}

func (l *simLoop) release() {
	if l.refs--; l.refs == 0 && l.vacant {
		l.vacant = false
		l.heads = append(l.heads, evStay{})
	}
}

func (l *simLoop) unload() bool {
	n := l.n
	if l.refs > 0 {
		l.vacant = true
		n.w.count("held while it wanted to unload")
		if l.doc.phase == finished && n.open == l {
			n.open, n.ending = nil, append(n.ending, l)
		}
		return false
	}
	n.w.count("evicted")
	l.over = true
	if n.open == l {
		n.open = nil
	}
	n.ending = slices.DeleteFunc(n.ending, func(o *simLoop) bool { return o == l })
	return true
}

func (l *simLoop) step(ev event) {
	if l.n.up && !l.over {
		base := l.base()
		l.perform(l.doc.step(l.n.now(), ev))
		l.checkFed()
		l.checkTimer()
		l.checkBounds(base)
		l.asks()
	}
}

// asks notes when the document asks for a timer.
func (l *simLoop) asks() {
	if l.next = 0; !l.doc.next.IsZero() {
		l.next = l.doc.next.UnixNano()
	}
}

// tick has the clock's events happen.
func (n *simNode) tick() {
	if !n.up {
		return
	}
	for _, l := range n.loops() {
		if l.next != 0 && n.w.ns+int64(n.skew) >= l.next {
			l.step(evTimer{})
		}
		for i := 0; i < len(l.asked); i++ {
			if c := l.asked[i]; n.w.ns-c.begun >= int64(storeTimeout) {
				l.asked = slices.Delete(l.asked, i, i+1)
				i--
				n.w.count("a call of the store was given up")
				l.done = append(l.done, failed(c.e))
				if _, ok := c.e.(effAppend); ok {
					n.w.late = append(n.w.late, c)
				}
			}
		}
	}
	every := 3 * time.Second
	if n.unlinked {
		every = time.Second
	}
	if n.w.ns-n.compare >= int64(every) {
		n.compareHeads()
	}
}

func (n *simNode) compareHeads() {
	n.compare = n.w.ns
	n.checkTokens()
	n.checkUnread()
	if n.open == nil {
		return
	}
	heads, _ := n.w.store.memStore.Heads(context.Background(), []string{simDoc})
	if h, ok := heads[simDoc]; ok {
		if h.Version > n.open.doc.head() {
			n.w.count("a comparison of heads found it behind")
		}
		n.open.heads = append(n.open.heads, evHead{h})
	}
}

// perform does effects in order; a node may die between any two of them.
func (l *simLoop) perform(effects []effect) {
	n := l.n
	for _, e := range effects {
		if n.w.fault(1, 4000) {
			n.w.count("died between two effects")
			n.die()
			return
		}
		switch e := e.(type) {
		case effSend:
			if n.w.tell != nil {
				n.w.trace("  %s to %s: %s", n.name, e.s.id, e.frame)
			}
			e.s.conn.Send(e.frame)
			if !e.s.window() {
				n.w.count("window stayed shut")
			}
		case effClose:
			n.w.trace("  %s closes %s: %d %s", n.name, e.s.id, e.code, e.reason)
			e.s.conn.Close(e.last, e.code, e.reason)
		case effPublish:
			n.publish(e.msg)
		case effDo:
			e.do()
		case effWarn:
			n.warned(e)
		case effUnload:
			if l.unload() {
				return
			}
		default:
			l.start(e)
		}
	}
}

func (l *simLoop) start(e effect) {
	w := l.n.w
	c := &simCall{l: l, e: e, begun: w.ns, from: w.now}
	if log, ok := e.(effLog); ok {
		c.from = c.from.Add(log.after)
		c.begun = c.from.UnixNano()
	}
	if a, ok := e.(effAppend); ok {
		l.judge(a)
	}
	switch {
	case w.fault(1, 60):
		w.count("store stalled")
		c.from = w.within(3 * time.Second)
	case w.fault(1, 400):
		w.count("store stalled for long")
		c.from = w.within(15 * time.Second)
	}
	l.asked = append(l.asked, c)
}

// deliver hands an event to the document, and keeps what it says of rights.
func (l *simLoop) deliver(ev event) {
	switch ev := ev.(type) {
	case evJoin:
		l.rights = append(l.rights, &simRight{ev.s, ev.s.client, ev.s.role, ev.s.ident.Expires})
	case evSubmit:
		l.rights = append(l.rights, &simRight{nil, ev.call.client, ev.call.role, ev.call.expires})
	case evToken:
		for _, r := range l.rights {
			if r.s == ev.s && !ev.s.ended && ev.err == nil {
				r.role, r.expires = ev.id.Role(simDoc), ev.id.Expires
			}
		}
	}
	l.step(ev)
}

// works has a node do one thing that is under way.
func (n *simNode) works() {
	w := n.w
	if !n.up {
		if w.one(10) || w.ending {
			n.up = true
			w.count("restarted")
		}
		return
	}
	if n.draining && len(n.loops()) == 0 {
		w.count("drained to the end")
		n.die()
		return
	}
	all := n.loops()
	if len(all) == 0 {
		return
	}
	kind := w.rng.IntN(5)
	for i, l := 0, all[w.rng.IntN(len(all))]; i < 5 && !l.works((kind+i)%5); i++ {
	}
}

// works has one thing happen, of one kind, and reports whether there was any.
func (l *simLoop) works(kind int) bool {
	w := l.n.w
	switch {
	case kind == 0 && len(l.bus) > 0:
		msg := l.bus[0]
		l.bus = l.bus[1:]
		l.step(evBus{msg})
	case kind == 1 && len(l.asked) > 0:
		i := w.rng.IntN(len(l.asked))
		c := l.asked[i]
		if w.now.Before(c.from) {
			return false
		}
		l.asked = slices.Delete(l.asked, i, i+1)
		l.done = append(l.done, l.ask(c.e))
	case kind == 2 && len(l.done) > 0:
		i := w.rng.IntN(len(l.done))
		ev := l.done[i]
		l.done = slices.Delete(l.done, i, i+1)
		l.step(ev)
	case kind == 3 && len(l.mail) > 0:
		ev := l.mail[0]
		l.mail = l.mail[1:]
		l.deliver(ev)
	case kind == 4 && len(l.heads) > 0:
		ev := l.heads[0]
		l.heads = l.heads[1:]
		l.step(ev)
	default:
		return false
	}
	return true
}

// settles has everything happen that is under way, and reports whether anything did.
func (n *simNode) settles() (moved bool) {
	for _, l := range n.loops() {
		for kind := range 5 {
			for l.works(kind) {
				moved = true
			}
		}
	}
	return moved
}

// ask carries out a call of the store, or has it fail.
func (l *simLoop) ask(e effect) event {
	w := l.n.w
	if _, ok := e.(effAppend); ok && w.fault(1, 25) {
		if w.one(2) {
			w.count("store failed before the commit")
			return evStored{errSim}
		}
		if ev := ask(context.Background(), w.store, simDoc, e).(evStored); ev.err != nil {
			return ev
		}
		w.count("store failed after the commit")
		return evStored{errSim}
	}
	if w.fault(1, 80) {
		w.count("store failed at something else")
		return failed(e)
	}
	ev := ask(context.Background(), w.store, simDoc, e)
	if ev, ok := ev.(evStored); ok && errors.Is(ev.err, ErrConflict) {
		w.count("conflict")
	}
	return ev
}

// failed is what comes of a call that the store did not answer.
func failed(e effect) event {
	switch e := e.(type) {
	case effLoad:
		return evLoaded{err: errSim}
	case effCreate:
		return evCreated{err: errSim}
	case effGreet:
		return evGreeted{s: e.s, err: errSim}
	case effRow:
		return evRow{call: e.call, err: errSim}
	case effLog:
		return evLog{e.purpose, e.from, nil, errSim}
	case effAppend:
		return evStored{errSim}
	case effSnapshot:
		return evSnapshotted{e.version, errSim}
	}
	panic("collab: unknown effect")
}

// carriesOut has the store do what it was asked long ago, when nobody waits for it any more.
func (w *world) carriesOut(c *simCall) {
	a := c.e.(effAppend)
	if err := w.store.Append(context.Background(), simDoc, a.head, a.ops); err == nil {
		w.count("an append that was given up was carried out")
	} else {
		w.count("an append that was given up came too late")
	}
}

// serves reports whether the node takes connections.
func (n *simNode) serves() bool { return n.up && !n.draining }
