package collab

import (
	"bytes"
	"sync/atomic"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
)

// publish has the bus carry a message, or not.
func (n *simNode) publish(msg []byte) {
	w := n.w
	if w.deaf {
		return
	}
	if n.unlinked {
		w.count("published while the bus was away")
		return
	}
	for _, other := range w.nodes {
		if other == n || !other.up || other.open == nil || other.unlinked {
			continue
		}
		l := other.open
		switch {
		case w.fault(10, 100):
			w.count("bus dropped")
			continue
		case w.fault(5, 100):
			w.count("bus repeated")
			l.bus = append(l.bus, msg)
		}
		if bytes.HasPrefix(msg, []byte(`{"t":"ops"`)) {
			w.count("operations went by the bus")
		}
		l.bus = append(l.bus, msg)
		if k := len(l.bus); k > 1 && w.fault(20, 100) {
			w.count("bus reordered")
			l.bus[k-1], l.bus[k-2] = l.bus[k-2], l.bus[k-1]
		}
	}
}

// linked cuts a node from the bus, or joins it again; then it is told that there was a gap.
func (n *simNode) linked(up bool) {
	if n.unlinked == !up {
		return
	}
	n.unlinked = !up
	if !up {
		n.w.count("bus went down")
		for _, l := range n.loops() {
			l.bus = nil
		}
		return
	}
	n.w.count("bus came back")
	if n.up {
		n.compareHeads()
		if n.open != nil {
			n.open.bus = append(n.open.bus, backMessage())
		}
	}
}

// die is SIGKILL: nothing of the node is left.
func (n *simNode) die() {
	for _, l := range n.loops() {
		for _, ev := range l.done {
			if stored, ok := ev.(evStored); ok && stored.err == nil {
				n.w.count("died between the commit and its acknowledgement")
			}
		}
		for _, c := range l.asked {
			if _, ok := c.e.(effAppend); ok && n.w.fault(1, 2) {
				n.w.late = append(n.w.late, c) // it may be on its way already
			}
		}
		l.over, l.dead = true, true
	}
	n.up, n.draining, n.open, n.ending, n.unread, n.others = false, false, nil, nil, new(atomic.Int64), 0
	for _, c := range n.conns {
		c.dead = c.dead || !c.gone
		c.gone = true
		if c.client.conn == c {
			c.client.conn, c.client.retry = nil, time.Time{}
		}
	}
	n.conns = nil
}

func (n *simNode) drain() {
	n.w.count("drained")
	n.draining = true
	for _, l := range n.loops() {
		l.heads = append(l.heads, evDrain{time.Second})
	}
}

func (w *world) faults() {
	if w.ending {
		return
	}
	n := w.node()
	switch w.rng.IntN(16) {
	case 0:
		if n.up {
			w.count("killed")
			n.die()
		}
	case 1:
		n.linked(false)
	case 2, 3, 4:
		for _, n := range w.nodes {
			n.linked(true)
		}
	case 5, 6:
		if w.one(2) && (w.one(2) && w.folds() || w.store.fold(simDoc)) {
			w.count("log compacted")
			w.away()
		}
	case 7, 8:
		if len(n.conns) > 0 {
			w.count("a client stopped reading")
			n.conns[w.rng.IntN(len(n.conns))].stuck = w.within(20 * time.Second)
		}
	case 9:
		if n.serves() && w.one(2) {
			n.drain()
		}
	case 10:
		if d := w.store.docs[simDoc]; d != nil {
			w.backup = d.clone()
		}
	case 11:
		if w.restores && w.one(4) {
			w.restore()
		}
	case 12:
		if w.duplicates && w.one(4) {
			w.duplicate(w.clients[w.rng.IntN(4)])
		}
	case 13:
		n.othersUnread(w.rng.Int64N(2) * w.rng.Int64N(4000))
	}
}

// away counts the clients that the folded log no longer serves with operations.
func (w *world) away() {
	for _, c := range w.clients {
		if c.conn == nil && c.content != nil && c.v < w.store.docs[simDoc].folded {
			w.count("log compacted under a client that was away")
		}
	}
}

// restore is what an operator does: all nodes stopped, the store as it was, nodes started.
func (w *world) restore() {
	if w.backup == nil || w.referee.head() == w.backup.meta.Version {
		return
	}
	w.count("backup restored")
	for _, n := range w.nodes {
		if n.up {
			n.die()
		}
	}
	w.late, w.bot.call, w.reads = nil, nil, nil
	w.store.docs[simDoc] = w.backup.clone()
	w.referee.restored(w.backup.meta.Version)
	w.epoch++
}

// duplicate is a tab that is opened twice, in a browser without locks: both edit under one client id.
func (w *world) duplicate(c *simClient) {
	if len(w.clients) > 5 || c.content == nil {
		return
	}
	w.count("a tab was duplicated")
	c.save()
	w.shared[c.id] = true
	for _, m := range c.unsent() {
		w.referee.allow(m, 0, 3, "unsent when the tab was duplicated")
	}
	twin := &simClient{w: w, name: "twin", user: c.user, saved: c.saved}
	twin.reload()
	twin.save()
	w.clients = append(w.clients, twin)
}

// pendingElsewhere counts copies of an operation that reach a node while another has one.
func (n *simNode) pendingElsewhere(client string, op protocol.Op) {
	for _, other := range n.w.nodes {
		for _, l := range other.loops() {
			for _, p := range l.doc.pending {
				if p.client != client || p.seq != op.Seq {
					continue
				}
				if other != n {
					n.w.count("a copy pending on another node")
				} else {
					n.w.count("a copy pending on this node")
				}
			}
		}
	}
	if n.open != nil && op.V+5 <= n.open.doc.head() {
		n.w.count("rebased over five or more")
	}
}
