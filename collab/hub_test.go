package collab

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

// fakeConn is a connection whose client reads at once, unless it is stopped.
type fakeConn struct {
	mu      sync.Mutex
	session *Session
	stopped bool
	unread  []int
	frames  chan string
	closed  chan int
}

func (c *fakeConn) Send(frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames <- string(frame)
	if c.stopped || c.session == nil {
		c.unread = append(c.unread, len(frame))
		return
	}
	c.session.Sent(len(frame))
}

func (c *fakeConn) Close(last []byte, code int, _ string) {
	if last != nil {
		c.frames <- string(last)
	}
	c.closed <- code
}

// use has the connection report what was written to s, from the beginning.
func (c *fakeConn) use(s *Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = s
	for _, n := range c.unread {
		s.Sent(n)
	}
	c.unread = nil
}

// await returns the next frame that holds what; others are let go.
func (c *fakeConn) await(t *testing.T, what string) string {
	t.Helper()
	deadline := time.After(20 * time.Second)
	var seen []string
	for {
		select {
		case f := <-c.frames:
			if strings.Contains(f, what) {
				return f
			}
			seen = append(seen, f)
		case <-deadline:
			t.Fatalf("no frame holds %q; there were %q", what, seen)
		}
	}
}

func (c *fakeConn) awaitClose(t *testing.T, code int) {
	t.Helper()
	select {
	case got := <-c.closed:
		if got != code {
			t.Fatalf("closed with %d, want %d", got, code)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("not closed, want %d", code)
	}
}

type tokens map[string]Identity

func (v tokens) Verify(_ context.Context, token string) (Identity, error) {
	if id, ok := v[token]; ok {
		return id, nil
	}
	return Identity{}, fmt.Errorf("not a good token")
}

func user(name string, role Role) Identity {
	return Identity{User: name, Name: strings.ToUpper(name), Expires: time.Now().Add(time.Hour), Docs: map[string]Role{"*": role}}
}

type cluster struct {
	t     *testing.T
	store *memStore
	hubs  []*Hub
	left  map[*Session]bool
}

func newCluster(t *testing.T, nodes int, adapt func(*Config)) *cluster {
	c := &cluster{t: t, store: newMemStore(), left: map[*Session]bool{}}
	bus := NewLocalBus()
	for i := range nodes {
		config := Config{
			Store: c.store, Bus: bus.Node(fmt.Sprint(i)), Logger: slog.New(slog.DiscardHandler),
			Verifier: tokens{"longer": user("ada", Write), "reader": user("ada", Read), "nothing": user("ada", None), "bob's": user("bob", Write)},
		}
		if adapt != nil {
			adapt(&config)
		}
		h := NewHub(config)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if err := h.Run(ctx); err != nil {
				t.Error(err)
			}
		}()
		t.Cleanup(func() { cancel(); <-ended })
		c.hubs = append(c.hubs, h)
	}
	return c
}

func (c *cluster) join(node int, id Identity, hello protocol.Hello) (*Session, *fakeConn) {
	conn := &fakeConn{frames: make(chan string, 1000), closed: make(chan int, 1)}
	s := c.hubs[node].Join(context.Background(), "doc", id, hello, conn)
	conn.use(s)
	c.t.Cleanup(func() { c.leave(s) })
	return s, conn
}

// leave ends a session, once.
func (c *cluster) leave(s *Session) {
	if !c.left[s] {
		c.left[s] = true
		s.Leave()
	}
}

func hello(client string) protocol.Hello {
	return protocol.Hello{Client: client + strings.Repeat("0", 16)}
}

func insert(v, seq int64, text string) protocol.Op {
	return protocol.Op{V: v, Seq: seq, Delta: ot.New().Insert(text)}
}

func TestAnOperationReachesEverybodyOnEveryNode(t *testing.T) {
	c := newCluster(t, 2, nil)
	ada, a := c.join(0, user("ada", Write), hello("ada"))
	a.await(t, `"welcome"`)
	_, b := c.join(1, user("bob", Write), hello("bob"))
	b.await(t, `"welcome"`)
	ada.Receive(context.Background(), insert(0, 1, "x"))
	if mine, theirs := a.await(t, `"ops"`), b.await(t, `"ops"`); mine != theirs {
		t.Errorf("the author got %s, the other %s", mine, theirs)
	}
}

