package collab

import (
	"context"
	"errors"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
)

// aftermath holds what follows a deletion against what was promised.
func (w *world) aftermath() {
	for _, part := range []func(){w.checkBereft, w.checkComers, w.checkCallers, w.checkShown, w.checkKept, w.checkForgotten} {
		if part(); w.over() {
			return
		}
	}
}

// checkBereft: every session was told, once, and every call was answered.
func (w *world) checkBereft() {
	for _, c := range w.bereft {
		switch {
		case c.told == 1:
			w.count("a session was told of the deletion")
		case !w.inOrder && (c.gone || c.dead): // the client left, or its node died
		case c.reason != string(protocol.TokenExpired):
			w.fail("%s had a session on %s, and was not told of the deletion; it ended as %q", c.client.name, c.node.name, c.reason)
		}
	}
	for _, n := range w.nodes {
		if len(n.conns) > 0 || n.open != nil || len(n.ending) > 0 {
			w.fail("%s still has %d connections, and the document in memory (%v), after the deletion", n.name, len(n.conns), n.loops())
		}
	}
	if b := w.bot; b.call != nil && !b.loop.dead {
		w.fail("a submission was not answered when the document was deleted")
	}
	for _, r := range w.reads {
		if !r.loop.dead {
			w.fail("a reading was not answered when the document was deleted")
		}
	}
	w.bot.call, w.reads = nil, nil
}

// checkComers: whoever comes is told that the document was deleted, whatever of it they have.
func (w *world) checkComers() {
	w.gathered()
	for i, c := range w.clients {
		if i%2 == 0 {
			c.content, c.v, c.last = nil, 0, nil
		}
		c.call(w.nodes[i%len(w.nodes)])
		conn := c.conn
		w.settle()
		if conn.told != 1 || !conn.closed || c.conn != nil {
			w.fail("%s comes after the deletion, and is told %d times, at the end %q", c.name, conn.told, conn.reason)
		}
	}
}

// gathered has all nodes take connections.
func (w *world) gathered() {
	for _, n := range w.nodes {
		if !n.serves() {
			n.die()
		}
		n.up = true
	}
}

// checkCallers: so is whoever calls by HTTP, and nothing is made under the document's id again.
func (w *world) checkCallers() {
	ctx := context.Background()
	for _, n := range w.nodes {
		w.bot.submits(n, false)
		w.settle()
		if w.bot.call != nil || w.bot.refused != protocol.Deleted {
			w.fail("%s: a submission after the deletion is answered: %q", n.name, w.bot.refused)
		}
	}
	w.reading()
	w.settle()
	if len(w.reads) > 0 {
		w.fail("a reading after the deletion is not answered")
	}
	for _, call := range []struct {
		what string
		make func(*Hub, Identity) error
	}{
		{"a handshake", func(h *Hub, id Identity) error { _, err := h.Admit(ctx, simDoc, id); return err }},
		{"a reading of old", func(h *Hub, id Identity) error { _, err := h.Read(ctx, id, simDoc, 0); return err }},
		{"the history", func(h *Hub, id Identity) error { _, _, err := h.History(ctx, id, simDoc, 0, 10); return err }},
		{"another creation", func(h *Hub, id Identity) error { _, err := h.Create(ctx, id, simDoc, w.typ, nil); return err }},
		{"a deletion once more", func(h *Hub, id Identity) error { return h.Delete(ctx, id, simDoc, false) }},
	} {
		if err := w.node().api("boss", Manage, call.make); codeOf(err) != protocol.Deleted {
			w.fail("%s after the deletion is answered: %v", call.what, err)
		}
	}
	if _, err := Fold(ctx, w.store, simDoc, w.now, nil); !errors.Is(err, ErrDeleted) {
		w.fail("a fold after the deletion ends with: %v", err)
	}
}

// checkKept: what was deleted and not purged stands in the store as it was.
func (w *world) checkKept() {
	if !w.purged {
		w.checkLog()
	}
	if !w.over() && w.one(2) { // it may be purged later
		if err := w.node().api("boss", Manage, func(h *Hub, id Identity) error { return h.Delete(context.Background(), id, simDoc, true) }); err != nil {
			w.fail("a deleted document cannot be purged: %v", err)
		}
		if _, err := w.store.memStore.Log(context.Background(), simDoc, 0, 1, 0); !errors.Is(err, ErrDeleted) {
			w.fail("the log of a purged document is read: %v", err)
		}
	}
}

// checkForgotten: nothing of the document stays with any node.
func (w *world) checkForgotten() {
	w.calm(2 * time.Second)
	for _, n := range w.nodes {
		if n.open != nil || len(n.ending)+len(n.conns) > 0 || n.unread.Load() != 0 {
			w.fail("%s keeps something of a deleted document: %v, %d connections, %d bytes unread", n.name, n.loops(), len(n.conns), n.unread.Load())
		}
	}
}
