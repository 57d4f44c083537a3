package collab

import (
	"slices"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
)

// session is one connection's part in a document.
type session struct {
	id     string
	client string
	ident  Identity
	role   Role
	conn   Conn

	joined   bool  // it has its welcome
	ended    bool  // nothing is sent to it any more
	replaced bool  // a newer session has its client id: nothing more is taken from it
	since    int64 // microseconds: when it came, and later than every session that its node had heard of
	v        int64 // the version up to which it has been sent everything
	named    int64 // the highest version that it has named in an operation
	peer     *peer
	reading  bool                // a part of the log is being read for it
	held     []event             // messages behind one that waits for the store
	holding  bool                // one waits
	owed     map[string]struct{} // peers whose presence it has not been told

	frames, bytes int       // unwritten
	unread        int       // of these bytes, its welcome and what else was made for it alone
	shut          time.Time // since when the window has been shut without progress; zero: it is open
	byeAt         time.Time // while draining
	hello         protocol.Hello
}

func (s *session) user() protocol.User {
	return protocol.User{ID: s.ident.User, Name: s.ident.Name, Picture: s.ident.Picture}
}

// window reports whether the session takes another frame.
func (s *session) window() bool { return s.frames < WindowFrames && s.bytes < WindowBytes }

func (s *session) written(now time.Time, frames, bytes int) {
	s.frames -= frames
	s.bytes -= bytes
	if s.window() {
		s.shut = time.Time{}
	} else {
		s.shut = now
	}
}

func (d *document) credit(ev evCredit) {
	s := ev.s
	s.written(d.now, ev.frames, ev.bytes)
	d.read(s, ev.bytes)
	if !s.shut.IsZero() {
		d.wake(s.shut.Add(d.rules.slowAfter))
	}
	if d.phase == open && s.joined {
		d.feed(s, nil)
	}
}

// send queues a frame for a session.
func (d *document) send(s *session, frame []byte) {
	if s.ended {
		return
	}
	s.frames++
	s.bytes += len(frame)
	if !s.window() && s.shut.IsZero() {
		s.shut = d.now
		d.wake(s.shut.Add(d.rules.slowAfter))
	}
	d.do(effSend{s, frame})
}

// tell sends an error after which the session goes on. A client that provokes
// errors without reading them is too slow.
func (d *document) tell(s *session, e protocol.Error) {
	if s.frames >= WindowFrames+2 {
		d.turnAway(s, slow())
		return
	}
	d.send(s, protocol.AppendError(nil, e))
}

func slow() protocol.Error {
	return protocol.Error{Code: protocol.Slow, Msg: "the client reads too slowly; come back for what it missed", RetryMS: 1000}
}

// turnAway ends a session with an error and its close code.
func (d *document) turnAway(s *session, e protocol.Error) {
	code := e.Code.Close()
	switch {
	case e.Code == protocol.Forbidden, e.Code == protocol.NotFound:
		e.Code, code = protocol.Forbidden, protocol.CloseForbidden
	case code == 0:
		code = 1011
	}
	d.end(s, protocol.AppendError(nil, e), code, string(e.Code))
}

// end closes a session and forgets it.
func (d *document) end(s *session, last []byte, code int, reason string) {
	if s.ended {
		return
	}
	s.ended = true
	d.do(effClose{s, last, code, reason})
	d.forget(s)
}

// leave forgets a session whose socket is gone. What it has pending stays: it was taken.
func (d *document) leave(s *session) {
	s.ended = true
	d.forget(s)
}

func (d *document) forget(s *session) {
	s.held, s.holding = nil, false
	d.read(s, s.unread)
	if d.sessions[s.id] != s {
		return
	}
	delete(d.sessions, s.id)
	d.list = slices.DeleteFunc(d.list, func(other *session) bool { return other == s })
	if s.peer != nil {
		d.gone[s.id] = true
		delete(d.moved, s.id)
		d.owe(s.id)
	}
	if len(d.sessions) == 0 {
		d.idleSince = d.now
	}
}

// everyone returns the sessions, in the order they came, as a list of its own:
// whoever is turned away leaves d.list meanwhile.
func (d *document) everyone() []*session { return slices.Clone(d.list) }

// heldMost bounds the messages of a session that wait behind one that needs the store.
const heldMost = 256

