package collab

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
)

// drawBounds has a sixth of the worlds live in narrow bounds: so few bytes that parts of the log, frames,
// welcomes and the tail end before their operations are as many as they may be.
func (w *world) drawBounds() {
	w.rules = simRules()
	w.rules.nodeBytes = 1
	if w.narrow = w.one(6); !w.narrow {
		return
	}
	pick := func(of ...int) int { return of[w.rng.IntN(len(of))] }
	r := &w.rules
	r.frameBytes, r.tailBytes = pick(1, 60, 150, 150, 400, 400), pick(1, 200, 600, 1000)
	r.oldMost, r.tailOps = pick(1, 2), pick(6, 12)
	r.welcomeBytes, r.nodeBytes = pick(0, 1, 500, 3000), int64(pick(1, 500, 3000))
}

// othersUnread has the node's other documents send welcomes, or have all of theirs read.
func (n *simNode) othersUnread(bytes int64) {
	n.unread.Add(bytes - n.others)
	n.others = bytes
}

// checkBounds: what a bound has wait goes on as soon as there is room, and nothing grows past its own.
func (l *simLoop) checkBounds(base int64) {
	d, w, r := l.doc, l.n.w, &l.doc.rules
	if l.over || d.phase != open {
		return
	}
	if len(d.door) > 0 {
		w.count("a welcome waited until others were read")
		switch {
		case !d.crowded():
			w.fail("%s has %d wait for their welcome, and there is room", l.n.name, len(d.door))
		case r.welcomeBytes == 0 || d.unread < r.welcomeBytes:
			w.count("a welcome waited for the node's other documents")
		}
	}
	switch {
	case d.readingOld > r.oldMost:
		w.fail("%s reads the log for %d old operations at a time", l.n.name, d.readingOld)
	case len(d.old) > 0 && d.readingOld < r.oldMost:
		w.fail("%s has %d old operations wait, and reads the log for %d", l.n.name, len(d.old), d.readingOld)
	case len(d.old) > 0:
		w.count("an old operation waited for its turn")
	}
	if d.tail.overfull() {
		w.fail("%s keeps %d operations of %d bytes in memory", l.n.name, len(d.tail.ops), d.tail.bytes)
	}
	switch {
	case base < 0 || base == d.tail.base:
	case len(d.tail.ops) == r.tailOps:
		w.count("the tail was cut by its operations")
	default:
		w.count("the tail was cut by its bytes")
	}
}

// base is the version that the document's tail begins at; negative while there is none.
func (l *simLoop) base() int64 {
	if l.doc.phase != open {
		return -1
	}
	return l.doc.tail.base
}

// checkUnread: the bytes that are counted as unread are those of the sessions, in the document and in the node.
func (n *simNode) checkUnread() {
	node := n.others
	for _, l := range n.loops() {
		sum := 0
		for _, s := range l.doc.list {
			sum += s.unread
		}
		if sum != l.doc.unread {
			n.w.fail("%s counts %d bytes as unread, its sessions have %d", n.name, l.doc.unread, sum)
		}
		node += int64(sum)
	}
	if got := n.unread.Load(); got != node {
		n.w.fail("%s counts %d bytes as unread in all its documents, there are %d", n.name, got, node)
	}
}

// checkFrame: operations in one frame stay within its bound, but for one that stands alone.
func (c *simConn) checkFrame(frame []byte) {
	w := c.node.w
	if !w.narrow || frame[6] != 'o' && frame[6] != 'w' { // {"t":"…
		return
	}
	var v int64
	var wires [][]byte
	early := "a frame ended early for its bytes"
	switch m, _ := w.frames.of(frame); m := m.(type) {
	case *protocol.Ops:
		v = m.V + int64(len(m.Ops))
		for _, op := range m.Ops {
			wires = append(wires, protocol.AppendCommitted(nil, op))
		}
	case *protocol.Welcome:
		v, early = m.V, "a welcome stopped early for its bytes"
		for _, op := range m.Ops {
			wires = append(wires, op)
		}
	}
	if len(wires) == 0 {
		return
	}
	most, size := w.rules.frameBytes, len(bytes.Join(wires, []byte(",")))
	if len(wires) > 1 && size-len(wires)+1 > most {
		w.fail("%s sends %d operations of %d bytes in a frame", c.node.name, len(wires), size)
	}
	if v < c.loop.doc.head() && size+len(loggedOf(w.referee.log[v], nil).wire) >= most {
		w.count(early)
	}
}

// weighed is the bound of a reading. In a narrow world the bytes of those that rebuild content count for more.
func (s *simStore) weighed(maxBytes int) int {
	if s.w.narrow && maxBytes == rebuildBytes {
		return s.w.rules.frameBytes
	}
	return maxBytes
}

// cut counts a part of the log that its bound of bytes ended.
func (s *simStore) cut(doc string, from int64, ops []Operation, limit, maxBytes int) {
	if d := s.docs[doc]; maxBytes > 0 && len(ops) > 0 && len(ops) < limit && from+int64(len(ops)) < d.meta.Version {
		s.w.count("a part of the log was cut short by its bytes")
	}
}

// folds is what an operator does, or a node that keeps single operations for a time: by the engine's own Fold.
func (w *world) folds() bool {
	if w.store.docs[simDoc] == nil {
		return false
	}
	gone, err := Fold(context.Background(), w.store, simDoc, w.now.Add(-time.Duration(w.rng.IntN(20))*time.Second), nil)
	if errors.Is(err, ErrDeleted) {
		w.count("a fold met the deletion")
	}
	if err != nil && !isVerdict(err) {
		w.fail("old operations could not be folded: %v", err)
	}
	return gone > 0
}
