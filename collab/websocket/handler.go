// Package websocket carries sessions over WebSockets, through melody: the handshake,
// the pumps, and the way in which a connection ends.
package websocket

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"github.com/olahol/melody"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/protocol"
)

// Times of a connection.
const (
	helloWait  = 10 * time.Second // for the first message
	writeWait  = 10 * time.Second // for one piece of a frame to be written
	pingPeriod = 20 * time.Second
	pongWait   = 45 * time.Second // without a sign of life
	lastWait   = time.Second      // for the error frame to be written before the close code
	lingerWait = 2 * time.Second  // for the peer to close after the close code
)

// kernelBuffer bounds the bytes of a connection that wait in the kernel, which left alone
// would take megabytes for each reader that has stopped.
const kernelBuffer = collab.WindowBytes / 2

// Config is how a Handler takes connections.
type Config struct {
	Origins        []string // allowed besides the server's own; "*" for all
	QueryToken     bool     // take tokens in the query string
	MaxConnections int      // on this node; 0: no bound
	MaxPerUser     int      // connections of one user on this node; 0: no bound
	MessagesPerS   int      // of one connection; twice as many at once; 0: 1000
	ComingBytes    int      // of long messages that are not whole yet, on this node; 0: 256 MiB
	Logger         *slog.Logger
}

// Handler serves GET /v1/docs/{doc}/ws. Read time-outs of handshakes are the http.Server's.
type Handler struct {
	hub         *collab.Hub
	verifier    collab.Verifier
	config      Config
	log         *slog.Logger
	melody      *melody.Melody
	connections atomic.Int64
	users       crowd
	work        sync.WaitGroup
	room        *room
}

// New makes a handler for the documents of a hub.
func New(hub *collab.Hub, verifier collab.Verifier, c Config) *Handler {
	h := &Handler{hub: hub, verifier: verifier, config: c, log: c.Logger, melody: melody.New()}
	if h.log == nil {
		h.log = slog.Default()
	}
	if h.config.MessagesPerS == 0 {
		h.config.MessagesPerS = 1000
	}
	if h.config.ComingBytes == 0 {
		h.config.ComingBytes = collab.DefaultUnreadBytes
	}
	h.room = newRoom(int64(h.config.ComingBytes), int64(hub.Limits().Message))
	h.melody.Config = &melody.Config{
		WriteWait: writeWait, PongWait: pongWait, PingPeriod: pingPeriod,
		MaxMessageSize:    int64(hub.Limits().Message),
		MessageBufferSize: 2 * collab.WindowFrames, // the window, and errors and bye on top
	}
	h.melody.Upgrader = &websocket.Upgrader{
		HandshakeTimeout: helloWait, ReadBufferSize: 1024, WriteBufferSize: 4096, WriteBufferPool: &sync.Pool{},
		Subprotocols: []string{subprotocol},
		CheckOrigin:  func(*http.Request) bool { return true }, // it was checked
	}
	of := func(s *melody.Session) *conn { return s.MustGet(connKey).(*conn) }
	h.melody.HandleConnect(func(s *melody.Session) { of(s).connected(s) })
	h.melody.HandleMessage(func(s *melody.Session, frame []byte) { of(s).text(frame) })
	h.melody.HandleMessageBinary(func(s *melody.Session, frame []byte) { of(s).binary(frame) })
	h.melody.HandleSentMessage(func(s *melody.Session, frame []byte) { of(s).sent(frame) })
	h.melody.HandleSentMessageBinary(func(s *melody.Session, frame []byte) { of(s).sent(frame) })
	h.melody.HandlePong(func(s *melody.Session) { of(s).pong() })
	h.melody.HandleError(func(s *melody.Session, err error) { of(s).failed(err) })
	h.melody.HandleDisconnect(func(s *melody.Session) { of(s).disconnected() })
	return h
}

const connKey = "conn"

// Connections is how many connections there are.
func (h *Handler) Connections() int64 { return h.connections.Load() }

