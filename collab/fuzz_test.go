package collab

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"

	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

var fuzzFrames = flag.Int("fuzz.frames", 20_000, "mutated frames that sessions are sent")

// quickConn is a connection whose client reads at once.
type quickConn struct {
	mu      sync.Mutex
	session *Session
	early   []int
	frames  func([]byte)
	closed  atomic.Bool
}

func (c *quickConn) Send(frame []byte) {
	c.frames(frame)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == nil {
		c.early = append(c.early, len(frame))
		return
	}
	c.session.Sent(len(frame))
}

func (c *quickConn) Close([]byte, int, string) { c.closed.Store(true) }

func (c *quickConn) join(h *Hub, doc string, id Identity, hello protocol.Hello) {
	s := h.Join(context.Background(), doc, id, hello, c)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = s
	for _, n := range c.early {
		s.Sent(n)
	}
}

// hostile makes frames out of good ones.
type hostile struct {
	*rand.Rand
	v, seq int64
}

// good is a message as an honest client would send it, for the most part.
func (h *hostile) good() string {
	switch h.IntN(10) {
	case 0:
		return `{"t":"hello","client":"client-of-the-fuzzer","v":` + strconv.FormatInt(h.v, 10) + `,"last":["client-of-the-fuzzer",1]}`
	case 1:
		return `{"t":"presence","v":` + strconv.FormatInt(h.v, 10) + `,"cursor":{"index":` + strconv.Itoa(h.IntN(50)) + `,"length":2},"state":{"a":[1,{"b":null}]}}`
	case 2:
		return `{"t":"token","token":"fuzzer"}`
	case 3:
		return `{"t":"ping"}`
	}
	deltas := []string{
		`[{"insert":"x"}]`, `[{"retain":1},{"insert":"é\n😀","attributes":{"bold":true,"link":null}}]`, `[{"delete":1}]`, `[]`,
		`[{"insert":{"image":"u"}},{"retain":1,"attributes":{"a":{"b":[1,2.5e3]}}}]`, `[{"insert":"\ud83d\ude00\u0000\u2028"}]`, `[{"retain":3},{"delete":2},{"retain":1,"attributes":{"x":1}}]`,
	}
	h.seq++
	return fmt.Sprintf(`{"t":"op","v":%d,"seq":%d,"d":%s}`, h.v, h.seq, deltas[h.IntN(len(deltas))])
}

