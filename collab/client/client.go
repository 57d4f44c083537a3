package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/gorilla/websocket"

	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

const (
	pingEvery = 5 * time.Second
	silence   = 12 * time.Second // after which a connection counts as dead
)

// Config is what a client is made of. Servers, Doc and Token are required.
type Config struct {
	Servers []string // http(s) addresses of nodes of one installation; after each failure the next is tried
	Doc     string
	Token   func(context.Context) (string, error) // asked for before each connection, and before the last one runs out
	Type    ot.Type                               // of a document that this creates; "" for Rich
	ID      string                                // client id; "" has one drawn

	// OnOperation is called after each operation of the log, with the replica, which it
	// may edit; own says that the operation was this client's. OnWelcome is called when a
	// connection is up. Both must return soon, and call nothing of the Client's.
	OnOperation func(r *Replica, op protocol.Committed, own bool)
	OnWelcome   func(r *Replica, node string)
	OnPresence  func(v int64, peers []protocol.Peer)
	// OnSend is called before an operation goes out, the first time and again, under OnOperation's terms.
	OnSend func(r *Replica, op protocol.Op)
	// MaySend, where it is set, is asked before an operation is sent for the first time; Kick asks again.
	MaySend func() bool

	Backoff time.Duration // the least wait before coming back; 0: 1 s
}

// Client takes part in a document until it is closed: it connects, comes back after
// failures, sends edits one at a time, and follows everybody else's.
type Client struct {
	config Config
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}
	token  string // of the last connection; run's own, as is stale
	stale  bool   // the connection before had the same

	mu      sync.Mutex
	r       *Replica
	conn    *Conn // nil while there is none
	up      bool  // it was welcomed
	limits  protocol.Limits
	slowed  int // times that the server asked to wait
	err     error
	changed chan struct{} // closed at each change
}

// Open starts a client. It returns at once; Ready waits for the document.
func Open(ctx context.Context, config Config) *Client {
	ctx, cancel := context.WithCancel(ctx)
	if config.Backoff == 0 {
		config.Backoff = time.Second
	}
	c := &Client{config: config, ctx: ctx, cancel: cancel, done: make(chan struct{}), r: newReplica(config.ID, config.Type), changed: make(chan struct{})}
	go c.run()
	return c
}

// Do calls f with the replica, alone, and sends what f edited.
func (c *Client) Do(f func(*Replica)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c.r)
	c.flush()
	c.tell()
}

// Edit makes one edit: make gets the content and returns a delta of it.
func (c *Client) Edit(edit func(content *ot.Document) ot.Delta) (err error) {
	c.Do(func(r *Replica) {
		if r.view == nil {
			err = errors.New("the document has not come yet")
			return
		}
		err = r.Edit(edit(r.view))
	})
	return err
}

// Kick asks MaySend again.
func (c *Client) Kick() { c.Do(func(*Replica) {}) }

// SetCursor tells others where the user is, in the server's content at the replica's version; nil: nowhere.
func (c *Client) SetCursor(cursor *protocol.Cursor) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.up {
		_ = c.conn.SendRaw(protocol.Presence{V: c.r.v, Cursor: cursor}.Append(nil))
	}
}

// Content is a snapshot of the content with the client's own edits; nil before it has come.
func (c *Client) Content() *ot.Document {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.r.view == nil {
		return nil
	}
	return c.r.view.Clone()
}

// Slowed is how often the server asked to wait, as the user sends more than its limit.
func (c *Client) Slowed() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.slowed
}

// Limits are the server's; zero before it has told them.
func (c *Client) Limits() protocol.Limits {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.limits
}

