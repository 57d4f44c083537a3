package websocket

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/gorilla/websocket"
	"github.com/olahol/melody"
	"golang.org/x/time/rate"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/protocol"
)

// conn is a session's connection.
type conn struct {
	visit
	h    *Handler
	ctx  context.Context // ends with the connection
	end  context.CancelFunc
	late *time.Timer // for a client that says no hello

	echo    chan struct{} // told of each frame that was written; nil but in echo mode
	up      chan struct{} // closed when ws is there
	ws      *melody.Session
	joining sync.Mutex      // held while session is being set
	session *collab.Session // from hello on
	left    sync.Once

	messages *rate.Limiter // of what the client sends, operations too
	pings    *rate.Limiter // and pongs
	closing  atomic.Bool
	last     atomic.Pointer[byte] // the first byte of the last frame
	written  chan struct{}        // closed when that frame is written
}

func newConn(h *Handler, v visit) *conn {
	c := &conn{
		visit: v, h: h, up: make(chan struct{}), written: make(chan struct{}),
		messages: rate.NewLimiter(rate.Limit(h.config.MessagesPerS), 2*h.config.MessagesPerS), pings: rate.NewLimiter(pingsPerS, pingBurst),
	}
	c.ctx, c.end = context.WithCancel(context.Background())
	return c
}

func (c *conn) connected(s *melody.Session) {
	c.ws = s
	close(c.up)
	c.boundPings()
	if c.echo != nil {
		return
	}
	most, e := helloWait, &protocol.Error{Code: protocol.BadMessage, Msg: "no hello within 10 s"}
	if left := time.Until(c.id.Expires); left < most {
		most, e = left, &protocol.Error{Code: protocol.TokenExpired, Msg: "the token has expired; come back with a new one"}
	}
	c.late = time.AfterFunc(most, func() { c.refuse(e) })
}

// Send queues a frame. The engine never has more in the queue than its window, and
// melody's is larger.
func (c *conn) Send(frame []byte) { _ = c.ws.Write(frame) }

// refuse tells an error and closes.
func (c *conn) refuse(e *protocol.Error) {
	c.Close(protocol.AppendError(nil, *e), e.Code.Close(), string(e.Code))
}

// Close writes last, then the close code, and waits a moment for the client to
// close. Only the first call counts.
func (c *conn) Close(last []byte, code int, reason string) {
	if !c.closing.CompareAndSwap(false, true) {
		return
	}
	c.h.work.Add(1)
	go func() {
		defer c.h.work.Done()
		c.close(last, code, reason)
	}()
}

func (c *conn) close(last []byte, code int, reason string) {
	ended := c.ctx.Done()
	select { // melody lists a session before it tells of it, and a drain may come in between
	case <-c.up:
	case <-ended:
		return
	}
	if len(last) > 0 {
		c.last.Store(unsafe.SliceData(last))
		c.Send(last)
		wait(ended, c.written, lastWait)
	}
	c.say(code, reason)
	// Going on reading, for the client's own close frame; what else it sends is not heard.
	wait(ended, nil, lingerWait)
	_ = c.ws.WebsocketConnection().Close()
}

func wait(a, b <-chan struct{}, most time.Duration) {
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-a:
	case <-b:
	case <-t.C:
	}
}

// text takes a text frame, which is UTF-8. It runs in the read loop, so while it waits nothing more
// is read, and TCP holds the client back.
func (c *conn) text(frame []byte) {
	defer func() {
		if p := recover(); p != nil {
			c.h.log.Error("a message made the server panic", "doc", c.doc, "panic", p, "stack", string(debug.Stack()))
			c.Close(nil, websocket.CloseInternalServerErr, "")
		}
	}()
	if c.closing.Load() {
		return
	}
	if !c.messages.Allow() {
		c.flooded()
		return
	}
	if c.echo != nil {
		c.sendBack(frame, c.ws.Write)
		return
	}
	m, err := protocol.Decode(frame, c.h.hub.Limits())
	var e *protocol.Error
	switch hello, isHello := m.(protocol.Hello); {
	case errors.As(err, &e) && e.Code.Close() == 0 && c.session != nil:
		c.Send(protocol.AppendError(nil, *e))
	case errors.As(err, &e):
		if e.Code.Close() == 0 {
			e.Code = protocol.BadMessage
		}
		c.refuse(e)
	case c.session != nil:
		c.session.Receive(c.ctx, m)
	case isHello:
		c.late.Stop()
		c.joining.Lock() // the first frame may have been written before Join returns
		c.session = c.h.hub.Join(c.ctx, c.doc, c.id, hello, c)
		c.joining.Unlock()
	default:
		c.refuse(&protocol.Error{Code: protocol.BadMessage, Msg: "the first message is hello"})
	}
	// The client is alive, and if we kept it waiting that is no fault of its own.
	_ = c.ws.WebsocketConnection().SetReadDeadline(time.Now().Add(pongWait))
}

func (c *conn) joined() bool {
	c.joining.Lock()
	defer c.joining.Unlock()
	return c.session != nil
}

// binary takes a binary frame, which the protocol has none of.
func (c *conn) binary(frame []byte) {
	switch {
	case c.echo == nil:
		c.Close(nil, websocket.CloseUnsupportedData, "frames are text")
	case c.closing.Load():
	case !c.messages.Allow():
		c.flooded()
	default:
		c.sendBack(frame, c.ws.WriteBinary)
	}
}

// sent gives the engine its credit back for a frame that was written.
func (c *conn) sent(frame []byte) {
	if len(frame) > 0 && c.last.Load() == unsafe.SliceData(frame) {
		close(c.written)
		return
	}
	if c.echo != nil {
		c.echo <- struct{}{}
		return
	}
	c.joining.Lock()
	session := c.session
	c.joining.Unlock()
	if session != nil {
		session.Sent(len(frame))
	}
}

// progress tells the engine that a long frame moves, though it is not written yet.
func (c *conn) progress() {
	c.joining.Lock()
	session := c.session
	c.joining.Unlock()
	if session != nil {
		session.Progress()
	}
}

// failed hears of every error of the socket. It must not close through melody, whose
// queue may be what has failed.
func (c *conn) failed(err error) {
	if errors.Is(err, melody.ErrMessageBufferFull) {
		c.Close(nil, websocket.CloseTryAgainLater, string(protocol.Slow))
		return
	}
	var wrong violation
	switch {
	case errors.As(err, &wrong):
		c.say(wrong.code, wrong.what)
	case errors.Is(err, errCrowded):
		c.say(websocket.CloseTryAgainLater, string(protocol.Unavailable))
	}
	c.end()
}

// say writes a close frame.
func (c *conn) say(code int, reason string) {
	_ = c.ws.WebsocketConnection().WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(lastWait))
}

// disconnected comes when the socket is gone.
func (c *conn) disconnected() {
	c.left.Do(func() {
		c.end()
		if c.late != nil {
			c.late.Stop()
		}
		c.joining.Lock()
		session := c.session
		c.joining.Unlock()
		if session != nil {
			session.Leave()
		}
	})
}