func TestPresenceReachesTheOthersOnEveryNode(t *testing.T) {
	c := newCluster(t, 2, nil)
	ada, a := c.join(0, user("ada", Write), hello("ada"))
	a.await(t, `"welcome"`)
	bob, b := c.join(1, user("bob", Write), hello("bob"))
	b.await(t, `"welcome"`)
	a.await(t, bob.ID())
	ada.Receive(context.Background(), protocol.Presence{V: 0, Cursor: &protocol.Cursor{Index: 1}})
	b.await(t, `"index":1`)
	c.leave(bob)
	a.await(t, `"left":true`)
}

func TestWhatASessionMayNotDoIsAnswered(t *testing.T) {
	v9, v1 := int64(9), int64(1)
	for name, test := range map[string]struct {
		id    Identity
		hello protocol.Hello
		send  []protocol.ClientMessage
		frame string
		close int // 0: the session goes on
	}{
		"a reader writes":                    {user("eve", Read), hello("c"), []protocol.ClientMessage{insert(1, 1, "x")}, `"forbidden"`, 0},
		"no right at all":                    {user("eve", None), hello("c"), nil, `"forbidden"`, 4403},
		"a second hello":                     {user("eve", Write), hello("c"), []protocol.ClientMessage{hello("c")}, `"bad_message"`, 4400},
		"a version that falls":               {user("eve", Write), hello("c"), []protocol.ClientMessage{insert(1, 1, "x"), insert(0, 2, "x")}, `"bad_message"`, 4400},
		"a seq that skips":                   {user("eve", Write), hello("c"), []protocol.ClientMessage{insert(1, 2, "x")}, `"bad_seq"`, 4400},
		"a seq below 1":                      {user("eve", Write), hello("c"), []protocol.ClientMessage{insert(1, 0, "x")}, `"bad_seq"`, 4400},
		"a version of the future":            {user("eve", Write), hello("c"), []protocol.ClientMessage{insert(9, 1, "x")}, `"bad_version"`, 4409},
		"hello from the future":              {user("eve", Write), protocol.Hello{Client: "c000000000000000", V: &v9, Last: &protocol.Origin{Client: "x", Seq: 1}}, nil, `"bad_version"`, 4409},
		"hello from another lineage":         {user("eve", Write), protocol.Hello{Client: "c000000000000000", V: &v1, Last: &protocol.Origin{Client: "x", Seq: 1}}, nil, `"bad_version"`, 4409},
		"another user's client":              {user("eve", Write), hello("first"), nil, `"client_taken"`, 4409},
		"beyond the end":                     {user("eve", Write), hello("c"), []protocol.ClientMessage{protocol.Op{V: 1, Seq: 1, Delta: ot.New().Retain(50).Insert("x")}}, `"bad_op"`, 4400},
		"the last newline":                   {user("eve", Write), hello("c"), []protocol.ClientMessage{protocol.Op{V: 1, Seq: 1, Delta: ot.New().Retain(5).Delete(1)}}, `"bad_op"`, 4400},
		"a token that is not good":           {user("ada", Write), hello("c"), []protocol.ClientMessage{protocol.Token{Token: "?"}}, `"bad_token"`, 0},
		"another user's token":               {user("ada", Write), hello("c"), []protocol.ClientMessage{protocol.Token{Token: "bob's"}}, `"bad_token"`, 0},
		"a token that grants nothing":        {user("ada", Write), hello("c"), []protocol.ClientMessage{protocol.Token{Token: "nothing"}}, `"forbidden"`, 4403},
		"a newer token":                      {user("ada", Write), hello("c"), []protocol.ClientMessage{protocol.Token{Token: "reader"}}, `"role":"read"`, 0},
		"a token that has run out":           {Identity{User: "eve", Docs: map[string]Role{"*": Write}, Expires: time.Now().Add(100 * time.Millisecond)}, hello("c"), nil, `"token_expired"`, 4401},
		"more than the document may hold":    {user("eve", Write), hello("c"), []protocol.ClientMessage{insert(1, 1, strings.Repeat("x", 2000))}, `"too_large"`, 0},
		"a ping":                             {user("eve", Read), hello("c"), []protocol.ClientMessage{protocol.Ping{}}, `"pong"`, 0},
		"presence of a version not yet made": {user("eve", Read), hello("c"), []protocol.ClientMessage{protocol.Presence{V: 7}, protocol.Ping{}}, `"pong"`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 1, func(c *Config) { c.Limits.Document = 1000 })
			ada, a := c.join(0, user("ada", Write), hello("first"))
			a.await(t, `"welcome"`)
			ada.Receive(context.Background(), insert(0, 1, "Weft!"))
			a.await(t, `"ops"`)
			s, conn := c.join(0, test.id, test.hello)
			if test.send != nil {
				conn.await(t, `"welcome"`)
			}
			for _, m := range test.send {
				s.Receive(context.Background(), m)
			}
			conn.await(t, test.frame)
			if test.close != 0 {
				conn.awaitClose(t, test.close)
				return
			}
			s.Receive(context.Background(), protocol.Ping{})
			conn.await(t, `"pong"`)
		})
	}
}

