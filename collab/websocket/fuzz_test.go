package websocket

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/olahol/melody"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/protocol"
)

var (
	fuzzFrames = flag.Int64("fuzz.frames", 20_000, "mutated frames that sessions are sent")
	fuzzSeed   = flag.Uint64("fuzz.seed", 1, "what the mutated frames are made from")
)

// complaints is a log in which nothing may stand that says a panic was caught.
type complaints struct{ t testing.TB }

func (c complaints) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }
func (c complaints) WithAttrs([]slog.Attr) slog.Handler           { return c }
func (c complaints) WithGroup(string) slog.Handler                { return c }
func (c complaints) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool { c.t.Errorf("%s: %v", r.Message, a); return true })
	return nil
}

type everybody struct{}

func (everybody) Verify(_ context.Context, token string) (collab.Identity, error) {
	if token == "" {
		return collab.Identity{}, errors.New("no token")
	}
	return collab.Identity{User: token, Expires: time.Now().Add(24 * time.Hour), Docs: map[string]collab.Role{"*": collab.Write}}, nil
}

// arena is a hub and a handler whose connections are pipes.
type arena struct {
	t     testing.TB
	store *memory
	hub   *collab.Hub
	h     *Handler

	messages atomic.Int64 // after hello, that a connection which was not being closed took
	broken   atomic.Int64 // connections that a frame's form ended
}

func newArena(t testing.TB) *arena {
	log := slog.New(complaints{t})
	a := &arena{t: t, store: newMemory()}
	a.hub = collab.NewHub(collab.Config{
		Store: a.store, Verifier: everybody{}, Logger: log, IdleAfter: time.Millisecond,
		Limits: protocol.Limits{OpsPerS: 1 << 30},
	})
	a.h = New(a.hub, everybody{}, Config{Logger: log, MessagesPerS: 1 << 30})
	a.h.melody.HandleMessage(func(s *melody.Session, frame []byte) {
		c := s.MustGet(connKey).(*conn)
		if !c.closing.Load() && c.session != nil {
			a.messages.Add(1)
		}
		c.text(frame)
	})
	a.h.melody.HandleError(func(s *melody.Session, err error) {
		var closed *websocket.CloseError
		var wire net.Error
		c := s.MustGet(connKey).(*conn)
		if !c.closing.Load() && !errors.As(err, &closed) && !errors.As(err, &wire) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
			a.broken.Add(1)
		}
		c.failed(err)
	})
	ctx, end := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = a.hub.Run(ctx)
	}()
	t.Cleanup(func() {
		a.h.Drain()
		drain, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := errors.Join(a.hub.Drain(drain), a.h.Wait(drain)); err != nil {
			t.Errorf("something is left running: %v", err)
		}
		end()
		<-done
	})
	return a
}

// piped is the answer to an upgrade whose connection is a pipe.
type piped struct {
	conn   net.Conn
	header http.Header
	status int
}

func (p *piped) Header() http.Header         { return p.header }
func (p *piped) Write(b []byte) (int, error) { return len(b), nil }
func (p *piped) WriteHeader(status int)      { p.status = status }
func (p *piped) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return p.conn, bufio.NewReadWriter(bufio.NewReaderSize(p.conn, 16), bufio.NewWriterSize(nil, 0)), nil
}

