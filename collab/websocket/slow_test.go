package websocket_test

import (
	"encoding/json"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/websocket"
)

// message is what these tests want to know of one.
type message struct {
	T    string            `json:"t"`
	V    int64             `json:"v"`
	Code string            `json:"code"`
	Ops  []json.RawMessage `json:"ops"`
	Last json.RawMessage   `json:"last"`
}

// next reads a message; ok is false once the server has closed.
func (c *raw) next() (m message, closed int, ok bool) {
	op, payload, err := c.read()
	switch {
	case err != nil:
		return m, 0, false
	case op == closing && len(payload) >= 2:
		return m, int(payload[0])<<8 | int(payload[1]), false
	case op != text:
		return c.next()
	}
	if err := json.Unmarshal([]byte(payload), &m); err != nil {
		c.t.Errorf("%v: %s", err, short(payload))
	}
	return m, 0, true
}

// enter says hello and returns the version of the welcome.
func (c *raw) enter(client, more string) int64 {
	c.t.Helper()
	c.write(frame{first: fin | text, payload: `{"t":"hello","client":"` + client + `"` + more + `}`})
	for {
		m, closed, ok := c.next()
		if !ok {
			c.t.Fatalf("no welcome, but %d", closed)
		}
		if m.T == "welcome" {
			return m.V
		}
	}
}

// follow reads operations until version v is reached.
func (c *raw) follow(from, v int64) error {
	for from < v {
		m, closed, ok := c.next()
		switch {
		case !ok:
			return fmt.Errorf("closed with %d at version %d of %d", closed, from, v)
		case m.T == "error" || m.T == "bye":
			return fmt.Errorf("told %s at version %d of %d", m.Code, from, v)
		case m.T == "ops" && m.V != from:
			return fmt.Errorf("operations from %d came at version %d", m.V, from)
		case m.T == "ops":
			from += int64(len(m.Ops))
		}
	}
	return nil
}

// stopped is a socket of a client that will not read: it takes little before TCP holds the server back.
func stopped(t testing.TB, addr, path, user string) *raw {
	c := open(t, addr, path, user)
	_ = c.Conn.(*net.TCPConn).SetReadBuffer(4096)
	return c
}

// big alternates between writing much and deleting it again.
func big(seq int64) string {
	const size = 100_000
	if seq%2 == 1 {
		return fmt.Sprintf(`{"t":"op","v":%d,"seq":%d,"d":[{"insert":"%s"}]}`, seq-1, seq, strings.Repeat("x", size))
	}
	return fmt.Sprintf(`{"t":"op","v":%d,"seq":%d,"d":[{"delete":%d}]}`, seq-1, seq, size)
}

// One reader stops; the others get everything, it is cut off, and it catches up when it comes back.
func TestAStoppedReaderIsCutOffAndTheOthersNoticeNothing(t *testing.T) {
	addr, _ := start(t, collab.Config{SlowAfter: time.Second}, websocket.Config{})
	const path, readers = "/v1/docs/slow/ws", 8
	writer := open(t, addr, path, "writer")
	writer.enter("client-of-the-writer", "")
	lazy := stopped(t, addr, path, "lazy")
	lazy.enter("client-of-the-lazy-one", "")
	const last = 60 // operations, three megabytes in all
	var others sync.WaitGroup
	for i := range readers {
		c := open(t, addr, path, fmt.Sprint("reader", i))
		v := c.enter(fmt.Sprint("client-of-a-reader-", i), "")
		others.Go(func() {
			if err := c.follow(v, last); err != nil {
				t.Errorf("reader %d: %v", i, err)
			}
		})
	}
	for seq := int64(1); seq <= last; seq++ {
		writer.write(frame{first: fin | text, payload: big(seq)})
		if err := writer.follow(seq-1, seq); err != nil {
			t.Fatal(err)
		}
	}
	others.Wait()
	// What it had been sent before it was cut off is there; then comes the end, not a hole.
	v := int64(0)
	var made json.RawMessage
	for {
		m, closed, ok := lazy.next()
		if !ok {
			if closed != 0 && closed != 1013 {
				t.Errorf("it was closed with %d", closed)
			}
			break
		}
		if m.T == "ops" {
			if m.V != v {
				t.Errorf("it was sent operations from %d at version %d", m.V, v)
			}
			v += int64(len(m.Ops))
			var op struct {
				C   string `json:"c"`
				Seq int64  `json:"seq"`
			}
			_ = json.Unmarshal(m.Ops[len(m.Ops)-1], &op)
			made, _ = json.Marshal([]any{op.C, op.Seq})
		}
		if m.T == "error" && m.Code != "slow" {
			t.Errorf("it was told %s", m.Code)
		}
	}
	if v >= last {
		t.Fatalf("it was sent all %d operations: it was never stopped", last)
	}
	again := open(t, addr, path, "lazy")
	hello := fmt.Sprintf(`,"v":%d,"last":%s`, v, made)
	if v == 0 {
		hello = `,"v":0`
	}
	if got := again.enter("client-of-the-lazy-one", hello); got < last {
		if err := again.follow(got, last); err != nil {
			t.Error(err)
		}
	}
	t.Logf("it was cut off at version %d of %d", v, last)
}