// Drain sends away connections that are in no document yet; the hub does so with the others.
func (h *Handler) Drain() {
	sessions, err := h.melody.Sessions()
	if err != nil {
		return
	}
	for _, s := range sessions {
		if c := s.MustGet(connKey).(*conn); !c.joined() {
			e := protocol.Error{Code: protocol.Draining, Msg: "this node is being restarted; come back to another", RetryMS: 500}
			c.Close(protocol.AppendBye(nil, e), e.Code.Close(), string(e.Code))
		}
	}
}

// Cut ends the connections that are left, whatever is still to be said on them.
func (h *Handler) Cut() {
	sessions, err := h.melody.Sessions()
	if err != nil {
		return
	}
	for _, s := range sessions {
		if w, ok := s.WebsocketConnection().NetConn().(*wire); ok {
			_ = w.Conn.Close() // not w's own, which goes on reading for a moment
		}
	}
}

// Wait returns when every connection has ended, or ctx has.
func (h *Handler) Wait(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		h.work.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ServeHTTP upgrades the request, or answers with a problem.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v, problem := h.check(r, true)
	if problem != nil {
		problem.write(w)
		return
	}
	c := newConn(h, v)
	if !h.users.enter(v.id.User, h.config.MaxPerUser) { // the last place was taken since the check
		crowded(userCrowded).write(w)
		return
	}
	if !h.take(w, r, c, subprotocol) {
		h.users.leave(v.id.User)
	}
}

// take takes the connection from net/http and has it served, and reports whether it could.
func (h *Handler) take(w http.ResponseWriter, r *http.Request, c *conn, protocols ...string) bool {
	hijacked, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		refuse(http.StatusBadRequest, "", "the connection cannot be upgraded: "+err.Error()).write(w)
		return false
	}
	if rw.Reader.Buffered() > 0 { // a client that speaks before it is let in
		hijacked.Close()
		return false
	}
	_ = hijacked.SetDeadline(time.Time{})
	if tcp, ok := hijacked.(interface{ SetWriteBuffer(int) error }); ok {
		_ = tcp.SetWriteBuffer(kernelBuffer)
	}
	h.connections.Add(1)
	h.work.Add(1)
	// net/http keeps its goroutine and buffers while a handler runs, and melody the
	// request while the socket lives. So this handler returns, and melody is given
	// the connection on a goroutine of its own, with no more of the request than it reads.
	slim := &http.Request{Method: r.Method, Proto: r.Proto, ProtoMajor: 1, ProtoMinor: 1, Host: r.Host, Header: http.Header{}}
	for _, name := range []string{"Connection", "Upgrade", "Sec-Websocket-Version", "Sec-Websocket-Key"} {
		slim.Header[name] = r.Header[name]
	}
	slim.Header["Sec-Websocket-Protocol"] = protocols
	pipe := &wire{strict: &strict{Conn: hijacked, place: place{room: h.room}}, work: &h.work, progress: c.progress}
	go h.serve(&writer{conn: pipe, header: w.Header().Clone()}, slim, c)
	return true
}

// serve runs a connection until it ends.
func (h *Handler) serve(w *writer, r *http.Request, c *conn) {
	defer h.work.Done()
	defer h.connections.Add(-1)
	defer w.conn.place.leave()
	if c.echo == nil {
		defer h.users.leave(c.id.User)
	}
	defer func() {
		if p := recover(); p != nil {
			h.log.Error("a connection's pump panicked", "doc", c.doc, "panic", p, "stack", string(debug.Stack()))
			c.disconnected()
			w.conn.Close()
		}
	}()
	if err := h.melody.HandleRequestWithKeys(w, r, map[string]any{connKey: c}); err != nil && !errors.Is(err, net.ErrClosed) {
		h.log.Debug("an upgrade failed", "doc", c.doc, "error", err)
		w.conn.Close()
	}
}

// writer hands a connection that was hijacked before to the upgrader.
type writer struct {
	conn   *wire
	header http.Header
}

func (w *writer) Header() http.Header       { return w.header }
func (w *writer) Write([]byte) (int, error) { return 0, http.ErrHijacked }
func (w *writer) WriteHeader(int)           {}

func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.conn, bufio.NewReadWriter(bufio.NewReaderSize(w.conn, 16), bufio.NewWriterSize(nil, 0)), nil
}
