package collab

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

// simClient is an honest client: what the protocol asks of one, as small as can be.
// It knows nothing of the engine's inside.
type simClient struct {
	w      *world
	name   string
	user   string
	reader bool
	saved  simState
	simState

	conn        *simConn  // nil while away
	transmitted *simNode  // where the operation in flight went last
	retry       time.Time // when it may be sent again, after it came too fast
	session     string
	peers       map[string]bool // sessions of others
}

// simState is what a client keeps over a reload.
type simState struct {
	id       string
	v        int64
	last     *protocol.Origin
	content  *ot.Document // the server's at v; nil before the first welcome
	epoch    int          // of the store when content came
	seq      int64        // the last one used
	inFlight ot.Delta
	flying   bool
	guessed  bool // inFlight was transformed over a diff since it was first sent
	buffer   ot.Delta
	former   simOrigin  // under which inFlight went out before starting over; client "" for none
	ghosts   []simGhost // operations that were given up, and set on top anew
}

// simGhost is an operation that was given up, the marks in it, and those that it takes back.
type simGhost struct {
	made        simOrigin
	marks, back []rune
}

func (c *simClient) save() {
	c.saved = c.simState
	if c.content != nil {
		c.saved.content = c.content.Clone()
	}
}

// reload is a tab that was closed and opened again: what was not saved is gone.
func (c *simClient) reload() {
	c.hangUp()
	kept := marksOf(c.saved.inFlight, c.saved.buffer)
	for _, m := range c.unsent() {
		if !slices.Contains(kept, m) {
			c.w.count("an edit was lost before it was saved")
			c.w.referee.allow(m, 0, 0, "not saved before the tab was closed, and so not sent")
		}
	}
	c.simState = c.saved
	if c.content != nil {
		c.content = c.content.Clone()
	}
}

func (c *simClient) maySend() bool {
	return c.conn != nil && c.conn.welcomed && c.conn.role >= Write && !c.flying && len(c.buffer) > 0
}

func (c *simClient) send() {
	if !c.maySend() {
		return
	}
	c.inFlight, c.buffer, c.flying, c.guessed = c.buffer, nil, true, false
	c.seq++
	c.w.sent++
	c.save() // written ahead
	c.share()
	c.transmit()
}

// share notes what goes out under a client id that another tab has too: the server
// takes one operation of each seq, so that it may stand once, twice, or not at all.
func (c *simClient) share() {
	if c.w.shared[c.id] {
		for _, m := range marksOf(c.inFlight) {
			c.w.referee.allow(m, 0, 3, "sent under a client id that two tabs shared")
		}
	}
}

func (c *simClient) transmit() {
	op := protocol.Op{V: c.v, Seq: c.seq, Delta: c.inFlight}
	c.conn.toServer = append(c.conn.toServer, op.Append(nil))
	c.transmitted, c.retry = c.conn.node, time.Time{}
	if c.w.fault(3, 100) {
		c.w.count("sent twice")
		c.conn.toServer = append(c.conn.toServer, op.Append(nil))
	}
}

// again sends the operation in flight again, where the session allows it.
func (c *simClient) again() {
	if c.flying && c.conn != nil && c.conn.role >= Write {
		c.transmit()
	}
}

func (c *simClient) hangUp() {
	if c.conn != nil {
		c.w.trace("%s hangs up", c.name)
		c.conn.gone = true
		c.conn, c.retry = nil, time.Time{}
	}
}

// acts has a client do something of its own accord.
func (c *simClient) acts() {
	w := c.w
	switch {
	case c.conn == nil:
		if n := w.node(); n.serves() {
			c.call(n)
		}
		if w.fault(1, 6) {
			c.edit() // offline
		}
	case !c.retry.IsZero() && !w.now.Before(c.retry):
		c.retry = time.Time{}
		c.again()
	case w.fault(3, 100):
		if c.flying {
			w.count("vanished with an operation in flight")
		}
		c.hangUp()
	case w.fault(2, 100):
		w.count("reloaded")
		c.reload()
	case c.conn.welcomed && c.conn.expires.Sub(w.now) < w.life/3 && w.one(2), c.conn.welcomed && c.conn.role < c.role() && w.one(5):
		c.renew()
	case w.one(2) || w.ending:
		c.send()
	case w.fault(5, 100):
		if c.conn.welcomed && c.content != nil && !c.flying && len(c.buffer) == 0 {
			p := protocol.Presence{V: c.v, Cursor: &protocol.Cursor{Index: w.rng.IntN(c.content.Len() + 1)}}
			w.cursors[c.session] = append(w.cursors[c.session], simCursor{c.user, c.v, p.Cursor.Index})
			c.conn.toServer = append(c.conn.toServer, p.Append(nil))
		}
	case w.fault(1, 1):
		c.edit()
	}
}

// read takes one frame.
func (c *simClient) read(frame []byte) {
	m, err := c.w.frames.of(frame)
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
	case *protocol.PresenceUpdate:
		if m.V != c.v {
			c.w.fail("%s: at %d it was told of presence at %d", c.name, c.v, m.V)
		}
		c.meet(m.V, m.Peers)
	case *protocol.RoleChange:
		could := c.conn.role >= Write
		if c.conn.role = ParseRole(m.Role); !could {
			c.again()
		}
	case *protocol.ErrorMessage:
		c.refused(m.Error)
	}
}

