package websocket

import (
	"net/http"

	"github.com/weft-collab/weft/collab/protocol"
)

// Echo upgrades any request and sends back every message as it came, text and binary,
// with the upgrader, limits and rules of a session's connection. It is for suites
// that test WebSocket servers, and asks for no token. The largest messages of such suites
// have 16 MiB, for which Limits.Message has to be raised.
func (h *Handler) Echo(w http.ResponseWriter, r *http.Request) {
	if !IsUpgrade(r) {
		refuse(http.StatusBadRequest, protocol.BadMessage, "this is the address of a WebSocket that echoes").write(w)
		return
	}
	c := newConn(h, visit{doc: "echo"})
	c.echo = make(chan struct{}, 1)
	h.take(w, r, c)
}

// sendBack reads no further before the frame is written, so that answers come in the order of what they answer.
func (c *conn) sendBack(frame []byte, write func([]byte) error) {
	if write(frame) != nil {
		return
	}
	select {
	case <-c.echo:
	case <-c.ctx.Done():
	}
}
