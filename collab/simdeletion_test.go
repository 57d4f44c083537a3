package collab

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
)

// perishes has a young document be deleted, at any moment, and judges what comes of it.
func (w *world) perishes() {
	w.restores, w.duplicates = false, false
	w.rules.snapshotEvery, w.rules.tailOps, w.rules.loadedOps = 4, 4, 2
	for n := w.rng.IntN(400); n > 0 && !w.over(); n-- {
		w.step()
	}
	purge, byHTTP := w.one(3), w.one(2)
	if w.one(2) {
		w.deletedInOrder(purge, byHTTP)
	} else {
		w.deletedInDisorder(purge, byHTTP)
	}
	if !w.over() {
		w.aftermath()
	}
}

// deletedInOrder deletes while everything is under way and nothing fails: whoever has a session is told at once
// where the deletion came by a node, and where it came by the store alone at the next comparison of heads.
func (w *world) deletedInOrder(purge, byHTTP bool) {
	w.ends()
	w.calm(16 * time.Second) // what the store has not answered yet is given up
	w.gathered()
	for _, c := range w.clients {
		switch {
		case c.conn == nil:
			c.acts()
		case c.conn.welcomed && c.conn.role >= Write:
			c.edit()
			c.send()
		}
	}
	if w.referee.contents != nil {
		w.reading()
		w.bot.submits(w.node(), false)
	}
	for n := w.rng.IntN(60); n > 0 && !w.over(); n-- {
		w.step()
	}
	for w.store.docs[simDoc] == nil && !w.over() { // it has to be there
		w.clients[0].acts()
		w.calm(time.Second)
	}
	w.inOrder, w.firm = true, true
	for !w.gone && !w.over() {
		w.deletes(w.node(), purge, byHTTP)
	}
	w.settle()
	if !byHTTP {
		w.calm(4 * time.Second)
	}
}

// deletedInDisorder deletes in the midst of faults, or between two calls of somebody who reads or folds.
func (w *world) deletedInDisorder(purge, byHTTP bool) {
	w.due = func() { w.deletes(w.node(), purge, byHTTP) }
	for n := w.rng.IntN(30); n > 0 && !w.gone && !w.over(); n-- {
		if w.one(20) {
			w.folds()
		}
		w.step()
	}
	for !w.gone && !w.over() {
		w.deletes(w.node(), purge, byHTTP)
		w.step()
	}
	for n := w.rng.IntN(200); n > 0 && !w.over(); n-- {
		w.step()
	}
	w.ends()
	w.calm(16 * time.Second)
	w.firm = true
}

// deletes does what a user does who may, by one node's API, or an operator, in the store.
func (w *world) deletes(n *simNode, purge, byHTTP bool) {
	if !byHTTP {
		err := w.store.Delete(context.Background(), simDoc, "operator", purge)
		if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, errSim) {
			w.fail("the store does not delete: %v", err)
		}
		return
	}
	if !n.serves() {
		return
	}
	if err := n.api("writer", Write, func(h *Hub, id Identity) error { return h.Delete(context.Background(), id, simDoc, purge) }); codeOf(err) != protocol.Forbidden || w.gone {
		w.fail("who may write alone deletes: %v", err)
	}
	w.deleter = n
	err := n.api("boss", Manage, func(h *Hub, id Identity) error { return h.Delete(context.Background(), id, simDoc, purge) })
	w.trace("%s is to delete: %v", n.name, err)
	switch code := codeOf(err); {
	case err == nil && w.gone, code == protocol.NotFound && w.store.docs[simDoc] == nil:
	case code == protocol.Unavailable && !w.firm:
	default:
		w.fail("a deletion is answered: %v", err)
	}
}

// api makes a call of the node's Hub, and hands the document what it has for it.
func (n *simNode) api(user string, role Role, call func(*Hub, Identity) error) error {
	l := &loop{}
	h := &Hub{store: n.w.store, bus: simBus{n: n}, log: slog.New(slog.DiscardHandler), docs: map[string]*loop{simDoc: l}}
	err := call(h, n.w.identity(user, role))
	if n.open != nil {
		n.open.heads = append(n.open.heads, l.signals...)
	}
	return err
}

// simBus is the bus as a node's Hub sees it.
type simBus struct {
	Bus
	n *simNode
}

func (b simBus) Publish(_ string, msg []byte) {
	if b.n.up {
		b.n.publish(msg)
	}
}

func codeOf(err error) protocol.Code {
	var e *protocol.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// Delete of the store may fail, and its node may die before it tells anybody.
func (s *simStore) Delete(ctx context.Context, doc, by string, purge bool) error {
	w := s.w
	if w.fault(1, 10) {
		w.count("a deletion failed before its commit")
		return errSim
	}
	err := s.memStore.Delete(ctx, doc, by, purge)
	if err != nil || w.gone {
		return err
	}
	w.gone = true
	w.bereaved(by, purge)
	switch {
	case w.fault(1, 10):
		w.count("a deletion failed after its commit")
		return errSim
	case by == "boss" && w.fault(1, 4):
		w.count("a node died before it told of a deletion")
		w.deleter.die()
	}
	return nil
}

// bereaved notes who has a session when the document is deleted, and counts what is under way.
func (w *world) bereaved(by string, purge bool) {
	w.trace("  deleted by %s, purged: %v", by, purge)
	w.count("deleted by " + by)
	if w.purged = purge; purge {
		w.count("purged")
	}
	served := 0
	for _, n := range w.nodes {
		for _, c := range n.conns {
			if !c.gone && !c.closed && c.client.conn == c {
				w.bereft = append(w.bereft, c)
			}
		}
		for _, l := range n.loops() {
			served += min(1, len(l.doc.sessions))
			if l.doc.phase == loading {
				w.count("deleted while it was opened")
			}
			for _, c := range l.asked {
				w.countUnderWay(c.e)
			}
		}
	}
	if served > 1 {
		w.count("deleted under sessions of several nodes")
	}
	if slices.ContainsFunc(w.clients, func(c *simClient) bool { return c.flying && c.conn != nil }) {
		w.count("deleted while an operation was in flight")
	}
	if w.bot.call != nil {
		w.count("deleted while a submission was under way")
	}
	if len(w.reads) > 0 {
		w.count("deleted while a reading was under way")
	}
}

func (w *world) countUnderWay(e effect) {
	switch e.(type) {
	case effAppend:
		w.count("deleted while an append was under way")
	case effSnapshot:
		w.count("deleted while a snapshot was written")
	case effGreet:
		w.count("deleted while a session was greeted")
	case effLog:
		w.count("deleted while the log was read")
	}
}
