package protocol_test

import (
	"bytes"
	"testing"

	"github.com/weft-collab/weft/collab/protocol"
)

var limits = protocol.Limits{Message: 1 << 20, Document: 1 << 20, Attributes: 4096, OpsPerS: 100, Presence: 2048, Components: 1000}

// FuzzDecode holds what a client may send to its own encoding: a message that is taken
// is taken again when it is written anew, and says the same.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"t":"hello","client":"client-of-a-test","v":3,"last":["client-of-a-test",2],"type":"rich"}`,
		`{"t":"op","v":0,"seq":1,"d":[{"insert":"x","attributes":{"bold":true}},{"retain":2},{"delete":1}]}`,
		`{"t":"presence","v":1,"cursor":{"index":1,"length":2},"state":{"a":[1,null]}}`,
		`{"t":"presence","v":1,"cursor":null}`, `{"t":"token","token":"a.b.c"}`, `{"t":"ping"}`, `{"t":"op","t":"op"}`,
		`{"t":"op","v":9007199254740993,"seq":1,"d":[]}`, `{"T":"ping"}`, `{"t":"pi\u006eg"}`, `{"t":"ping"}{}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := protocol.Decode(data, limits)
		if err != nil {
			return
		}
		wire := encode(m)
		again, err := protocol.Decode(wire, limits)
		if err != nil {
			t.Fatalf("%s was taken, and as %s it is not: %v", data, wire, err)
		}
		if !bytes.Equal(encode(again), wire) {
			t.Fatalf("%s becomes %s, and that %s", data, wire, encode(again))
		}
	})
}

func encode(m protocol.ClientMessage) []byte {
	switch m := m.(type) {
	case protocol.Hello:
		return m.Append(nil)
	case protocol.Op:
		return m.Append(nil)
	case protocol.Presence:
		return m.Append(nil)
	case protocol.Token:
		return m.Append(nil)
	case protocol.Ping:
		return m.Append(nil)
	}
	panic("a message that no client sends")
}

// FuzzDecodeServer gives a client what no server should send: it may refuse it, and no more.
func FuzzDecodeServer(f *testing.F) {
	for _, s := range []string{
		`{"t":"welcome","v":1,"type":"rich","doc":[{"insert":"\n"}],"session":"s","role":"write","expires_in_ms":1,"user":{"id":"u"},"seq":0,"peers":[],"limits":{},"features":[]}`,
		`{"t":"ops","v":0,"ops":[{"c":"client-of-a-test","seq":1,"u":"ada","d":[{"insert":"x"}]}]}`,
		`{"t":"presence","v":0,"peers":[{"s":"x","user":{"id":"u"},"cursor":{"index":1,"length":0}},{"s":"y","left":true}]}`,
		`{"t":"error","code":"bad_op","msg":"m","seq":1,"retry_ms":2}`, `{"t":"bye","code":"draining","msg":"m","retry_ms":1}`, `{"t":"role","role":"read","expires_in_ms":5}`, `{"t":"pong"}`, `{"t":"news"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(_ *testing.T, data []byte) {
		m, err := protocol.DecodeServer(data)
		if ops, ok := m.(*protocol.Ops); ok && err == nil {
			for _, op := range ops.Ops {
				_ = op.Seq
			}
		}
	})
}
