package collab

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

// submission is an operation that comes by call. reply is called once.
type submission struct {
	client  string
	user    string
	role    Role
	expires time.Time
	op      protocol.Op
	newest  bool // against the newest version instead of op.V
	reply   func(v int64, err error)

	rebased ot.Delta // while older parts of the log are read
	at      int64    // version that rebased is against
	begun   bool
	synced  bool // the store was asked whether this node is behind
	again   bool // the client's row was asked for anew: the operation was stored after the first time
}

// pending is an operation that has been taken and is not stored yet.
type pending struct {
	s       *session // nil for a call
	calls   []*submission
	client  string
	seq     int64
	user    string
	role    Role
	expires time.Time

	atHead ot.Delta  // against the head
	behind ot.Delta  // against the head and what was in flight when it came
	last   ot.Delta  // against all that is pending before it: what is applied to tip
	wire   []byte    // JSON of last, once it is in flight
	at     time.Time // when it entered its batch
	tries  int
}

// operation takes a session's op.
func (d *document) operation(s *session, op protocol.Op) {
	switch {
	case !d.now.Before(s.ident.Expires):
		d.turnAway(s, expired())
		return
	case op.V < s.named:
		d.turnAway(s, protocol.Error{Code: protocol.BadMessage, Seq: op.Seq, Msg: fmt.Sprintf("v falls from %d to %d", s.named, op.V)})
		return
	case s.role < Write:
		d.tell(s, protocol.Error{Code: protocol.Forbidden, Seq: op.Seq, Msg: "the role " + s.role.String() + " may not edit"})
		return
	}
	if wait := d.spend(s.ident.User); wait > 0 {
		d.tell(s, protocol.Error{Code: protocol.RateLimited, Seq: op.Seq, RetryMS: wait.Milliseconds() + 1, Msg: "too many operations a second"})
		return
	}
	s.named = op.V
	s.holding = true
	d.consider(&submission{client: s.client, user: s.ident.User, role: s.role, expires: s.ident.Expires, op: op}, s)
}

func expired() protocol.Error {
	return protocol.Error{Code: protocol.TokenExpired, Msg: "the token has expired; come back with a new one"}
}

// submit takes an operation by call: first its client's row is read.
func (d *document) submit(c *submission) {
	if d.draining {
		e := unavailable()
		d.answer(c, 0, &e)
		return
	}
	if wait := d.spend(c.user); wait > 0 {
		d.answer(c, 0, &protocol.Error{Code: protocol.RateLimited, RetryMS: wait.Milliseconds() + 1, Msg: "too many operations a second"})
		return
	}
	d.do(effRow{c})
}

func (d *document) row(ev evRow) {
	c := ev.call
	if ev.err != nil {
		if errors.Is(ev.err, ErrDeleted) {
			d.finish(protocol.Error{Code: protocol.Deleted, Msg: "the document was deleted"})
			d.refuse(ev, d.why)
			return
		}
		e := unavailable()
		d.answer(c, 0, &e)
		return
	}
	row := ev.row
	if row.Version > d.head() && !c.synced {
		c.synced = true
		d.await(ev)
		return
	}
	row = d.learn(c.client, row)
	if row.User == c.user && c.op.Seq >= 1 && c.op.Seq <= row.Seq {
		switch {
		case c.op.Seq == row.Seq:
			d.answer(c, row.Version, nil)
		case c.op.Seq == ev.row.Seq: // the log has brought others of the client's since
			d.answer(c, ev.row.Version, nil)
		case ev.made > 0:
			d.answer(c, ev.made, nil)
		case c.op.Seq > ev.row.Seq && !c.again:
			c.again = true
			d.do(effRow{c})
		default:
			d.answer(c, 0, &protocol.Error{Code: protocol.Gone, Seq: c.op.Seq, Msg: "that operation is stored, but the log no longer says at which version"})
		}
		return
	}
	d.consider(c, nil)
}