// message takes a session's message, behind any that still waits for the store.
func (d *document) message(s *session, m protocol.ClientMessage) {
	if s.ended || s.replaced {
		return
	}
	if !s.joined {
		d.turnAway(s, protocol.Error{Code: protocol.BadMessage, Msg: "nothing may follow hello before welcome"})
		return
	}
	if s.holding {
		if len(s.held) >= heldMost {
			d.turnAway(s, protocol.Error{Code: protocol.Unavailable, Msg: "too many messages while the store is waited for", RetryMS: 2000})
			return
		}
		s.held = append(s.held, evMessage{s, m})
		return
	}
	switch m := m.(type) {
	case protocol.Hello:
		d.turnAway(s, protocol.Error{Code: protocol.BadMessage, Msg: "hello is the first message, and comes once"})
	case protocol.Op:
		d.operation(s, m)
	case protocol.Presence:
		d.present(s, m)
	case protocol.Ping:
		if s.frames < WindowFrames+2 {
			d.send(s, protocol.AppendPong(nil))
		}
	}
}

// release lets a session's held messages follow the one that has been dealt with.
func (d *document) release(s *session) {
	s.holding = false
	for len(s.held) > 0 && !s.holding && !s.ended && !s.replaced {
		ev := s.held[0]
		s.held = s.held[1:]
		d.handle(ev)
	}
}

func (d *document) token(ev evToken) {
	s := ev.s
	if s.ended {
		return
	}
	switch {
	case ev.err != nil:
		d.tell(s, protocol.Error{Code: protocol.BadToken, Msg: ev.err.Error()})
		return
	case ev.id.User != s.ident.User:
		d.tell(s, protocol.Error{Code: protocol.BadToken, Msg: "the token is another user's; open a session of its own for it"})
		return
	}
	role := ev.id.Role(d.id)
	if role == None {
		d.turnAway(s, protocol.Error{Code: protocol.Forbidden, Msg: "the token grants nothing on this document any more"})
		return
	}
	s.ident, s.role = ev.id, role
	d.wake(ev.id.Expires)
	for _, p := range d.pending {
		if p.s == s {
			p.role, p.expires = role, ev.id.Expires
		}
	}
	d.send(s, protocol.AppendRole(nil, role.String(), d.expiresIn(s)))
}

func (d *document) expiresIn(s *session) int64 {
	return max(0, s.ident.Expires.Sub(d.now).Milliseconds())
}

// drain has every session told to come back elsewhere, spread over a time by their ids.
func (d *document) drain(within time.Duration) {
	d.draining = true
	if d.phase == loading || d.phase == absent {
		d.finish(protocol.Error{Code: protocol.Unavailable, Msg: "this node is draining; come again", RetryMS: 500})
		return
	}
	for i, s := range d.everyone() {
		s.byeAt = d.now.Add(within * time.Duration(spread(s.id, i)) / 1000)
		d.wake(s.byeAt)
	}
}

// spread draws a number below 1000 from a session's id.
func spread(id string, i int) int {
	n := uint32(2166136261 + i)
	for _, c := range []byte(id) {
		n = (n ^ uint32(c)) * 16777619
	}
	return int(n>>8) % 1000
}

func (d *document) bye(s *session) {
	d.end(s, protocol.AppendBye(nil, protocol.Error{
		Code: protocol.Draining, Msg: "this node is being restarted; come back to another",
		RetryMS: int64(100 + spread(s.id, 1)),
	}), 1012, string(protocol.Draining))
}

// bucket limits operations: it holds up to two seconds' worth.
type bucket struct {
	tokens float64
	at     time.Time
}

// wait fills the bucket up to now, and returns how long until it holds an operation.
func (b *bucket) wait(now time.Time, rate float64) time.Duration {
	b.tokens = min(2*rate, b.tokens+rate*now.Sub(b.at).Seconds())
	b.at = now
	if b.tokens >= 1 {
		return 0
	}
	return time.Duration((1-b.tokens)/rate*float64(time.Second)) + time.Millisecond
}

// spend takes one operation of the user's allowance and of the document's, or returns when to try again.
func (d *document) spend(user string) time.Duration {
	var from []*bucket
	var wait time.Duration
	if rate := float64(d.rules.limits.OpsPerS); rate > 0 {
		b := d.buckets[user]
		if b == nil {
			b = &bucket{tokens: 2 * rate, at: d.now}
			d.buckets[user] = b
		}
		from, wait = append(from, b), b.wait(d.now, rate)
	}
	if rate := float64(d.rules.opsPerS); rate > 0 {
		if d.bucket == nil {
			d.bucket = &bucket{tokens: 2 * rate, at: d.now}
		}
		from, wait = append(from, d.bucket), max(wait, d.bucket.wait(d.now, rate))
	}
	if wait > 0 {
		return wait
	}
	for _, b := range from {
		b.tokens--
	}
	return 0
}
