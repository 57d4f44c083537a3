package collab

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

// simClient is an honest client: what PROTOCOL asks of one, as small as can be.
// It knows nothing of the engine's inside.
type simClient struct {
	w      *world
	name   string
	reader bool
	saved  simState
	simState

	conn *simConn // nil while away
}

// simState is what a client keeps over a reload.
type simState struct {
	id        string
	v         int64
	last      *protocol.Origin
	content   *ot.Document // the server's at v; nil before the first welcome
	seq       int64        // the last one used
	inFlight  ot.Delta     // nil: none
	flying    bool
	buffer    ot.Delta
	marks     []rune // in inFlight and buffer and not yet acknowledged
	former    string // the client id under which inFlight went out before starting over; "" for none
	formerSeq int64
	ghosts    []string // "id/seq" of operations that were given up, and set on top anew
}

func (s simState) clone() simState {
	if s.content != nil {
		s.content = s.content.Clone()
	}
	s.marks = append([]rune(nil), s.marks...)
	return s
}

func (c *simClient) save() { c.saved = c.clone() }

// reload is a tab that was closed and opened again.
func (c *simClient) reload() {
	c.hangUp()
	for _, m := range c.marks {
		if !slices.Contains(c.saved.marks, m) {
			c.w.doubtful[m] = true // it was not saved, and may have been sent
		}
	}
	c.simState = c.saved.clone()
}

func (c *simClient) view() *ot.Document {
	d := c.content.Clone()
	for _, delta := range []ot.Delta{c.inFlight, c.buffer} {
		if delta == nil {
			continue
		}
		if err := d.Apply(delta); err != nil {
			c.w.fail("%s: its own edit does not apply: %v", c.name, err)
		}
	}
	return d
}

// edit makes a random edit: a mark that stands for it, filler around it, a deletion of filler.
func (c *simClient) edit() {
	if c.content == nil || c.reader {
		return
	}
	r := c.w.rng
	text := []rune(c.view().Text())
	size := len(text) - 1 // before the last newline
	at := r.IntN(size + 1)
	d := ot.New()
	units := 0
	for _, ch := range text[:at] {
		units += unitsOf(ch)
	}
	if units > 0 {
		d = d.Retain(units)
	}
	mark := c.w.mark()
	c.marks = append(c.marks, mark)
	d = d.Insert([]string{"", "x", "xx", "x\n"}[r.IntN(4)] + string(mark))
	// Deletions take filler alone, so that every mark must stay.
	n := 0
	for at+n < size && n < 3 && text[at+n] == 'x' && r.IntN(2) == 0 {
		n++
	}
	if n > 0 {
		d = d.Delete(n)
	} else if at < size && text[at] < 0x10000 && r.IntN(3) == 0 {
		d = d.Retain(1, ot.Attributes{"bold": []any{true, nil}[r.IntN(2)]})
	}
	c.buffer = c.buffer.Compose(d)
	c.save()
}

func unitsOf(r rune) int {
	if r >= 0x10000 {
		return 2
	}
	return 1
}

func (c *simClient) maySend() bool {
	return c.conn != nil && c.conn.welcomed && !c.flying && len(c.buffer) > 0
}

func (c *simClient) send() {
	if !c.maySend() {
		return
	}
	c.inFlight, c.buffer, c.flying = c.buffer, nil, true
	c.seq++
	c.save()
	c.transmit()
}

func (c *simClient) transmit() {
	op := protocol.Op{V: c.v, Seq: c.seq, Delta: c.inFlight}
	c.conn.toServer = append(c.conn.toServer, op.Append(nil))
	if c.w.chance(3) {
		c.w.count("sent twice")
		c.conn.toServer = append(c.conn.toServer, op.Append(nil))
	}
}

// call opens a connection to a node.
func (c *simClient) call(n *simNode) {
	c.hangUp()
	h := protocol.Hello{Client: c.id}
	if c.content != nil && (c.v == 0 || c.last != nil) {
		v := c.v
		h.V, h.Last = &v, c.last
	}
	c.conn = &simConn{client: c, node: n}
	c.conn.toServer = append(c.conn.toServer, h.Append(nil))
	n.conns = append(n.conns, c.conn)
}

func (c *simClient) hangUp() {
	if c.conn != nil {
		c.conn.gone = true
		c.conn = nil
	}
}

// read takes one frame.
func (c *simClient) read(frame []byte) {
	m, err := protocol.DecodeServer(frame)
	if err != nil {
		c.w.fail("%s: the server sent what is no message: %v: %s", c.name, err, frame)
		return
	}
	switch m := m.(type) {
	case *protocol.Welcome:
		c.welcome(m)
	case *protocol.Ops:
		if m.V != c.v {
			c.w.fail("%s: at %d it was sent operations from %d", c.name, c.v, m.V)
		}
		for _, op := range m.Ops {
			c.receive(op)
		}
	case *protocol.ErrorMessage:
		c.refused(m.Error)
	}
}

func (c *simClient) refused(e protocol.Error) {
	switch e.Code {
	case protocol.BadVersion, protocol.ClientTaken, protocol.Replaced:
		c.w.count("started over: " + string(e.Code))
		c.hangUp()
		c.startOver(e.Code != protocol.BadVersion)
	case protocol.RateLimited:
		if c.flying && c.conn != nil {
			c.transmit()
		}
	case protocol.BadMessage, protocol.BadOp, protocol.BadSeq:
		c.w.fail("%s: an honest client was refused: %s: %s", c.name, e.Code, e.Msg)
	}
}

