package protocol

import (
	"bytes"
	"encoding/json"

	"github.com/weft-collab/weft/ot"
)

// A ServerMessage is one message from the server: *Welcome, *Ops, *PresenceUpdate,
// *RoleChange, *ErrorMessage, *Bye or *Pong.
type ServerMessage interface{ serverMessage() }

// Ops are operations in order; the first turns version V into V+1.
type Ops struct {
	V   int64
	Ops []Committed
}

// PresenceUpdate says what has changed in who is here and where, in terms of version V.
type PresenceUpdate struct {
	V     int64
	Peers []Peer
}

// RoleChange tells the session's new rights.
type RoleChange struct {
	Role        string
	ExpiresInMS int64
}

// ErrorMessage tells what was wrong.
type ErrorMessage struct{ Error }

// Bye says that the server is about to close.
type Bye struct{ Error }

// Pong answers a ping.
type Pong struct{}

func (*Welcome) serverMessage()        {}
func (*Ops) serverMessage()            {}
func (*PresenceUpdate) serverMessage() {}
func (*RoleChange) serverMessage()     {}
func (*ErrorMessage) serverMessage()   {}
func (*Bye) serverMessage()            {}
func (*Pong) serverMessage()           {}

// DecodeServer reads a frame from the server, for clients. For a message whose type it
// does not know it returns nil and no error, as a client ignores those.
func DecodeServer(frame []byte) (ServerMessage, error) {
	t, err := typeOf(frame)
	if err != nil {
		return nil, err
	}
	var m ServerMessage
	var member func(r *reader, name []byte)
	switch t {
	case "welcome":
		w := &Welcome{Peers: []Peer{}}
		m, member = w, w.member
	case "ops":
		o := &Ops{Ops: []Committed{}}
		m, member = o, o.member
	case "presence":
		p := &PresenceUpdate{Peers: []Peer{}}
		m, member = p, p.member
	case "role":
		c := &RoleChange{}
		m, member = c, c.member
	case "error":
		e := &ErrorMessage{}
		m, member = e, e.member
	case "bye":
		b := &Bye{}
		m, member = b, b.member
	case "pong":
		return &Pong{}, nil
	default:
		return nil, nil
	}
	if err := read(frame, func(r *reader) { r.object(func(name []byte) { member(r, name) }) }); err != nil {
		return nil, err
	}
	if w, ok := m.(*Welcome); ok && w.Doc == nil && w.Ops == nil {
		w.Ops = []json.RawMessage{}
	}
	return m, nil
}

// typeOf reads a message's type. Servers write it first: then the rest is not read twice.
func typeOf(frame []byte) (t string, err error) {
	if rest, ok := bytes.CutPrefix(frame, []byte(`{"t":"`)); ok {
		for _, t := range []string{"ops", "presence", "welcome"} {
			if len(rest) > len(t) && string(rest[:len(t)]) == t && rest[len(t)] == '"' {
				return t, nil
			}
		}
	}
	err = read(frame, func(r *reader) {
		r.object(func(name []byte) {
			if string(name) == "t" {
				t = r.text()
			} else {
				r.skip()
			}
		})
	})
	return t, err
}

func (w *Welcome) member(r *reader, name []byte) {
	switch string(name) {
	case "v":
		w.V = r.int64()
	case "type":
		w.Type = ot.Type(r.text())
	case "doc":
		w.Doc = r.raw()
	case "ops":
		r.array(func() { w.Ops = append(w.Ops, r.raw()) })
	case "session":
		w.Session = r.text()
	case "role":
		w.Role = r.text()
	case "expires_in_ms":
		w.ExpiresInMS = r.int64()
	case "user":
		w.User.read(r)
	case "seq":
		w.Seq = r.int64()
	case "last":
		w.Last = readOrigin(r)
	case "peers":
		w.Peers = readPeers(r)
	case "limits":
		w.Limits.read(r)
	case "features":
		r.array(func() { w.Features = append(w.Features, r.text()) })
	default:
		r.skip()
	}
}

func (o *Ops) member(r *reader, name []byte) {
	switch string(name) {
	case "v":
		o.V = r.int64()
	case "ops":
		r.array(func() { o.Ops = append(o.Ops, readCommitted(r)) })
	default:
		r.skip()
	}
}

func (p *PresenceUpdate) member(r *reader, name []byte) {
	switch string(name) {
	case "v":
		p.V = r.int64()
	case "peers":
		p.Peers = readPeers(r)
	default:
		r.skip()
	}
}

func (c *RoleChange) member(r *reader, name []byte) {
	switch string(name) {
	case "role":
		c.Role = r.text()
	case "expires_in_ms":
		c.ExpiresInMS = r.int64()
	default:
		r.skip()
	}
}

func (e *Error) member(r *reader, name []byte) {
	switch string(name) {
	case "code":
		e.Code = Code(r.text())
	case "msg":
		e.Msg = r.text()
	case "seq":
		e.Seq = r.int64()
	case "retry_ms":
		e.RetryMS = r.int64()
	default:
		r.skip()
	}
}

// DecodeCommitted reads one operation of the log, as AppendCommitted wrote it.
func DecodeCommitted(raw []byte) (c Committed, err error) {
	err = read(raw, func(r *reader) { c = readCommitted(r) })
	return c, err
}

func readCommitted(r *reader) (c Committed) {
	r.object(func(name []byte) {
		switch string(name) {
		case "c":
			c.Client = r.text()
		case "seq":
			c.Seq = r.int64()
		case "u":
			c.User = r.text()
		case "d":
			c.Delta = r.raw()
		default:
			r.skip()
		}
	})
	return c
}

// readOrigin reads [CLIENT, SEQ]; null is nil.
func readOrigin(r *reader) (o *Origin) {
	if !r.open('[') {
		return nil
	}
	o = &Origin{Client: r.text(), Seq: r.int64()}
	if r.more(']') {
		r.expected("an array of a client and a seq")
	}
	return o
}

func readPeers(r *reader) []Peer {
	peers := []Peer{}
	r.array(func() {
		var p Peer
		r.object(func(name []byte) { p.member(r, name) })
		peers = append(peers, p)
	})
	return peers
}

func (p *Peer) member(r *reader, name []byte) {
	switch string(name) {
	case "s":
		p.Session = r.text()
	case "user":
		p.User.read(r)
	case "cursor":
		p.Cursor = readCursor(r)
	case "state":
		p.State = r.raw()
	case "left":
		p.Left = r.bool()
	default:
		r.skip()
	}
}

func readCursor(r *reader) *Cursor {
	c := new(Cursor)
	ok := r.object(func(name []byte) {
		switch string(name) {
		case "index":
			c.Index = r.int()
		case "length":
			c.Length = r.int()
		default:
			r.skip()
		}
	})
	if !ok {
		return nil
	}
	return c
}

func (u *User) read(r *reader) {
	r.object(func(name []byte) {
		switch string(name) {
		case "id":
			u.ID = r.text()
		case "name":
			u.Name = r.text()
		case "picture":
			u.Picture = r.text()
		default:
			r.skip()
		}
	})
}

func (l *Limits) read(r *reader) {
	r.object(func(name []byte) {
		switch string(name) {
		case "message":
			l.Message = r.int()
		case "document":
			l.Document = r.int()
		case "attributes":
			l.Attributes = r.int()
		case "ops_per_s":
			l.OpsPerS = r.int()
		case "presence":
			l.Presence = r.int()
		case "components":
			l.Components = r.int()
		default:
			r.skip()
		}
	})
}
