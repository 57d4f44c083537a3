package collab

import (
	"slices"

	"github.com/weft-collab/weft/collab/protocol"
)

// simCursor is where a client said that it was.
type simCursor struct {
	user  string
	v     int64
	index int
}

// meet takes what a client is told of others at version v.
func (c *simClient) meet(v int64, peers []protocol.Peer) {
	for _, p := range peers {
		switch {
		case p.Session == c.session:
			c.w.fail("%s was told of itself", c.name)
		case p.Left:
			delete(c.peers, p.Session)
		default:
			c.peers[p.Session] = true
			c.w.checkCursor(v, p)
		}
	}
}

// checkCursor: a cursor is one that its session had, carried over every operation since.
func (w *world) checkCursor(v int64, p protocol.Peer) {
	if p.Cursor == nil {
		return
	}
	said := w.cursors[p.Session]
	carried := slices.ContainsFunc(said, func(at simCursor) bool {
		return at.v <= v && at.user == p.User.ID && p.Cursor.Length == 0 && w.referee.carry(at, v) == p.Cursor.Index
	})
	if !carried {
		w.fail("at version %d session %s of %s is told to be at %d; it was, version by version, at %v", v, p.Session, p.User.ID, p.Cursor.Index, said)
	}
	if len(said) > 0 && said[len(said)-1].v < v {
		w.count("a cursor was carried")
	}
}

// carry is a cursor at version v: behind what its own user inserts at its place, before what others do.
func (r *referee) carry(at simCursor, v int64) int {
	for _, op := range r.log[at.v:v] {
		delta, err := r.w.deltas.of(op.Delta)
		if err != nil {
			r.w.fail("%s/%d: %v", op.Client, op.Seq, err)
			return 0
		}
		at.index = delta.TransformPosition(at.index, op.User != at.user)
	}
	return at.index
}
