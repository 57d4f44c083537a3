package collab

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
)

// join begins a session: the client's row and the head are read from the store,
// so that the welcome is never older than a write that was answered elsewhere.
func (d *document) join(ev evJoin) {
	s := ev.s
	if s.ended {
		return
	}
	if s.role < Read {
		d.turnAway(s, protocol.Error{Code: protocol.Forbidden, Msg: "the token grants nothing on this document"})
		return
	}
	if d.draining {
		d.bye(s)
		return
	}
	if n := d.rules.sessions; n > 0 && len(d.sessions) >= n {
		d.turnAway(s, protocol.Error{Code: protocol.Unavailable, Msg: "the document has as many sessions as this node allows; come again", RetryMS: 5000})
		return
	}
	s.hello = ev.hello
	for _, other := range d.everyone() {
		if other.client == s.client && other.ident.User == s.ident.User && !other.replaced {
			d.replace(other)
		}
	}
	d.latest = max(d.latest+1, d.now.UnixMicro())
	s.since = d.latest
	d.sessions[s.id] = s
	d.list = append(d.list, s)
	d.wake(s.ident.Expires)
	d.wake(d.announce)
	d.do(effGreet{s})
}

// replace ends a session whose client id a newer one has. Nothing more is taken
// from it; what was taken already comes back to it first, so that its client knows
// what of its own is stored.
func (d *document) replace(s *session) {
	s.replaced = true
	d.replaced = append(d.replaced, s)
}

func (d *document) endReplaced() {
	if len(d.replaced) == 0 {
		return
	}
	waiting := d.replaced[:0:0]
	for _, s := range d.replaced {
		switch {
		case s.ended:
		case s.joined && !s.holding && (d.hasPending(s) || s.v < d.head()):
			waiting = append(waiting, s)
		default:
			d.turnAway(s, protocol.Error{Code: protocol.Replaced, Msg: "a newer session has the same client id; draw another one"})
		}
	}
	d.replaced = waiting
}

func (d *document) hasPending(s *session) bool {
	return slices.ContainsFunc(d.pending, func(p *pending) bool { return p.client == s.client })
}

// greeted goes on when the client's row is known. It comes again after a sync
// where this node was behind the store.
func (d *document) greeted(ev evGreeted) {
	s := ev.s
	switch {
	case s.ended:
		return
	case errors.Is(ev.err, ErrDeleted):
		d.finish(protocol.Error{Code: protocol.Deleted, Msg: "the document was deleted"})
		return
	case ev.err != nil:
		d.warn("a client's row could not be read", ev.err)
		d.turnAway(s, unavailable())
		return
	}
	if ev.head.Version > d.head() {
		d.await(ev)
		return
	}
	if row := d.learn(s.client, ev.row); row.User != "" && row.User != s.ident.User {
		d.turnAway(s, protocol.Error{Code: protocol.ClientTaken, Msg: "the client id belongs to another user; draw another one"})
		return
	}
	d.welcome(s)
}

// learn joins what the store says of a client with what the log said since.
func (d *document) learn(client string, row ClientRow) ClientRow {
	known, ok := d.clients[client]
	if !ok || row.Seq > known.Seq {
		if row.Version > d.head() {
			// The row is newer than this node's log; the log will bring it.
			return row
		}
		d.clients[client] = row
		return row
	}
	return known
}

// welcome answers hello: with operations from the client's version where it is
// known to be on this lineage, else with the content.
//
// Many who come at once, and do not read, would have a welcome each in memory: beyond a bound, of the
// document or of the node, they wait until others have read theirs, or were cut off.
func (d *document) welcome(s *session) {
	if d.crowded() {
		d.door = append(d.door, s)
		return
	}
	h := s.hello
	switch {
	case h.V == nil, *h.V > 0 && h.Last == nil:
		d.welcomeContent(s)
	case *h.V > d.head():
		d.turnAway(s, protocol.Error{Code: protocol.BadVersion, Msg: "the store has not reached that version; it was perhaps restored from a backup"})
	default:
		v := *h.V
		ops, ok := d.tail.since(v)
		made, known := d.tail.made(v)
		if !ok || v > 0 && !known {
			s.reading = true
			d.count(s, d.rules.frameBytes) // until it is known
			d.do(effLog{purpose: logPurpose{kind: toGreet, s: s}, from: max(0, v-1), limit: d.rules.tailOps, maxBytes: d.rules.frameBytes})
			return
		}
		d.welcomeOps(s, made, ops)
	}
}

