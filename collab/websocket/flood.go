package websocket

import (
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/weft-collab/weft/collab/protocol"
)

// Pings and pongs that a connection may send: some a second, and a burst of more.
const (
	pingsPerS = 10
	pingBurst = 200
)

// boundPings answers a client's pings while they are few. A flood of them ends the connection.
func (c *conn) boundPings() {
	socket := c.ws.WebsocketConnection()
	answer := socket.PingHandler()
	socket.SetPingHandler(func(payload string) error {
		if !c.pings.Allow() {
			c.flooded()
			return nil
		}
		_ = socket.SetReadDeadline(time.Now().Add(pongWait)) // it is alive
		return answer(payload)
	})
}

// pong takes a client's pong, which it may send unasked, and not in a flood.
func (c *conn) pong() {
	if !c.pings.Allow() {
		c.flooded()
	}
}

// flooded ends a connection whose client sends more messages than anybody could.
func (c *conn) flooded() {
	e := protocol.Error{Code: protocol.RateLimited, Msg: "far too many messages a second", RetryMS: handshakeCost}
	c.Close(protocol.AppendError(nil, e), websocket.ClosePolicyViolation, string(e.Code))
}

// crowd counts the connections of each user.
type crowd struct {
	mu    sync.Mutex
	count map[string]int
}

// enter counts one more, unless the user has most; 0 is no bound.
func (c *crowd) enter(user string, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count == nil {
		c.count = map[string]int{}
	}
	if most > 0 && c.count[user] >= most {
		return false
	}
	c.count[user]++
	return true
}

// full reports whether the user has most.
func (c *crowd) full(user string, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return most > 0 && c.count[user] >= most
}

func (c *crowd) leave(user string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count[user]--; c.count[user] <= 0 {
		delete(c.count, user)
	}
}
