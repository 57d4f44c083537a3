package collab

import (
	"bytes"
	"encoding/json"

	"github.com/weft-collab/weft/collab/protocol"
)

// Messages between nodes are the protocol's own ops and presence frames, and
// these: "who" asks for everyone's sessions, "join" tells which sessions clients have,
// "back", which a node tells itself, that the bus was away and has come back, "deleted" that the document was deleted.
type nodeMessage struct {
	T        string        `json:"t"`
	Sessions []nodeSession `json:"sessions,omitempty"` // of a join
}

type nodeSession struct {
	Session string `json:"session"`
	Client  string `json:"client"`
	User    string `json:"user"`
	Since   int64  `json:"since"` // microseconds, see session
}

func whoMessage() []byte     { return encodeNode(nodeMessage{T: "who"}) }
func backMessage() []byte    { return encodeNode(nodeMessage{T: "back"}) }
func deletedMessage() []byte { return encodeNode(nodeMessage{T: "deleted"}) }
func joinMessage(sessions ...*session) []byte {
	m := nodeMessage{T: "join"}
	for _, s := range sessions {
		m.Sessions = append(m.Sessions, nodeSession{Session: s.id, Client: s.client, User: s.ident.User, Since: s.since})
	}
	return encodeNode(m)
}

func encodeNode(m nodeMessage) []byte {
	b, _ := json.Marshal(m) // strings alone: cannot fail
	return b
}

// busMost is how many messages wait while the store is at work; beyond, the log is read instead.
const busMost = 64

// bus takes another node's message. It is a hint: what does not fit is ignored
// where it is old, and settled by the log where it is ahead.
func (d *document) bus(msg []byte) {
	if d.work != idle {
		if len(d.busQueue) >= busMost {
			d.busQueue = nil
			d.sync()
			return
		}
		d.busQueue = append(d.busQueue, msg)
		return
	}
	if bytes.HasPrefix(msg, []byte(`{"t":"ops"`)) || bytes.HasPrefix(msg, []byte(`{"t":"presence"`)) {
		d.busFrame(msg)
		return
	}
	var m nodeMessage
	if err := json.Unmarshal(msg, &m); err != nil {
		d.warn("a message of another node is not to be read", err)
		return
	}
	switch m.T {
	case "who":
		d.announceAll()
	case "deleted":
		d.sync()
	case "back":
		d.announceAll()
		d.do(effPublish{whoMessage()})
	case "join":
		for _, theirs := range m.Sessions {
			d.joined(theirs)
		}
	}
}

// joined ends this node's session of a client that has a newer one elsewhere. Clocks of nodes
// may differ: who comes to a node is newer than all that it has heard of.
func (d *document) joined(theirs nodeSession) {
	d.latest = max(d.latest, theirs.Since)
	for _, s := range d.everyone() {
		// A late message of an older session must not end a newer one.
		newer := s.since < theirs.Since || s.since == theirs.Since && s.id < theirs.Session
		if newer && s.client == theirs.Client && s.ident.User == theirs.User && s.id != theirs.Session && !s.replaced {
			d.replace(s)
		}
	}
}

func (d *document) busFrame(msg []byte) {
	m, err := protocol.DecodeServer(msg)
	if err != nil {
		d.warn("a message of another node is not to be read", err)
		return
	}
	switch m := m.(type) {
	case *protocol.PresenceUpdate:
		d.heard(m.V, m.Peers)
	case *protocol.Ops:
		d.busOps(m)
	}
}

func (d *document) busOps(m *protocol.Ops) {
	to := m.V + int64(len(m.Ops))
	if to <= d.head() {
		return
	}
	if m.V > d.head() {
		d.sync()
		return
	}
	var ops []logged
	for _, op := range m.Ops[d.head()-m.V:] {
		l, err := newLogged(Operation{Client: op.Client, Seq: op.Seq, User: op.User, Delta: op.Delta})
		if err != nil || d.content.Check(l.delta) != nil && len(ops) == 0 {
			d.sync()
			return
		}
		ops = append(ops, l)
	}
	d.advance(ops)
}

// busLater takes the messages that came while the store was at work.
func (d *document) busLater() {
	for len(d.busQueue) > 0 && d.work == idle && d.phase == open {
		msg := d.busQueue[0]
		d.busQueue = d.busQueue[1:]
		d.bus(msg)
	}
}

// headSeen compares with the store's head: what the bus lost is read from the log.
func (d *document) headSeen(h Head) {
	if h.Deleted {
		d.finish(protocol.Error{Code: protocol.Deleted, Msg: "the document was deleted"})
		return
	}
	if h.Version > d.head() && d.work != appending {
		d.sync()
	}
}