// greetRead goes on with a part of the log that the tail does not hold.
func (d *document) greetRead(s *session, ev evLog) {
	s.reading = false
	d.read(s, s.unread)
	if s.ended {
		return
	}
	ops, err := loggedAll(ev.ops)
	switch {
	case errors.Is(ev.err, ErrGone):
		d.welcomeContent(s)
	case ev.err != nil || err != nil:
		d.warn("the log could not be read for a welcome", errors.Join(ev.err, err))
		d.turnAway(s, unavailable())
	case *s.hello.V == 0:
		d.welcomeOps(s, logged{}, ops)
	case len(ops) == 0:
		d.turnAway(s, protocol.Error{Code: protocol.BadVersion, Msg: "the store has not reached that version"})
	default:
		d.welcomeOps(s, ops[0], ops[1:])
	}
}

func (d *document) welcomeOps(s *session, made logged, ops []logged) {
	v := *s.hello.V
	if last := s.hello.Last; v > 0 && (last.Client != made.client || last.Seq != made.seq) {
		d.turnAway(s, protocol.Error{Code: protocol.BadVersion, Msg: "that version was made by another operation here: the client is on another lineage"})
		return
	}
	w := d.greeting(s)
	w.Ops = []json.RawMessage{}
	last := made
	bytes := 0
	for i, op := range ops {
		if v == d.head() || i > 0 && bytes+len(op.wire) > d.rules.frameBytes {
			break
		}
		w.Ops = append(w.Ops, op.wire)
		bytes += len(op.wire)
		last = op
		v++
	}
	w.V = v
	w.Seq = d.seqAt(s.client, v, ops[:len(w.Ops)], ops[len(w.Ops):])
	if v > 0 {
		w.Last = last.origin()
	}
	d.greet(s, w)
}

// seqAt is the client's last seq among the first v operations. shown are the last of these,
// rest are those after v, as far as they are at hand.
func (d *document) seqAt(client string, v int64, shown, rest []logged) int64 {
	row := d.clients[client]
	if row.Version <= v {
		return row.Seq
	}
	for _, op := range rest {
		if op.client == client {
			return op.seq - 1
		}
	}
	if ops, ok := d.tail.since(v); ok {
		for _, op := range ops {
			if op.client == client {
				return op.seq - 1
			}
		}
	}
	for _, op := range slices.Backward(shown) {
		if op.client == client {
			return op.seq
		}
	}
	// The client has one operation in flight at most, and has seen the others.
	return row.Seq - 1
}

func (d *document) welcomeContent(s *session) {
	w := d.greeting(s)
	w.V = d.head()
	w.Doc = d.content.AppendJSON(nil)
	w.Seq = d.clients[s.client].Seq
	if made, ok := d.tail.made(w.V); ok {
		w.Last = made.origin()
	}
	d.greet(s, w)
}

// knockEvery is the time after which those who wait at the door are looked at again,
// since the documents of a node do not tell one another what has been read.
const knockEvery = 250 * time.Millisecond

// crowded reports whether whoever comes has to wait for the welcome. A document always has one
// under way, so that none waits for another document for ever.
func (d *document) crowded() bool {
	if d.unread == 0 {
		return false
	}
	r := &d.rules
	return r.welcomeBytes > 0 && d.unread >= r.welcomeBytes || r.nodeUnread != nil && r.nodeUnread.Load() >= r.nodeBytes
}

// owns notes that a session was sent a frame that is its own: others have no part in the memory of it.
func (d *document) owns(s *session, frame []byte) { d.count(s, len(frame)) }

// read notes that so much of what a session was sent is written; what is its own is the first of that.
func (d *document) read(s *session, bytes int) { d.count(s, -min(bytes, s.unread)) }

func (d *document) count(s *session, bytes int) {
	s.unread += bytes
	d.unread += bytes
	if d.rules.nodeUnread != nil {
		d.rules.nodeUnread.Add(int64(bytes))
	}
}

// letIn goes on with those who wait for their welcome.
func (d *document) letIn() {
	for len(d.door) > 0 && !d.crowded() {
		s := d.door[0]
		d.door = d.door[1:]
		if !s.ended {
			d.welcome(s)
		}
	}
	if len(d.door) > 0 && d.rules.nodeUnread != nil {
		d.wake(d.now.Add(knockEvery))
	}
}

func (d *document) greeting(s *session) protocol.Welcome {
	return protocol.Welcome{
		Type: d.meta.Type, Session: s.id, Role: s.role.String(), ExpiresInMS: d.expiresIn(s), User: s.user(),
		Limits: d.rules.limits, Features: d.rules.features,
	}
}

// greet sends the welcome and makes the session one of those that are fed.
func (d *document) greet(s *session, w protocol.Welcome) {
	s.v, s.joined = w.V, true
	s.owed = map[string]struct{}{}
	if w.V == d.head() {
		w.Peers = d.peersFor(s)
	} else {
		d.oweAll(s)
	}
	frame := w.Append(nil)
	d.owns(s, frame)
	d.send(s, frame)
	s.peer = &peer{id: s.id, user: s.user(), v: d.head()}
	d.moved[s.id] = true
	d.do(effPublish{joinMessage(s)})
	d.owe(s.id)
	d.feed(s, nil)
}
