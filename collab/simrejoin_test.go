package collab

import (
	"bytes"
	"slices"
	"strings"

	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

func (c *simClient) welcome(m *protocol.Welcome) {
	if c.conn.late {
		c.w.fail("%s came after the document was deleted, and is welcomed", c.name)
	}
	c.conn.welcomed, c.conn.role, c.session = true, ParseRole(m.Role), m.Session
	c.peers = map[string]bool{}
	c.meet(m.V, m.Peers)
	if want := c.w.referee.seqAt(c.id, m.V); m.Seq != want && !c.w.shared[c.id] {
		c.w.fail("%s: welcome at version %d says seq %d, among these the last is %d", c.name, m.V, m.Seq, want)
	}
	c.credentials(m)
	stored := c.seq // the last one that came back
	if c.flying {
		stored--
	}
	switch {
	case m.Seq > c.seq:
		c.lost()
		return
	case c.former.client == "" && m.Seq < stored:
		if c.epoch == c.w.epoch {
			c.w.fail("%s: welcome says seq %d, %d was acknowledged", c.name, m.Seq, stored)
		}
		c.w.count("the restored store knows less of a client than it does itself")
		c.hangUp()
		c.startOver(false)
		return
	}
	if m.Doc != nil {
		c.take(m)
	} else if c.v > 0 {
		c.continued()
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
	c.epoch = c.w.epoch
	if c.former.client != "" && c.flying {
		// It is not stored, and the session that had it is over: the edit goes on top anew.
		c.ghosts = append(slices.Clone(c.ghosts), simGhost{c.former, marksOf(c.inFlight), c.takesBack()})
		c.buffer, c.inFlight, c.flying = c.inFlight.Compose(c.buffer), nil, false
	}
	c.former = simOrigin{}
	if c.flying && c.guessed {
		c.save()
	}
	c.again()
}

// continued: whoever goes on with operations has a version that the log has too, by the same operation.
func (c *simClient) continued() {
	r := c.w.referee
	if c.v > r.head() || c.last == nil || c.last.Client != r.log[c.v-1].Client || c.last.Seq != r.log[c.v-1].Seq {
		c.w.fail("%s has version %d by %+v, which is not in the log, and is sent the operations since", c.name, c.v, c.last)
	}
}

// credentials holds what a welcome says of its version's origin and of the token against the log and the clock.
func (c *simClient) credentials(m *protocol.Welcome) {
	if m.V > 0 && (m.Last != nil || m.Doc == nil) {
		if op := c.w.referee.log[m.V-1]; m.Last == nil || m.Last.Client != op.Client || m.Last.Seq != op.Seq {
			c.w.fail("%s: welcome says that %+v made version %d, which %s/%d did", c.name, m.Last, m.V, op.Client, op.Seq)
		}
	}
	left := c.conn.tokens[""].Expires.Sub(c.conn.node.now())
	if least, most := max(0, left), left+c.w.now.Sub(c.conn.begun); m.ExpiresInMS < least.Milliseconds() || m.ExpiresInMS > max(0, most).Milliseconds() {
		c.w.fail("%s: welcome says that the token expires in %d ms, not in %v to %v", c.name, m.ExpiresInMS, least, most)
	}
}

// lost is a client that does not know what the server knows of it: of all here, only tabs that share an id.
func (c *simClient) lost() {
	if !c.w.shared[c.id] {
		c.w.fail("%s: the server knows more of it than it does itself", c.name)
	}
	c.w.count("lost state")
	c.hangUp()
	c.startOver(true)
}

// take is rule 4: content where operations were asked for, or the first.
func (c *simClient) take(m *protocol.Welcome) {
	if want := c.w.referee.json(m.V); !bytes.Equal(m.Doc, want) {
		c.w.fail("%s: welcome brings %s at version %d, the log makes %s", c.name, m.Doc, m.V, want)
	}
	content := c.w.referee.contents[m.V].Clone()
	if c.content != nil {
		least := 1
		if c.flying && c.former.client != "" {
			least = 0 // it may take a ghost back, be stored, and meet the copy that is left
		}
		for _, g := range c.ghosts {
			c.doubt(g.marks, least)
		}
		c.doubtTaken()
	}
	if c.content != nil && (c.flying || len(c.buffer) > 0) {
		c.w.count("content with unsent edits")
		had := c.content.Clone()
		switch {
		case c.flying && c.former.client != "":
			c.doubt(marksOf(c.inFlight), 1)
		case c.flying && m.Seq >= c.seq:
			c.w.count("content that has the operation in flight")
			if err := had.Apply(c.inFlight); err != nil {
				c.w.fail("%s: %v", c.name, err)
			}
			c.inFlight, c.flying = nil, false
		case c.flying:
			c.w.count("content without the operation in flight")
		}
		r := ot.Diff(m.Type, had.Delta(), content.Delta())
		if c.flying {
			before := c.inFlight
			c.inFlight, c.guessed = r.Transform(before, true), true
			r = before.Transform(r, false)
		}
		if c.buffer != nil {
			c.buffer = r.Transform(c.buffer, true)
		}
	}
	c.content, c.v, c.last = content, m.V, m.Last
}

// doubt is what the protocol leaves open: an operation went out under a former client id,
// and content came instead of the operations since, which would tell whether it is stored. Its marks may
// stand once more than before, and not fewer times than least. On another lineage it is not stored: nothing of
// that one is on its way any more.
func (c *simClient) doubt(marks []rune, least int) {
	if c.w.referee.left(c.epoch, c.v) {
		c.w.count("set on top of another lineage")
		return
	}
	for _, m := range marks {
		c.w.referee.again(m, least, "in flight under a former client id when the log was folded")
	}
}

// takesBack lists the marks that the operation in flight removes: those of operations that it takes back.
func (c *simClient) takesBack() (marks []rune) {
	left := c.content.Clone()
	if err := left.Apply(c.inFlight); err != nil {
		c.w.fail("%s: %v", c.name, err)
	}
	for _, m := range marksOf(c.content.Delta()) {
		if strings.Count(left.Text(), string(m)) < strings.Count(c.content.Text(), string(m)) {
			marks = append(marks, m)
		}
	}
	return marks
}

// doubtTaken is the same for what takes an operation back: given up and set on top anew, it may be stored twice, and a diff
// does not tell which of two copies is gone.
func (c *simClient) doubtTaken() {
	if c.w.referee.left(c.epoch, c.v) {
		return
	}
	for _, g := range c.ghosts {
		for _, m := range g.back {
			c.w.referee.allow(m, 0, 1, "taken back under a former client id when the log was folded")
		}
	}
}

// startOver draws a new id; what was unsent is set on top of what comes. On the
// same lineage it asks for the operations since, which tell whether what was in flight is stored.
func (c *simClient) startOver(sameLineage bool) {
	c.w.count("started over")
	if c.flying && c.former.client == "" {
		c.former = simOrigin{c.id, c.seq}
	}
	if !sameLineage {
		c.last = nil // so that content comes
		if c.v == 0 {
			c.v = -1
		}
	}
	c.seq = 0
	c.id = c.w.client(c.user)
	c.save()
}