func (c *simClient) welcome(m *protocol.Welcome) {
	c.conn.welcomed = true
	if m.Seq > c.seq {
		c.w.count("lost state")
		c.hangUp()
		c.startOver(true)
		return
	}
	if m.Doc != nil {
		c.take(m)
	}
	for _, raw := range m.Ops {
		op, err := protocol.DecodeCommitted(raw)
		if err != nil {
			c.w.fail("%s: welcome holds what is no operation: %v", c.name, err)
			return
		}
		c.receive(op)
	}
	if c.conn == nil {
		return
	}
	if c.v != m.V {
		c.w.fail("%s: welcome says version %d and leads to %d", c.name, m.V, c.v)
	}
	if c.former != "" && c.flying {
		// It is not stored, and the session that had it is over: the edit goes on top anew.
		c.ghosts = append(slices.Clone(c.ghosts), fmt.Sprintf("%s/%d", c.former, c.formerSeq))
		c.buffer, c.inFlight, c.flying = c.inFlight.Compose(c.buffer), nil, false
	}
	c.former = ""
	if c.flying {
		c.transmit()
	}
}

// take is rule 4: content where operations were asked for, or the first.
func (c *simClient) take(m *protocol.Welcome) {
	delta, err := ot.Decode(m.Doc)
	if err != nil {
		c.w.fail("%s: welcome's content: %v", c.name, err)
		return
	}
	content, err := ot.DocumentOf(m.Type, delta)
	if err != nil {
		c.w.fail("%s: welcome's content: %v", c.name, err)
		return
	}
	if c.content != nil && (c.flying || len(c.buffer) > 0) {
		c.w.count("content with unsent edits")
		had := c.content.Clone()
		if c.flying && c.former != "" {
			// Neither operations nor a seq tell whether it is stored: it stands once or twice.
			c.w.count("replaced, and the log compacted")
			for _, m := range c.marks {
				c.w.doubtful[m] = true
			}
		} else if c.flying && m.Seq >= c.seq {
			if err := had.Apply(c.inFlight); err != nil {
				c.w.fail("%s: %v", c.name, err)
			}
			c.inFlight, c.flying = nil, false
		}
		r := ot.Diff(m.Type, had.Delta(), content.Delta())
		if c.flying {
			before := c.inFlight
			c.inFlight = r.Transform(before, true)
			r = before.Transform(r, false)
		}
		if c.buffer != nil {
			c.buffer = r.Transform(c.buffer, true)
		}
	}
	c.content, c.v, c.last = content, m.V, m.Last
	c.settleMarks()
}

// settleMarks forgets the marks that are no longer unsent.
func (c *simClient) settleMarks() {
	if !c.flying && len(c.buffer) == 0 {
		c.marks = nil
	}
}

func (c *simClient) receive(op protocol.Committed) {
	if c.conn == nil && !c.w.ending {
		return
	}
	delta, err := ot.Decode(op.Delta)
	if err != nil {
		c.w.fail("%s: an operation: %v", c.name, err)
		return
	}
	c.w.seen(c, c.v+1, op)
	if slices.Contains(c.ghosts, fmt.Sprintf("%s/%d", op.Client, op.Seq)) {
		c.w.count("an operation given up was stored after all")
		// The edit is there twice now, or will be: this one is taken back.
		undo := delta.Invert(c.content.Delta())
		defer func() {
			if c.flying {
				undo = c.inFlight.Transform(undo, true)
			}
			c.buffer = c.buffer.Compose(c.buffer.Transform(undo, true))
			c.save()
		}()
	}
	own := op.Client == c.id
	former := c.former != "" && op.Client == c.former && op.Seq == c.formerSeq
	switch {
	case c.flying && (own && c.former == "" && op.Seq == c.seq || former):
		held := c.inFlight
		c.flying, c.inFlight = false, nil
		c.w.acked(op)
		if string(held.AppendJSON(nil)) != string(op.Delta) {
			c.w.count("compared otherwise")
			remote := held.Invert(c.content.Delta()).Compose(delta)
			if c.buffer != nil {
				c.buffer = remote.Transform(c.buffer, true)
			}
		}
		defer c.settleMarks()
	case own && op.Seq > c.seq || own && !c.flying && op.Seq == c.seq && c.w.mayForget[c.name]:
		c.w.count("lost state")
		c.hangUp()
		c.startOver(true)
		return
	case own:
		c.w.fail("%s: its operation %d came again or out of turn (last %d)", c.name, op.Seq, c.seq)
	default:
		if c.flying {
			next := c.inFlight.Transform(delta, false)
			c.inFlight = delta.Transform(c.inFlight, true)
			if c.buffer != nil {
				c.buffer = next.Transform(c.buffer, true)
			}
		} else if c.buffer != nil {
			c.buffer = delta.Transform(c.buffer, true)
		}
	}
	if err := c.content.Apply(delta); err != nil {
		c.w.fail("%s: the log's operation %d does not apply: %v", c.name, c.v+1, err)
	}
	c.v++
	c.last = &protocol.Origin{Client: op.Client, Seq: op.Seq}
}

// startOver draws a new id; what was unsent is set on top of what comes. On the
// same lineage it asks for the operations since, which tell whether what was in flight is stored.
func (c *simClient) startOver(sameLineage bool) {
	if c.flying && c.former == "" {
		c.former, c.formerSeq = c.id, c.seq
	}
	if !sameLineage {
		for _, m := range c.marks {
			c.w.doubtful[m] = true
		}
		c.last = nil // so that content comes
	}
	c.seq = 0
	c.id = c.w.clientID()
	c.save()
}

func (c *simClient) String() string {
	return fmt.Sprintf("%s(%s v%d seq%d flying=%v buffer=%d)", c.name, c.id, c.v, c.seq, c.flying, len(c.buffer))
}

func randID(r *rand.Rand) string { return fmt.Sprintf("c%016x", r.Uint64()) }