// consider judges an operation against what is known, and takes it, refuses it,
// or lets it wait for the store. s is nil for a call.
func (d *document) consider(c *submission, s *session) {
	if s != nil {
		if s.ended || s.replaced {
			s.holding = false
			return
		}
		c.role, c.expires = s.role, s.ident.Expires // by the newest token, if it waited for the store
	}
	row := d.clients[c.client]
	if row.User != "" && row.User != c.user {
		d.deny(c, s, protocol.Error{Code: protocol.ClientTaken, Seq: c.op.Seq, Msg: "the client id belongs to another user; draw another one"})
		return
	}
	last := row.Seq
	for _, p := range d.pending {
		if p.client != c.client {
			continue
		}
		if p.user != c.user {
			d.deny(c, s, protocol.Error{Code: protocol.ClientTaken, Seq: c.op.Seq, Msg: "the client id belongs to another user; draw another one"})
			return
		}
		if last = p.seq; p.seq == c.op.Seq {
			d.adopt(p, c, s)
			return
		}
	}
	switch {
	case c.op.Seq < 1:
		d.deny(c, s, protocol.Error{Code: protocol.BadSeq, Seq: c.op.Seq, Msg: "seq counts from 1"})
	case c.op.Seq <= last && s == nil:
		d.do(effRow{c}) // a call wants to know the version that it made
	case c.op.Seq <= last:
		d.considered(s) // stored: the session's stream has it, or will
	case c.op.Seq > last+1 || !c.newest && c.op.V > d.head():
		if !c.synced {
			c.synced = true
			d.await(evConsider{c, s})
			return
		}
		if c.op.Seq > last+1 {
			d.deny(c, s, protocol.Error{Code: protocol.BadSeq, Seq: c.op.Seq, Msg: fmt.Sprintf("seq skips from %d to %d", last, c.op.Seq)})
			return
		}
		d.deny(c, s, protocol.Error{Code: protocol.BadVersion, Seq: c.op.Seq, Msg: fmt.Sprintf("the store is at version %d, not at %d", d.head(), c.op.V)})
	default:
		d.rebase(c, s)
	}
}

// adopt has a copy of a pending operation stand for it: whoever sent it last is told
// what becomes of it, and its token decides, where that is valid for longer.
func (d *document) adopt(p *pending, c *submission, s *session) {
	if c.role >= Write && (c.expires.After(p.expires) || p.role < Write) {
		p.role, p.expires = c.role, c.expires
	}
	if s == nil {
		p.calls = append(p.calls, c)
		return
	}
	p.s = s
	d.considered(s)
}

// evConsider has an operation judged again after a sync.
type evConsider struct {
	call *submission
	s    *session
}

func (evConsider) event() {}

// considered lets the session's next message follow.
func (d *document) considered(s *session) {
	if s != nil {
		d.release(s)
	}
}

func (d *document) deny(c *submission, s *session, e protocol.Error) {
	switch {
	case s == nil:
		d.answer(c, 0, &e)
	case e.Code.Close() != 0:
		d.turnAway(s, e)
	default:
		d.tell(s, e)
		d.release(s)
	}
}

func (d *document) answer(c *submission, v int64, e *protocol.Error) {
	if c.reply == nil {
		return
	}
	reply := c.reply
	c.reply = nil
	if e != nil {
		err := *e
		d.do(effDo{func() { reply(0, &err) }})
		return
	}
	d.do(effDo{func() { reply(v, nil) }})
}

// rebase transforms an operation over each operation committed since its
// version, in turn; what the tail does not hold is read from the store, part by part.
func (d *document) rebase(c *submission, s *session) {
	if !c.begun {
		c.begun, c.rebased, c.at = true, c.op.Delta, c.op.V
		if c.newest {
			c.at = d.head()
		}
	}
	ops, ok := d.tail.since(c.at)
	if !ok {
		d.old = append(d.old, evConsider{c, s})
		d.readOld()
		return
	}
	for _, op := range ops {
		c.rebased = op.delta.Transform(c.rebased, true)
	}
	c.at = d.head()
	d.accept(c, s)
}