var shards = []string{
	`"`, `\`, `{`, `}`, `[`, `]`, `,`, `:`, `null`, `true`, `-1`, `0`, `1e400`, `9007199254740993`, `18446744073709551616`, `1.5`, `\ud83d`, `\udc00`, "\xff", "\x00", "\ud7ff", "😀", `"__proto__"`,
	`"t":"op"`, `"insert"`, `"retain"`, `"delete"`, `"attributes"`, `[[[[[[[[[[[[[[[[[[`, `{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":1}}}}}}}}}}}}}}}}}`, "\r", `\r`, `NaN`,
}

// frame is a good message, mutated more often than not.
func (h *hostile) frame() []byte {
	f := []byte(h.good())
	for n := h.IntN(4); n > 0 && len(f) > 0; n-- {
		at := h.IntN(len(f))
		switch h.IntN(6) {
		case 0:
			f[at] = byte(h.IntN(256))
		case 1:
			end := min(len(f), at+1+h.IntN(8))
			f = append(f[:at], f[end:]...)
		case 2:
			shard := shards[h.IntN(len(shards))]
			f = append(f[:at], append([]byte(shard), f[at:]...)...)
		case 3:
			end := min(len(f), at+1+h.IntN(16))
			f = append(f[:end], append(bytes.Clone(f[at:end]), f[end:]...)...)
		case 4:
			f[at] ^= 1 << h.IntN(8)
		default:
			f = f[:at]
		}
	}
	return f
}

// attack sends frames through sessions, as a connection would, and takes a new session when one was ended.
func attack(hub *Hub, doc string, seed uint64, frames int) (sessions int) {
	h := &hostile{Rand: rand.New(rand.NewPCG(seed, 7))}
	id := Identity{User: "fuzzer", Expires: time.Now().Add(time.Hour), Docs: map[string]Role{"*": Write}}
	var head atomic.Int64
	var c *quickConn
	for range frames {
		if c == nil {
			sessions++
			c = &quickConn{frames: func(f []byte) {
				if m, err := protocol.DecodeServer(f); err == nil {
					switch m := m.(type) {
					case *protocol.Welcome:
						head.Store(m.V)
					case *protocol.Ops:
						head.Store(m.V + int64(len(m.Ops)))
					}
				}
			}}
			h.seq = 0
			c.join(hub, doc, id, protocol.Hello{Client: fmt.Sprintf("client-of-a-fuzzer-%d-%d", seed, sessions)})
		}
		h.v = head.Load()
		f := h.frame()
		var m protocol.ClientMessage
		err := errors.New("not UTF-8")
		if utf8.Valid(f) {
			m, err = protocol.Decode(f, hub.Limits())
		}
		if err == nil {
			c.session.Receive(context.Background(), m)
		}
		var e *protocol.Error
		if err != nil && (!errors.As(err, &e) || e.Code.Close() != 0) || c.closed.Load() {
			c.session.Leave()
			c = nil
		}
	}
	if c != nil {
		c.session.Leave()
	}
	return sessions
}

// witness edits in the same document meanwhile, one operation after the other, and follows everybody's.
type witness struct {
	t    *testing.T
	conn *quickConn

	mu      sync.Mutex
	content *ot.Document
	v, seq  int64
	acked   chan struct{}
}

func (w *witness) read(frame []byte) {
	m, err := protocol.DecodeServer(frame)
	if err != nil {
		w.t.Errorf("the server sent what is no message: %v", err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch m := m.(type) {
	case *protocol.Welcome:
		d, err := ot.Decode(m.Doc)
		if err == nil {
			w.content, err = ot.DocumentOf(m.Type, d)
		}
		if w.v = m.V; err != nil {
			w.t.Errorf("welcome: %v", err)
		}
		close(w.acked)
	case *protocol.Ops:
		w.follow(m)
	case *protocol.ErrorMessage:
		w.t.Errorf("an honest client is told %s: %s", m.Code, m.Msg)
	}
}

func (w *witness) follow(m *protocol.Ops) {
	if m.V != w.v {
		w.t.Errorf("operations from %d came at %d", m.V, w.v)
	}
	for _, op := range m.Ops {
		d, err := ot.Decode(op.Delta)
		if err == nil {
			err = w.content.Apply(d)
		}
		if w.v++; err != nil {
			w.t.Errorf("version %d: %v", w.v, err)
		}
		if op.User == "witness" {
			close(w.acked)
		}
	}
}

// TestMutatedFramesHurtNobodyElse sends sessions what no client should; nothing panics, nobody else
// is disturbed, and nothing is left running.
func TestMutatedFramesHurtNobodyElse(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	store := newMemStore()
	hub := NewHub(Config{
		Store: store, Verifier: tokenNames{}, Logger: slog.New(slog.DiscardHandler),
		Limits: protocol.Limits{OpsPerS: 1 << 30},
	})
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = hub.Run(ctx) }()
	w := &witness{t: t, acked: make(chan struct{})}
	w.conn = &quickConn{frames: w.read}
	welcomed := w.acked
	w.conn.join(hub, "doc", Identity{User: "witness", Expires: time.Now().Add(24 * time.Hour), Docs: map[string]Role{"*": Write}}, protocol.Hello{Client: "client-of-the-witness"})
	<-welcomed

	var work sync.WaitGroup
	var sessions atomic.Int64
	workers := runtime.GOMAXPROCS(0)
	for i := range workers {
		work.Go(func() { sessions.Add(int64(attack(hub, "doc", seed+uint64(i), *fuzzFrames/workers))) })
	}
	attacked := make(chan struct{})
	go func() { work.Wait(); close(attacked) }()
	edits := 0
	for over := false; !over; edits++ {
		acked := make(chan struct{})
		w.mu.Lock()
		w.acked = acked
		w.seq++
		op := protocol.Op{V: w.v, Seq: w.seq, Delta: ot.New().Insert("w")}
		if n := w.content.Len(); n > 20_000 { // a long run writes more than a document may hold
			op.Delta = ot.New().Delete(n - 1)
		}
		w.mu.Unlock()
		w.conn.session.Receive(context.Background(), op)
		select {
		case <-acked:
		case <-time.After(time.Minute):
			t.Fatal("an honest client's operation does not come back")
		}
		select {
		case <-attacked:
			over = true
		default:
		}
	}
	w.conn.session.Leave()
	end()
	<-ended
	d := store.docs["doc"]
	if int64(len(d.ops)) != d.meta.Version {
		t.Errorf("the log of %d versions has %d operations", d.meta.Version, len(d.ops))
	}
	if _, content, err := contentAt(context.Background(), store, d.meta, w.v); err != nil || !bytes.Equal(content.AppendJSON(nil), w.content.AppendJSON(nil)) {
		t.Errorf("the witness's content at version %d is not the store's (%v)", w.v, err)
	}
	t.Logf("%d frames in %d sessions; the witness made %d edits meanwhile; version %d", *fuzzFrames, sessions.Load(), edits, d.meta.Version)
}

// tokenNames takes every token for its user's name.
type tokenNames struct{}

func (tokenNames) Verify(_ context.Context, token string) (Identity, error) {
	if token == "" {
		return Identity{}, errors.New("no token")
	}
	return Identity{User: token, Expires: time.Now().Add(time.Hour), Docs: map[string]Role{"*": Write}}, nil
}