func (c *simClient) refused(e protocol.Error) {
	c.w.count("refused: " + string(e.Code))
	if c.w.firm && e.Code == protocol.Unavailable {
		c.w.fail("%s is told %q, of a document that was deleted", c.name, e.Msg)
	}
	switch e.Code {
	case protocol.Deleted:
		if c.conn.told++; !c.w.gone || c.conn.told > 1 {
			c.w.fail("%s is told, the %d. time, that the document was deleted (it was: %v)", c.name, c.conn.told, c.w.gone)
		}
	case protocol.BadVersion, protocol.ClientTaken, protocol.Replaced:
		// In a session that was welcomed, bad_version says that the log was folded; who comes back
		// under the same id is told whether the operation in flight is stored. Who starts over at once is not.
		if e.Code == protocol.BadVersion && !c.conn.welcomed && !c.w.referee.left(c.epoch, c.v) {
			c.w.fail("%s: the store has its version %d, and the server says %s", c.name, c.v, e.Msg)
		}
		again := e.Code == protocol.BadVersion && c.conn.welcomed && !c.w.hasty
		c.hangUp()
		if again {
			c.w.count("came back after bad_version under the same id")
			return
		}
		c.startOver(e.Code != protocol.BadVersion)
	case protocol.RateLimited:
		if e.Seq == c.seq {
			c.retry = c.w.now.Add(time.Duration(e.RetryMS) * time.Millisecond)
		}
	case protocol.BadMessage, protocol.BadOp, protocol.BadSeq, protocol.BadToken, protocol.TooLarge:
		if c.w.shared[c.id] && e.Code == protocol.BadSeq {
			c.hangUp()
			c.startOver(true)
			return
		}
		c.w.fail("%s: an honest client was refused: %s: %s", c.name, e.Code, e.Msg)
	}
}

func (c *simClient) receive(op protocol.Committed) {
	if c.conn == nil || c.w.failed != "" {
		return
	}
	delta, err := c.w.deltas.of(op.Delta)
	if err != nil {
		c.w.fail("%s: an operation: %v", c.name, err)
		return
	}
	c.w.referee.seen(c, c.v+1, op)
	made := simOrigin{op.Client, op.Seq}
	ghost := slices.ContainsFunc(c.ghosts, func(g simGhost) bool { return g.made == made })
	own := op.Client == c.id
	switch {
	case c.flying && (own && c.former.client == "" && op.Seq == c.seq || made == c.former):
		c.acknowledged(made, op.Delta, delta)
	case own:
		c.lost()
		return
	case ghost:
		c.disown(delta)
	case c.flying:
		next := c.inFlight.Transform(delta, false)
		c.inFlight = delta.Transform(c.inFlight, true)
		if c.buffer != nil {
			c.buffer = next.Transform(c.buffer, true)
		}
	case c.buffer != nil:
		c.buffer = delta.Transform(c.buffer, true)
	}
	if err := c.content.Apply(delta); err != nil {
		c.w.fail("%s: the log's operation %d does not apply: %v", c.name, c.v+1, err)
	}
	c.v++
	c.last = &protocol.Origin{Client: op.Client, Seq: op.Seq}
	if ghost {
		c.save()
	}
}

// disown takes an operation that was given up and set on top anew: its edit is there twice now, or will be. It is
// undone right away, before the buffer, which is not carried over it.
func (c *simClient) disown(delta ot.Delta) {
	c.w.count("an operation given up was stored after all")
	base := c.content
	if c.flying {
		base = base.Clone()
		if err := base.Apply(c.inFlight); err != nil {
			c.w.fail("%s: %v", c.name, err)
		}
		delta, c.inFlight = c.inFlight.Transform(delta, false), delta.Transform(c.inFlight, true)
	}
	c.buffer = delta.Invert(base.Delta()).Compose(c.buffer)
}

// acknowledged is rule 3. What comes back is what the client holds, unless rule 4 had
// to guess, or another tab used the same seq.
func (c *simClient) acknowledged(made simOrigin, wire []byte, delta ot.Delta) {
	held := c.inFlight
	c.flying, c.inFlight, c.retry = false, nil, time.Time{}
	c.w.referee.acks[made] = simAck{c.v + 1, string(wire)}
	if bytes.Equal(held.AppendJSON(nil), wire) {
		return
	}
	c.w.count("compared otherwise")
	shared := c.w.shared[made.client]
	if !c.guessed && !shared {
		c.w.fail("%s: %v comes back as %s, held was %s", c.name, made, wire, held.AppendJSON(nil))
	}
	if !shared && !slices.Equal(marksOf(held), marksOf(delta)) {
		c.w.fail("%s: %v comes back with other edits: %s, held was %s", c.name, made, wire, held.AppendJSON(nil))
	}
	remote := held.Invert(c.content.Delta()).Compose(delta)
	if c.buffer != nil {
		c.buffer = remote.Transform(c.buffer, true)
	}
}

func (c *simClient) String() string {
	return fmt.Sprintf("%s(%s v%d seq%d flying=%v buffer=%d)", c.name, c.id, c.v, c.seq, c.flying, len(c.buffer))
}