func TestAnOperationSentAgainTakesNoEffect(t *testing.T) {
	c := newCluster(t, 2, nil)
	one, a := c.join(0, user("ada", Write), hello("ada"))
	a.await(t, `"welcome"`)
	one.Receive(context.Background(), insert(0, 1, "x"))
	one.Receive(context.Background(), insert(0, 1, "x"))
	a.await(t, `"ops"`)
	two, b := c.join(1, user("ada", Write), hello("ada"))
	b.await(t, `"seq":1`)
	two.Receive(context.Background(), insert(0, 1, "x"))
	two.Receive(context.Background(), insert(1, 2, "y"))
	b.await(t, `"seq":2`)
	if doc, err := c.hubs[0].Read(context.Background(), user("ada", Read), "doc", -1); err != nil || string(doc.Content) != `[{"insert":"yx\n"}]` || doc.Version != 2 {
		t.Errorf("it holds %s at %d (%v)", doc.Content, doc.Version, err)
	}
}

func TestANewerSessionOfAClientReplacesTheOlderOnEveryNode(t *testing.T) {
	c := newCluster(t, 2, nil)
	_, a := c.join(0, user("ada", Write), hello("ada"))
	a.await(t, `"welcome"`)
	_, b := c.join(1, user("ada", Write), hello("ada"))
	b.await(t, `"welcome"`)
	a.await(t, `"replaced"`)
	a.awaitClose(t, 4409)
}

func TestCallsEditReadAndDelete(t *testing.T) {
	c := newCluster(t, 2, nil)
	ctx, ada := context.Background(), user("ada", Manage)
	made, err := c.hubs[0].Create(ctx, ada, "doc", ot.Rich, ot.New().Insert("Hi\n"))
	if err != nil || made.Version != 1 || string(made.Content) != `[{"insert":"Hi\n"}]` {
		t.Fatalf("created %+v, %v", made, err)
	}
	if _, err := c.hubs[1].Create(ctx, ada, "doc", ot.Rich, nil); code(err) != protocol.Exists {
		t.Errorf("created twice: %v", err)
	}
	_, a := c.join(0, user("bob", Read), hello("bob"))
	a.await(t, `"welcome"`)
	for range 2 {
		if v, err := c.hubs[1].Submit(ctx, ada, "doc", hello("bot").Client, insert(0, 1, "x"), true); err != nil || v != 2 {
			t.Errorf("submitted: %d, %v", v, err)
		}
	}
	a.await(t, `"ops"`)
	if v, err := c.hubs[1].Submit(ctx, ada, "doc", hello("bot").Client, insert(1, 2, "y"), false); err != nil || v != 3 {
		t.Errorf("submitted: %d, %v", v, err)
	}
	if v, err := c.hubs[0].Submit(ctx, ada, "doc", hello("bot").Client, insert(0, 1, "x"), true); err != nil || v != 2 {
		t.Errorf("an older one sent again: %d, %v", v, err)
	}
	if _, err := c.hubs[0].Submit(ctx, ada, "doc", hello("bot").Client, insert(1, 9, "x"), true); code(err) != protocol.BadSeq {
		t.Errorf("a seq that skips: %v", err)
	}
	if _, err := c.hubs[0].Submit(ctx, user("eve", Write), "doc", hello("bot").Client, insert(1, 3, "x"), true); code(err) != protocol.ClientTaken {
		t.Errorf("another user's client: %v", err)
	}
	if doc, err := c.hubs[0].Read(ctx, ada, "doc", 1); err != nil || string(doc.Content) != `[{"insert":"Hi\n"}]` {
		t.Errorf("version 1: %s, %v", doc.Content, err)
	}
	if ops, next, err := c.hubs[0].History(ctx, ada, "doc", 1, 1); err != nil || len(ops) != 1 || next != 2 {
		t.Errorf("history: %v, %d, %v", ops, next, err)
	}
	if err := c.hubs[1].Delete(ctx, user("eve", Write), "doc", false); code(err) != protocol.Forbidden {
		t.Errorf("deleted by a writer: %v", err)
	}
	if err := c.hubs[1].Delete(ctx, ada, "doc", false); err != nil {
		t.Error(err)
	}
	a.await(t, `"deleted"`)
	a.awaitClose(t, 4410)
	if _, err := c.hubs[0].Admit(ctx, "doc", ada); code(err) != protocol.Deleted {
		t.Errorf("admitted: %v", err)
	}
}

