package collab

import (
	"errors"

	"github.com/weft-collab/weft/collab/protocol"
)

// feedAll sends every session whose window is open what it has not been sent:
// operations first, then presence. Sessions at the same version share one frame.
func (d *document) feedAll() {
	frames := map[int64]feedFrame{}
	if d.fed < d.head() {
		d.fed = d.head()
		for _, s := range d.list {
			if s.joined && s.v < d.fed {
				d.feed(s, frames)
			}
		}
	}
	if d.tellAt.IsZero() || d.now.Before(d.tellAt) {
		return
	}
	d.carryAll()
	d.tellSessions()
	d.tellNodes()
}

// feedFrame is a frame of operations and the version that it leads to.
type feedFrame struct {
	bytes []byte
	to    int64
}

// feed sends one session what it has not been sent. frames are those that were
// made already in this step, by the version they begin at; may be nil.
func (d *document) feed(s *session, frames map[int64]feedFrame) {
	for s.v < d.head() && s.window() && !s.reading && !s.ended {
		f, ok := frames[s.v]
		if !ok {
			ops, kept := d.tail.since(s.v)
			if !kept {
				s.reading = true
				d.do(effLog{purpose: logPurpose{kind: toFeed, s: s}, from: s.v, limit: d.rules.tailOps, maxBytes: d.rules.frameBytes})
				return
			}
			f = frameOf(s.v, ops, d.rules.frameBytes)
			if frames != nil {
				frames[s.v] = f
			} else {
				d.owns(s, f.bytes)
			}
		}
		s.v = f.to
		d.send(s, f.bytes)
	}
}

// frameOf merges operations after version v into a frame, as many as have at most so many bytes, one at least.
func frameOf(v int64, ops []logged, most int) feedFrame {
	var wires [][]byte
	bytes := 0
	for i, op := range ops {
		if i > 0 && bytes+len(op.wire) > most {
			break
		}
		wires = append(wires, op.wire)
		bytes += len(op.wire) + 1
	}
	return feedFrame{bytes: protocol.AppendOps(nil, v, wires...), to: v + int64(len(wires))}
}

// feedRead sends a session a part of the log that the tail no longer holds.
func (d *document) feedRead(s *session, ev evLog) {
	s.reading = false
	if s.ended {
		return
	}
	ops, err := loggedAll(ev.ops)
	switch {
	case errors.Is(ev.err, ErrGone):
		d.turnAway(s, protocol.Error{Code: protocol.BadVersion, Msg: "the log no longer reaches back to that version"})
	case ev.err != nil || err != nil || len(ops) == 0:
		d.warn("the log could not be read for a session", errors.Join(ev.err, err))
		d.turnAway(s, unavailable())
	default:
		// The store may be ahead of this node: a session is fed up to the node's head only.
		if over := ev.from + int64(len(ops)) - d.head(); over > 0 {
			ops = ops[:int64(len(ops))-over]
		}
		f := frameOf(ev.from, ops, d.rules.frameBytes)
		s.v = f.to
		d.owns(s, f.bytes)
		d.send(s, f.bytes)
		d.feed(s, nil)
	}
}