// Wait returns when ok says so of the replica, or with the error that ended the client, or ctx's.
func (c *Client) Wait(ctx context.Context, ok func(*Replica) bool) error {
	for {
		c.mu.Lock()
		good, err, changed := ok(c.r), c.err, c.changed
		c.mu.Unlock()
		switch {
		case good:
			return nil
		case err != nil:
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Ready waits for the document.
func (c *Client) Ready(ctx context.Context) error {
	return c.Wait(ctx, func(r *Replica) bool { return r.view != nil })
}

// Flush waits until every edit is stored.
func (c *Client) Flush(ctx context.Context) error {
	return c.Wait(ctx, func(r *Replica) bool { return r.view != nil && r.Unsent() == 0 })
}

// Close ends the connection and the client. What is unsent is dropped: Flush first.
func (c *Client) Close() {
	c.cancel()
	c.mu.Lock()
	if c.conn != nil {
		_ = c.conn.Close()
	}
	c.mu.Unlock()
	<-c.done
}

// tell wakes whoever waits. c.mu is held.
func (c *Client) tell() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// flush sends the next operation, if it may go. c.mu is held.
func (c *Client) flush() {
	if !c.up || c.r.flying || c.config.MaySend != nil && len(c.r.unsent) > 0 && !c.config.MaySend() {
		return
	}
	if op, ok := c.r.next(); ok {
		c.send(op)
	}
}

// send sends an operation; a failure shows in the read loop. c.mu is held.
func (c *Client) send(op protocol.Op) {
	if c.config.OnSend != nil {
		c.config.OnSend(c.r, op)
	}
	if err := c.conn.SendRaw(op.Append(nil)); err != nil {
		_ = c.conn.ws.Close()
	}
}

// run connects again and again until the client ends.
func (c *Client) run() {
	defer close(c.done)
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval, waits.MaxInterval, waits.RandomizationFactor = c.config.Backoff, 30*time.Second, 0.5
	for attempt := 0; c.ctx.Err() == nil; attempt++ {
		welcomed, err := c.session(trim(c.config.Servers[attempt%len(c.config.Servers)]))
		if c.ctx.Err() != nil {
			break
		}
		if welcomed {
			waits.Reset()
		}
		wait, fatal := c.after(err, waits)
		if fatal {
			c.end(err)
			return
		}
		select {
		case <-time.After(wait):
		case <-c.ctx.Done():
		}
	}
	c.end(errors.New("the client is closed"))
}

func (c *Client) end(err error) {
	c.mu.Lock()
	c.err = err
	c.tell()
	c.mu.Unlock()
}

// after decides what follows the end of a connection: when to come back, or that there is no use in it.
func (c *Client) after(err error, waits *backoff.ExponentialBackOff) (wait time.Duration, fatal bool) {
	wait = waits.NextBackOff()
	spread := func(retry time.Duration) time.Duration {
		return retry + rand.N(retry/2+time.Millisecond)
	}
	var refused *Refused
	var closed *Closed
	switch {
	case errors.Is(err, errLost):
		c.startOver(true)
	case errors.As(err, &refused):
		switch refused.Status {
		case http.StatusUnauthorized: // once more, if there is another token
			return wait, c.stale
		case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
			if refused.Retry > 0 {
				wait = spread(refused.Retry)
			}
			return wait, false
		}
		return 0, true
	case errors.As(err, &closed):
		if closed.Retry > 0 {
			wait = spread(closed.Retry)
		}
		switch closed.Close {
		case 4403, 4410, websocket.CloseUnsupportedData, websocket.CloseInvalidFramePayloadData, websocket.ClosePolicyViolation, websocket.CloseMessageTooBig, 4400:
			return 0, true
		case 4409:
			c.startOver(closed.Code != protocol.BadVersion)
		}
	}
	return wait, false
}

func (c *Client) startOver(sameLineage bool) {
	c.mu.Lock()
	c.r.startOver(sameLineage)
	c.mu.Unlock()
}

// session is one connection, from the dial to its end.
func (c *Client) session(server string) (welcomed bool, err error) {
	token, err := c.config.Token(c.ctx)
	if err != nil {
		return false, fmt.Errorf("no token: %w", err)
	}
	c.stale = token == c.token
	c.token = token
	conn, err := Dial(c.ctx, server, c.config.Doc, token)
	if err != nil {
		return false, err
	}
	defer conn.ws.Close()
	c.mu.Lock()
	c.conn = conn
	err = conn.SendRaw(c.r.hello().Append(nil))
	c.mu.Unlock()
	if err != nil {
		return false, err
	}
	var tending sync.WaitGroup
	over := make(chan struct{})
	tending.Go(func() { c.tend(conn, over) })
	defer func() {
		close(over)
		c.mu.Lock()
		c.conn, c.up = nil, false
		c.mu.Unlock()
		tending.Wait()
	}()
	stop := context.AfterFunc(c.ctx, func() { _ = conn.Close() })
	defer stop()
	for {
		m, err := conn.Receive(silence)
		if err != nil {
			return welcomed, err
		}
		if err := c.take(conn, m); err != nil {
			return welcomed, err
		}
		welcomed = true
	}
}

// tend pings, so that a connection that is half open is noticed.
func (c *Client) tend(conn *Conn, over <-chan struct{}) {
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	for {
		select {
		case <-over:
			return
		case <-ticker.C:
			c.mu.Lock()
			if c.up {
				_ = conn.SendRaw(protocol.Ping{}.Append(nil))
			}
			c.mu.Unlock()
		}
	}
}

// take takes one message.
func (c *Client) take(conn *Conn, m protocol.ServerMessage) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.tell()
	switch m := m.(type) {
	case *protocol.Welcome:
		c.limits = m.Limits
		resend, err := c.r.welcome(m, c.operation)
		if err != nil {
			return err
		}
		c.up = true
		c.renew(conn, m.ExpiresInMS)
		if resend {
			c.send(c.r.again())
		}
		if c.config.OnWelcome != nil {
			c.config.OnWelcome(c.r, conn.Node)
		}
	case *protocol.Ops:
		if m.V != c.r.v {
			return fmt.Errorf("operations from version %d came at version %d", m.V, c.r.v)
		}
		for _, op := range m.Ops {
			own, err := c.r.receive(op)
			if err != nil {
				return err
			}
			c.operation(op, own)
		}
	case *protocol.PresenceUpdate:
		if c.config.OnPresence != nil {
			c.config.OnPresence(m.V, m.Peers)
		}
	case *protocol.RoleChange:
		c.renew(conn, m.ExpiresInMS)
	case *protocol.ErrorMessage:
		return c.refused(conn, m.Error)
	}
	c.flush()
	return nil
}

func (c *Client) operation(op protocol.Committed, own bool) {
	if c.config.OnOperation != nil {
		c.config.OnOperation(c.r, op, own)
	}
}

// refused takes an error after which the connection goes on, or which a close follows.
func (c *Client) refused(conn *Conn, e protocol.Error) error {
	switch e.Code {
	case protocol.RateLimited:
		c.slowed++
		time.AfterFunc(time.Duration(max(e.RetryMS, 1))*time.Millisecond, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.conn == conn && c.up && c.r.flying && c.r.seq == e.Seq {
				c.send(c.r.again())
			}
		})
	case protocol.TooLarge, protocol.Forbidden:
		if e.Seq != 0 {
			return &Closed{Close: websocket.ClosePolicyViolation, Code: e.Code, Msg: e.Msg}
		}
	}
	return nil
}

// renew sends a newer token before this one runs out.
func (c *Client) renew(conn *Conn, expiresInMS int64) {
	left := time.Duration(expiresInMS) * time.Millisecond
	time.AfterFunc(max(left-left/5, left-time.Minute), func() {
		token, err := c.config.Token(c.ctx)
		c.mu.Lock()
		defer c.mu.Unlock()
		if err == nil && c.conn == conn && c.up {
			_ = conn.SendRaw(protocol.Token{Token: token}.Append(nil))
		}
	})
}