func code(err error) protocol.Code {
	if e, ok := err.(*protocol.Error); ok {
		return e.Code
	}
	return ""
}

func TestAReaderThatStopsCatchesUpInOneFrame(t *testing.T) {
	c := newCluster(t, 1, nil)
	ada, a := c.join(0, user("ada", Write), hello("ada"))
	a.await(t, `"welcome"`)
	bob, b := c.join(0, user("bob", Read), hello("bob"))
	b.await(t, `"welcome"`)
	b.mu.Lock()
	b.stopped = true
	b.mu.Unlock()
	for i := range int64(100) {
		ada.Receive(context.Background(), insert(i, i+1, "x"))
		a.await(t, fmt.Sprintf(`"seq":%d`, i+1))
	}
	if n := len(b.frames); n > WindowFrames {
		t.Errorf("%d frames are queued for one that does not read, the window is %d", n, WindowFrames)
	}
	b.mu.Lock()
	b.stopped = false
	b.mu.Unlock()
	b.use(bob)
	b.await(t, `"seq":100`)
}

func TestAReaderThatMakesNoProgressIsCutOff(t *testing.T) {
	c := newCluster(t, 1, func(c *Config) { c.SlowAfter = 50 * time.Millisecond })
	ada, a := c.join(0, user("ada", Write), hello("ada"))
	a.await(t, `"welcome"`)
	_, b := c.join(0, user("bob", Read), hello("bob"))
	b.await(t, `"welcome"`)
	b.mu.Lock()
	b.stopped = true
	b.mu.Unlock()
	for i := range int64(30) {
		ada.Receive(context.Background(), insert(i, i+1, "x"))
		a.await(t, fmt.Sprintf(`"seq":%d`, i+1))
	}
	b.awaitClose(t, 1013)
}

func TestAnIdleDocumentLeavesMemoryWithASnapshot(t *testing.T) {
	c := newCluster(t, 1, func(c *Config) { c.IdleAfter = time.Millisecond })
	ada, a := c.join(0, user("ada", Write), hello("ada"))
	a.await(t, `"welcome"`)
	ada.Receive(context.Background(), insert(0, 1, "x"))
	a.await(t, `"ops"`)
	l := ada.loop
	c.leave(ada)
	select {
	case <-l.done:
	case <-time.After(20 * time.Second):
		t.Fatal("it stays")
	}
	if s, err := c.store.Snapshot(context.Background(), "doc", 1); err != nil || s.Version != 1 {
		t.Errorf("snapshot: %+v, %v", s, err)
	}
}

func TestADrainingNodeSaysByeAndStoresWhatItHas(t *testing.T) {
	c := newCluster(t, 1, nil)
	ada, a := c.join(0, user("ada", Write), hello("ada"))
	a.await(t, `"welcome"`)
	ada.Receive(context.Background(), insert(0, 1, "x"))
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- c.hubs[0].Drain(ctx) }()
	a.await(t, `"bye"`)
	a.awaitClose(t, 1012)
	c.leave(ada)
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if d := c.store.docs["doc"]; d.meta.Version != 1 {
		t.Errorf("the store is at %d", d.meta.Version)
	}
	if _, err := c.hubs[0].Admit(context.Background(), "doc", user("ada", Write)); code(err) != protocol.Draining {
		t.Errorf("admitted: %v", err)
	}
}