// A thousand stopped readers cost memory for a window each at most, and nobody else is closed.
func TestAThousandStoppedReadersAreBounded(t *testing.T) {
	addr, _ := start(t, collab.Config{SlowAfter: 10 * time.Minute}, websocket.Config{})
	const docs, readers, last = 10, 100, 40
	var writers, witnesses []*raw
	for d := range docs {
		path := fmt.Sprintf("/v1/docs/slow%d/ws", d)
		writers, witnesses = append(writers, open(t, addr, path, "writer")), append(witnesses, open(t, addr, path, "witness"))
		writers[d].enter("client-of-the-writer", "")
		witnesses[d].enter("client-of-the-witness", "")
		for i := range readers {
			stopped(t, addr, path, fmt.Sprint("lazy", i)).enter(fmt.Sprint("client-of-a-lazy-", i), "")
		}
	}
	before := heap()
	for d := range docs {
		for seq := int64(1); seq <= last; seq++ {
			writers[d].write(frame{first: fin | text, payload: big(seq)})
			if err := writers[d].follow(seq-1, seq); err != nil {
				t.Fatal(err)
			}
		}
		if err := witnesses[d].follow(0, last); err != nil {
			t.Error(err)
		}
	}
	grown := heap() - before
	t.Logf("%d stopped readers: the heap grew by %d kB", docs*readers, grown>>10)
	if most := docs * readers * collab.WindowBytes; grown > most {
		t.Errorf("the heap grew by %d bytes; a window for each is %d", grown, most)
	}
	// Those that do not read may be cut off by now; writers and witnesses have had everything.
	for d := range docs {
		writers[d].write(frame{first: fin | ping, payload: "still"})
		for op, payload, err := writers[d].read(); op != pong; op, payload, err = writers[d].read() {
			if err != nil {
				t.Fatalf("a writer was closed: %v %s", err, payload)
			}
		}
	}
}

func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// untilClosed reads on until the server ends the connection, and returns what it said last.
func (c *raw) untilClosed() (code string, closed int) {
	for {
		m, n, ok := c.next()
		if !ok {
			return code, n
		}
		if m.T == "error" {
			code = m.Code
		}
	}
}

func TestAFloodOfPingsOrPongsEndsTheConnection(t *testing.T) {
	addr, _ := start(t, collab.Config{}, websocket.Config{})
	for name, kind := range map[string]byte{"pings": ping, "pongs": pong} {
		c := open(t, addr, "/v1/docs/one/ws", "ada")
		c.enter("client-of-the-flooder-of-"+name, "")
		go func() {
			for range 1000 {
				c.write(frame{first: fin | kind, payload: "p"})
			}
		}()
		if code, closed := c.untilClosed(); code != "rate_limited" || closed != 1008 {
			t.Errorf("%s: it is closed with %s, %d", name, code, closed)
		}
	}
}

func TestAFloodOfMessagesEndsTheConnectionAndNoOther(t *testing.T) {
	addr, _ := start(t, collab.Config{}, websocket.Config{MessagesPerS: 50})
	witness := open(t, addr, "/v1/docs/one/ws", "bob")
	witness.enter("client-of-the-witness", "")
	c := open(t, addr, "/v1/docs/one/ws", "ada")
	c.enter("client-of-the-flooder", "")
	go func() {
		for range 1000 {
			c.write(frame{first: fin | text, payload: `{"t":"ping"}`})
		}
	}()
	if code, closed := c.untilClosed(); code != "rate_limited" || closed != 1008 {
		t.Errorf("it is closed with %s, %d", code, closed)
	}
	witness.write(frame{first: fin | text, payload: `{"t":"op","v":0,"seq":1,"d":[{"insert":"x"}]}`})
	if err := witness.follow(0, 1); err != nil {
		t.Error(err)
	}
}

// Half a long message keeps other long ones waiting, and in the end away, but no short one.
func TestALongMessageWithoutRoomIsToldToComeAgain(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, collab.Config{}, websocket.Config{ComingBytes: 150_000})
	say := func(c *raw, want string, frames ...frame) {
		t.Helper()
		c.write(frames...)
		if got := c.answer(); got != want {
			t.Errorf("the server says %q, not %q", got, want)
		}
	}
	long := frame{first: fin | text, payload: strings.Repeat("x", 100_000)}
	holder, other := open(t, addr, "/", "ada"), open(t, addr, "/", "bob")
	say(holder, "pong p", frame{first: text, payload: strings.Repeat("x", 90_000)}, frame{first: fin | ping, payload: "p"})
	say(other, "text short", frame{first: fin | text, payload: "short"})
	say(other, "close 1013", long)
	next := open(t, addr, "/", "bob")
	next.write(long)
	say(holder, "text xxxxxxxx… 90001", frame{first: fin | more, payload: "x"})
	say(next, "text xxxxxxxx… 100000")
}
