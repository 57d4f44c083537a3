// Package protocol holds the messages of the Weft protocol, version 1: their
// types, strict decoding and append-style encoding. It performs no I/O.
package protocol

import (
	"encoding/json"

	"github.com/weft-collab/weft/ot"
)

// A ClientMessage is one message from a client: Hello, Op, Presence, Token or Ping.
type ClientMessage interface{ clientMessage() }

// Hello is the first message of a session.
type Hello struct {
	Client string  // 16 to 64 characters A–Z a–z 0–9 _ -
	V      *int64  // the version that the client already has, or nil
	Last   *Origin // what made version V, or nil
	Type   ot.Type // of a document that this creates; "" means ot.Rich
}

// Origin names an operation by its client and seq: on the wire [CLIENT, SEQ].
type Origin struct {
	Client string
	Seq    int64
}

// Op is an operation against version V.
type Op struct {
	V     int64
	Seq   int64
	Delta ot.Delta // decoded by ot.Decode, so in the form that PROTOCOL takes
}

// Presence says where the user is, in the content at version V.
type Presence struct {
	V      int64
	Cursor *Cursor         // nil: no cursor
	State  json.RawMessage // compact JSON object of the application's own, or nil
}

// Cursor is a selection in UTF-16 units.
type Cursor struct{ Index, Length int }

// Token carries a newer token.
type Token struct{ Token string }

// Ping is answered with a pong.
type Ping struct{}

func (Hello) clientMessage()    {}
func (Op) clientMessage()       {}
func (Presence) clientMessage() {}
func (Token) clientMessage()    {}
func (Ping) clientMessage()     {}

// User is what others see of a user.
type User struct {
	ID      string
	Name    string // "" is left out
	Picture string // "" is left out
}

// Peer is one session in a document, as others see it. With Left it is gone.
type Peer struct {
	Session string
	User    User
	Cursor  *Cursor
	State   json.RawMessage
	Left    bool
}

// Limits are told in welcome.
type Limits struct {
	Message    int // bytes of a message
	Document   int // UTF-16 units of a document
	Attributes int // bytes of the attributes of one component, as JSON
	OpsPerS    int // operations a second for a user
	Presence   int // bytes of a presence state
	Components int // of one operation
}

// Committed is an operation of the log: OP on the wire.
type Committed struct {
	Client string
	Seq    int64
	User   string
	Delta  json.RawMessage // as it is stored
}

// Welcome answers hello.
type Welcome struct {
	V           int64
	Type        ot.Type
	Doc         json.RawMessage   // content in normal form, or nil where Ops are given
	Ops         []json.RawMessage // encoded OPs (AppendCommitted); non-nil, maybe empty, where Doc is nil
	Session     string
	Role        string
	ExpiresInMS int64
	User        User
	Seq         int64
	Last        *Origin // what made version V; nil at version 0
	Peers       []Peer
	Limits      Limits
	Features    []string
}