// dial opens a connection to a document, up to and with the server's 101.
func (a *arena) dial(t testing.TB, doc, user string) (net.Conn, *bufio.Reader) {
	t.Helper()
	client, server := net.Pipe()
	r, err := http.NewRequest(http.MethodGet, "/v1/docs/"+doc+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetPathValue("doc", doc)
	r.Header = http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
		"Sec-Websocket-Protocol": {subprotocol}, "Authorization": {"Bearer " + user},
	}
	w := &piped{conn: server, header: http.Header{}}
	a.h.ServeHTTP(w, r)
	if w.status != 0 {
		t.Fatalf("the handshake is answered with %d", w.status)
	}
	in := bufio.NewReaderSize(client, 512)
	for line := " "; line != "\r\n"; {
		if line, err = in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	return client, in
}

// readFrame reads one frame of the server.
func readFrame(in *bufio.Reader) (opcode byte, payload []byte, err error) {
	var head [10]byte
	if _, err := io.ReadFull(in, head[:2]); err != nil {
		return 0, nil, err
	}
	n := uint64(head[1])
	switch n {
	case 126:
		_, err = io.ReadFull(in, head[2:4])
		n = uint64(binary.BigEndian.Uint16(head[2:]))
	case 127:
		_, err = io.ReadFull(in, head[2:10])
		n = binary.BigEndian.Uint64(head[2:])
	}
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(in, payload)
	return head[0] & 0xf, payload, err
}

// TestMutatedFramesHarmNobody sends sessions frames that are damaged in every way, while a
// witness edits in the same document: the witness is answered all along and is sent the log as it is, nothing
// panics, and nothing is left running.
func TestMutatedFramesHarmNobody(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("sessions", func(t *testing.T) {
		a := newArena(t)
		r := rand.New(rand.NewPCG(*fuzzSeed, 0))
		began, told := time.Now(), int64(0)
		connections := 0
		done := func() int64 { return a.messages.Load() + a.broken.Load() }
		for n := 0; done() < *fuzzFrames && !t.Failed(); n++ {
			doc := fmt.Sprint("doc", n)
			w := a.witness(doc)
			for w.edits < 100 && done() < *fuzzFrames && !t.Failed() {
				for range 3 {
					a.attack(doc, fmt.Sprintf("client-of-a-mutant-%d", connections), &mutant{Rand: r})
					connections++
				}
				w.edit()
			}
			w.leave()
			a.judge(doc, w)
			a.store.forget(doc)
			if now := done(); now-told >= 1_000_000 {
				told = now
				t.Logf("%d frames, %d connections, %.0f s, %d goroutines", now, connections, time.Since(began).Seconds(), runtime.NumGoroutine())
			}
		}
		t.Logf("seed %d: %d messages and %d broken frames over %d connections in %.1f s", *fuzzSeed, a.messages.Load(), a.broken.Load(), connections, time.Since(began).Seconds())
	})
	for limit := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(limit) {
			t.Fatalf("%d goroutines of %d are left", runtime.NumGoroutine(), before)
		}
	}
}

// attack is one connection: a hello, then mutated frames until the server has enough of it.
func (a *arena) attack(doc, client string, m *mutant) {
	conn, in := a.dial(a.t, doc, "mutant")
	var v atomic.Int64
	over := make(chan struct{})
	go func() {
		defer close(over)
		defer conn.Close()
		for {
			opcode, payload, err := readFrame(in)
			if err != nil || opcode == websocket.CloseMessage {
				return
			}
			switch msg, err := protocol.DecodeServer(payload); msg := msg.(type) {
			case *protocol.Welcome:
				v.Store(msg.V)
			case *protocol.Ops:
				v.Store(msg.V + int64(len(msg.Ops)))
			default:
				if err != nil && opcode == websocket.TextMessage {
					a.t.Errorf("the server sends %.200q: %v", payload, err)
				}
			}
		}
	}()
	hello := m.whole(protocol.Hello{Client: client}.Append(nil))
	if m.IntN(10) == 0 {
		hello = m.whole(m.harsh(string(protocol.Hello{Client: client}.Append(nil))))
	}
	_, err := conn.Write(hello)
	for range 200 {
		if err != nil {
			break
		}
		if m.IntN(100) == 0 { // and some simply go
			break
		}
		for spins := 0; v.Load() == 0 && spins < 50; spins++ { // nothing may follow hello before welcome
			runtime.Gosched()
		}
		m.v = max(m.v, v.Load())
		_, err = conn.Write(m.frame())
	}
	conn.Close()
	<-over
}

// FuzzSession sends a session any bytes at all after its hello.
func FuzzSession(f *testing.F) {
	r := &mutant{Rand: rand.New(rand.NewPCG(7, 7))}
	for range 50 {
		f.Add(r.frame())
	}
	a := newArena(f)
	client := 0
	f.Fuzz(func(t *testing.T, data []byte) {
		conn, in := a.dial(t, "doc", "mutant")
		over := make(chan struct{})
		go func() {
			defer close(over)
			_, _ = io.Copy(io.Discard, in)
		}()
		client++
		_, err := conn.Write(r.bytes(0x81, protocol.Hello{Client: fmt.Sprintf("client-of-the-fuzzer-%d", client)}.Append(nil)))
		if err == nil {
			_, _ = conn.Write(data)
		}
		conn.Close()
		<-over
	})
}
