package protocol

import (
	"encoding/json"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

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

func unmarshal(data []byte, v any) error { return jsonv2.Unmarshal(data, v) }

type wireUser struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Picture string `json:"picture"`
}

type wirePeer struct {
	Session string   `json:"s"`
	User    wireUser `json:"user"`
	Cursor  *struct {
		Index  int `json:"index"`
		Length int `json:"length"`
	} `json:"cursor"`
	State jsontext.Value `json:"state"`
	Left  bool           `json:"left"`
}

type wireLimits struct {
	Message    int `json:"message"`
	Document   int `json:"document"`
	Attributes int `json:"attributes"`
	OpsPerS    int `json:"ops_per_s"`
	Presence   int `json:"presence"`
	Components int `json:"components"`
}

type wireWelcome struct {
	V           int64            `json:"v"`
	Type        ot.Type          `json:"type"`
	Doc         jsontext.Value   `json:"doc"`
	Ops         []jsontext.Value `json:"ops"`
	Session     string           `json:"session"`
	Role        string           `json:"role"`
	ExpiresInMS int64            `json:"expires_in_ms"`
	User        wireUser         `json:"user"`
	Seq         int64            `json:"seq"`
	Last        jsontext.Value   `json:"last"`
	Peers       []wirePeer       `json:"peers"`
	Limits      wireLimits       `json:"limits"`
	Features    []string         `json:"features"`
}

// DecodeServer reads a frame from the server, for clients. For a message whose type it
// does not know it returns nil and no error, as a client ignores those.
func DecodeServer(frame []byte) (ServerMessage, error) {
	var head struct {
		T string `json:"t"`
	}
	if err := unmarshal(frame, &head); err != nil {
		return nil, err
	}
	switch head.T {
	case "welcome":
		return decodeWelcome(frame)
	case "ops":
		return decodeOps(frame)
	case "presence":
		var m struct {
			V     int64      `json:"v"`
			Peers []wirePeer `json:"peers"`
		}
		err := unmarshal(frame, &m)
		return &PresenceUpdate{V: m.V, Peers: peers(m.Peers)}, err
	case "role":
		var m struct {
			Role        string `json:"role"`
			ExpiresInMS int64  `json:"expires_in_ms"`
		}
		err := unmarshal(frame, &m)
		return &RoleChange{Role: m.Role, ExpiresInMS: m.ExpiresInMS}, err
	case "error":
		e, err := decodeError(frame)
		return &ErrorMessage{e}, err
	case "bye":
		e, err := decodeError(frame)
		return &Bye{e}, err
	case "pong":
		return &Pong{}, nil
	}
	return nil, nil
}

func decodeError(frame []byte) (Error, error) {
	var m struct {
		Code    Code   `json:"code"`
		Msg     string `json:"msg"`
		Seq     int64  `json:"seq"`
		RetryMS int64  `json:"retry_ms"`
	}
	err := unmarshal(frame, &m)
	return Error{Code: m.Code, Msg: m.Msg, Seq: m.Seq, RetryMS: m.RetryMS}, err
}

func decodeWelcome(frame []byte) (*Welcome, error) {
	var m wireWelcome
	if err := unmarshal(frame, &m); err != nil {
		return nil, err
	}
	w := &Welcome{
		V: m.V, Type: m.Type, Doc: json.RawMessage(m.Doc), Session: m.Session, Role: m.Role, ExpiresInMS: m.ExpiresInMS,
		User: User(m.User), Seq: m.Seq, Peers: peers(m.Peers), Limits: Limits(m.Limits), Features: m.Features,
	}
	if m.Doc == nil {
		w.Ops = []json.RawMessage{}
	}
	for _, raw := range m.Ops {
		w.Ops = append(w.Ops, json.RawMessage(raw))
	}
	if m.Last == nil {
		return w, nil
	}
	var err error
	w.Last, err = decodeOrigin(m.Last)
	return w, err
}

func decodeOps(frame []byte) (*Ops, error) {
	var m struct {
		V   int64            `json:"v"`
		Ops []jsontext.Value `json:"ops"`
	}
	if err := unmarshal(frame, &m); err != nil {
		return nil, err
	}
	out := &Ops{V: m.V, Ops: make([]Committed, 0, len(m.Ops))}
	for _, raw := range m.Ops {
		c, err := DecodeCommitted(raw)
		if err != nil {
			return nil, err
		}
		out.Ops = append(out.Ops, c)
	}
	return out, nil
}

// DecodeCommitted reads one operation of the log, as AppendCommitted wrote it.
func DecodeCommitted(raw []byte) (Committed, error) {
	var m struct {
		Client string         `json:"c"`
		Seq    int64          `json:"seq"`
		User   string         `json:"u"`
		Delta  jsontext.Value `json:"d"`
	}
	err := unmarshal(raw, &m)
	return Committed{Client: m.Client, Seq: m.Seq, User: m.User, Delta: json.RawMessage(m.Delta)}, err
}

func peers(in []wirePeer) []Peer {
	out := make([]Peer, 0, len(in))
	for _, p := range in {
		peer := Peer{Session: p.Session, User: User(p.User), State: json.RawMessage(p.State), Left: p.Left}
		if p.Cursor != nil {
			peer.Cursor = &Cursor{Index: p.Cursor.Index, Length: p.Cursor.Length}
		}
		out = append(out, peer)
	}
	return out
}