// oldMost is for how many operations parts of the log are read at a time: what is older than the tail takes
// the document's time, and whoever floods it with that waits for their own, and no one else does.
const oldMost = 2

// readOld goes on with the operations that wait for older parts of the log, a part for each in turn.
func (d *document) readOld() {
	for d.readingOld < d.rules.oldMost && len(d.old) > 0 {
		next := d.old[0]
		d.old = d.old[1:]
		if s := next.s; s != nil && (s.ended || s.replaced) {
			s.holding = false
			continue
		}
		d.readingOld++
		d.do(effLog{purpose: logPurpose{kind: toRebase, s: next.s, call: next.call}, from: next.call.at, limit: d.rules.tailOps, maxBytes: d.rules.frameBytes})
	}
}

func (d *document) rebaseRead(ev evLog) {
	d.readingOld--
	defer d.readOld()
	c, s := ev.purpose.call, ev.purpose.s
	ops, err := loggedAll(ev.ops)
	switch {
	case s != nil && (s.ended || s.replaced):
		s.holding = false
		return
	case errors.Is(ev.err, ErrGone) && d.taken(c):
		d.consider(c, s) // another node stored it meanwhile
		return
	case errors.Is(ev.err, ErrGone):
		d.deny(c, s, protocol.Error{Code: protocol.BadVersion, Seq: c.op.Seq, Msg: "the log no longer reaches back to that version"})
		return
	case ev.err != nil || err != nil || len(ops) == 0:
		d.warn("the log could not be read for an operation", errors.Join(ev.err, err))
		d.deny(c, s, unavailable())
		return
	}
	// The store may be ahead of this node: an operation is rebased up to the node's head only.
	ops = ops[:min(int64(len(ops)), d.head()-c.at)]
	for _, op := range ops {
		c.rebased = op.delta.Transform(c.rebased, true)
	}
	c.at += int64(len(ops))
	// The row may have moved meanwhile: judge it again.
	d.consider(c, s)
}

// taken reports whether an operation is stored or pending by now.
func (d *document) taken(c *submission) bool {
	row := d.clients[c.client]
	return row.User == c.user && c.op.Seq <= row.Seq || slices.ContainsFunc(d.pending, func(p *pending) bool {
		return p.client == c.client && p.user == c.user && p.seq == c.op.Seq
	})
}

// accept puts a rebased operation behind what is pending, if it fits the content there.
func (d *document) accept(c *submission, s *session) {
	p := &pending{s: s, client: c.client, seq: c.op.Seq, user: c.user, role: c.role, expires: c.expires, atHead: c.rebased}
	if s == nil {
		p.calls = []*submission{c}
	}
	p.behind = over(d.pending[:d.inFlight], p.atHead)
	p.last = over(d.pending[d.inFlight:], p.behind)
	if most := d.rules.limits.Document; most > 0 && p.last.Growth() > 0 && d.tip.Len()+p.last.Growth() > most {
		d.deny(c, s, protocol.Error{Code: protocol.TooLarge, Seq: c.op.Seq, Msg: fmt.Sprintf("the document may have %d UTF-16 units", most)})
		return
	}
	if d.tip == d.content || d.tip == d.after {
		d.tip = d.tip.Clone()
	}
	if err := d.tip.Apply(p.last); err != nil {
		d.deny(c, s, protocol.Error{Code: protocol.BadOp, Seq: c.op.Seq, Msg: err.Error()})
		return
	}
	d.pending = append(d.pending, p)
	d.considered(s)
}

// over transforms a delta over what is pending before it, in turn.
func over(before []*pending, delta ot.Delta) ot.Delta {
	for _, p := range before {
		delta = p.last.Transform(delta, true)
	}
	return delta
}
