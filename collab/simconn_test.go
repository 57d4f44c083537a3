package collab

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
)

// simConn is a connection between a client and a node: two ordered streams.
type simConn struct {
	client   *simClient
	node     *simNode
	loop     *simLoop // once hello was read
	s        *session
	tokens   map[string]Identity // what the client has sent, by the token
	begun    time.Time
	toServer [][]byte
	toClient [][]byte
	expires  time.Time // of the client's newest token
	role     Role      // as the server said
	welcomed bool
	gone     bool      // the client has hung up, or the network has
	stuck    time.Time // until then the client does not read
	closed   bool      // by the server: what is on its way still arrives
	reason   string    // of that
	dead     bool      // its node died
	late     bool      // it began after the document was deleted
	told     int       // how often the client was told of that
}

// Send queues a frame for the client.
func (c *simConn) Send(frame []byte) {
	if !c.closed {
		c.toClient = append(c.toClient, frame)
		c.checkFrame(frame)
	}
}

// Close ends the connection from the server's side.
func (c *simConn) Close(last []byte, _ int, reason string) {
	if c.closed {
		return
	}
	if last != nil {
		c.toClient = append(c.toClient, last)
	}
	c.closed, c.reason = true, reason
	c.node.w.count("session ended: " + reason)
}

// moves has one frame cross, one way or the other, and reports whether one did.
func (c *simConn) moves(toServer bool) bool {
	if toServer {
		return c.serverReads()
	}
	return c.clientReads()
}

func (c *simConn) serverReads() bool {
	switch {
	case len(c.toServer) > 0 && !c.closed:
		frame := c.toServer[0]
		c.toServer = c.toServer[1:]
		c.arrives(frame)
	case c.gone && (len(c.toServer) == 0 || c.closed):
		// The socket's end is seen when all before it was read.
		c.leave()
	default:
		return false
	}
	return true
}

func (c *simConn) arrives(frame []byte) {
	n := c.node
	if n.w.tell != nil {
		n.w.trace("  %s to %s: %s", c.client.name, n.name, frame)
	}
	m, err := protocol.Decode(frame, simLimits)
	if err != nil {
		n.w.fail("an honest client's message: %v: %s", err, frame)
		return
	}
	switch m := m.(type) {
	case protocol.Hello:
		if c.loop = n.acquire(); c.loop == nil {
			c.closed = true
			return
		}
		id := c.tokens[""]
		c.s = &session{id: n.w.draw(), client: m.Client, ident: id, role: id.Role(simDoc), conn: c}
		c.loop.mail = append(c.loop.mail, evJoin{c.s, m})
	case protocol.Token:
		c.loop.mail = append(c.loop.mail, evToken{c.s, c.tokens[m.Token], nil})
	default:
		if op, ok := m.(protocol.Op); ok {
			n.pendingElsewhere(c.s.client, op)
		}
		c.loop.mail = append(c.loop.mail, evMessage{c.s, m})
	}
}

// leave is the end of a connection as its node sees it.
func (c *simConn) leave() {
	c.node.conns = slices.DeleteFunc(c.node.conns, func(o *simConn) bool { return o == c })
	if c.loop != nil {
		c.loop.mail = append(c.loop.mail, evLeave{c.s})
		c.loop.release()
	}
}

func (c *simConn) clientReads() bool {
	w := c.node.w
	if c.gone || c.client.conn != c {
		return false
	}
	if !w.ending && w.now.Before(c.stuck) {
		return false
	}
	if len(c.toClient) > 0 {
		frame := c.toClient[0]
		c.toClient = c.toClient[1:]
		if c.s != nil && !c.closed {
			c.loop.step(evCredit{c.s, 1, len(frame)})
		}
		if !c.gone { // the node may have died of it
			c.client.read(frame)
		}
		return true
	}
	if c.closed {
		c.client.hangUp()
		c.leave()
		return true
	}
	return false
}

// call opens a connection to a node.
func (c *simClient) call(n *simNode) {
	c.hangUp()
	h := protocol.Hello{Client: c.id, Type: c.w.typ}
	if c.content != nil && (c.v == 0 || c.last != nil) {
		v := c.v
		h.V, h.Last = &v, c.last
	}
	role := c.role()
	if c.lowered() {
		role = Read
	}
	if c.flying && c.former.client == "" && c.transmitted != nil && c.transmitted != n {
		c.w.count("came back on another node with an operation in flight")
	}
	if c.content != nil && c.v > 0 && c.w.referee.left(c.epoch, c.v) && c.w.referee.head() >= c.v {
		c.w.count("a restored backup had grown past a client")
	}
	id := c.w.identity(c.user, role)
	c.conn = &simConn{client: c, node: n, begun: c.w.now, late: c.w.gone, tokens: map[string]Identity{"": id}, expires: id.Expires}
	c.conn.toServer = append(c.conn.toServer, h.Append(nil))
	n.conns = append(n.conns, c.conn)
	c.w.trace("%s calls %s", c.name, n.name)
}

// lowered draws whether the token that the client gets now allows reading alone.
func (c *simClient) lowered() bool {
	if c.reader || !c.w.fault(1, 25) {
		return false
	}
	c.w.count("a token allows reading alone")
	return true
}

// role is what the client's user may do in the end.
func (c *simClient) role() Role {
	if c.reader {
		return Read
	}
	return Write
}

// renew sends a newer token.
func (c *simClient) renew() {
	role := c.role()
	if c.conn.role == role && c.lowered() {
		role = Read
	}
	id := c.w.identity(c.user, role)
	token := fmt.Sprintf("token%d", len(c.conn.tokens))
	c.conn.tokens[token], c.conn.expires = id, id.Expires
	c.conn.toServer = append(c.conn.toServer, protocol.Token{Token: token}.Append(nil))
	c.w.count("token renewed")
}

var _ Conn = (*simConn)(nil)

// identity is what the token says that a client shows.
func (w *world) identity(user string, role Role) Identity {
	return Identity{User: user, Name: strings.ToUpper(user), Expires: w.now.Add(w.life), Docs: map[string]Role{simDoc: role}}
}

var simLimits = protocol.Limits{Message: 1 << 20, Attributes: 4096, Presence: 2048}
