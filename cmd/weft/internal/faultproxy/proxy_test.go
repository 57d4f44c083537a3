package faultproxy_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weft-collab/weft/cmd/weft/internal/faultproxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a server that says every line again.
func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

type client struct {
	net.Conn
	lines *bufio.Reader
}

func start(t *testing.T) (*faultproxy.Proxy, func() *client) {
	p, err := faultproxy.New(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, func() *client {
		c, err := net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return &client{c, bufio.NewReader(c)}
	}
}

// ask sends a line and returns the answer.
func (c *client) ask(line string, patience time.Duration) (string, error) {
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		return "", err
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	return c.lines.ReadString('\n')
}

const long, short = 20 * time.Second, 100 * time.Millisecond

func TestWhatPassesIsWhatWasSaid(t *testing.T) {
	_, dial := start(t)
	if got, err := dial().ask("hello", long); got != "hello\n" || err != nil {
		t.Errorf("%q %v", got, err)
	}
}

func TestRefusedConnectionsEnd(t *testing.T) {
	p, dial := start(t)
	c := dial()
	if _, err := c.ask("a", long); err != nil {
		t.Fatal(err)
	}
	p.Set(faultproxy.Refuse)
	if _, err := c.ask("b", long); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("an open connection: %v", err)
	}
	if c, err := net.Dial("tcp", p.Addr()); err == nil { // it may be reset before Dial returns
		again := client{c, bufio.NewReader(c)}
		if _, err := again.ask("c", long); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a new connection: %v", err)
		}
		c.Close()
	}
	p.Set(faultproxy.Pass)
	if got, err := dial().ask("d", long); got != "d\n" || err != nil {
		t.Errorf("afterwards: %q %v", got, err)
	}
}

func TestABlackHoleGivesBackWhatItHeld(t *testing.T) {
	p, dial := start(t)
	c := dial()
	p.Set(faultproxy.BlackHole)
	if got, err := c.ask("a", short); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%q %v", got, err)
	}
	p.Set(faultproxy.Pass)
	_ = c.SetReadDeadline(time.Now().Add(long))
	if got, err := c.lines.ReadString('\n'); got != "a\n" || err != nil {
		t.Errorf("%q %v", got, err)
	}
}

func TestAHalfOpenConnectionTellsNothing(t *testing.T) {
	p, dial := start(t)
	c := dial()
	if _, err := c.ask("a", long); err != nil {
		t.Fatal(err)
	}
	p.Set(faultproxy.HalfOpen)
	if got, err := c.ask("b", short); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("an open connection: %q %v", got, err)
	}
	if got, err := dial().ask("c", short); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a new connection: %q %v", got, err)
	}
	p.Set(faultproxy.Pass) // what was half open is gone for good
	if _, err := c.ask("d", long); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("afterwards: %v", err)
	}
	if got, err := dial().ask("e", long); got != "e\n" || err != nil {
		t.Errorf("a new one afterwards: %q %v", got, err)
	}
}

func TestWhatIsLateComesAllTheSame(t *testing.T) {
	p, dial := start(t)
	p.Delay = 50 * time.Millisecond
	p.Set(faultproxy.Late)
	if got, err := dial().ask("a", long); got != "a\n" || err != nil {
		t.Errorf("%q %v", got, err)
	}
}

func TestAConnectionIsCutAtASign(t *testing.T) {
	for _, forward := range []bool{true, false} {
		p, dial := start(t)
		c := dial()
		sprung := p.CutAt([]byte("COMMIT"), forward)
		if got, err := c.ask("BEGIN", long); got != "BEGIN\n" || err != nil {
			t.Errorf("%q %v", got, err)
		}
		if got, err := c.ask("COMMIT", long); err == nil {
			t.Errorf("the answer is %q", got)
		}
		<-sprung
		if got, err := dial().ask("COMMIT", long); got != "COMMIT\n" || err != nil {
			t.Errorf("once only: %q %v", got, err)
		}
	}
}

// A connection that opens just as the mode changes does not keep to a mode that has passed.
func TestAConnectionThatOpensDuringAChangeFollowsIt(t *testing.T) {
	p, dial := start(t)
	for i := range 300 {
		p.Set(faultproxy.HalfOpen)
		c := dial() // the proxy takes it some microseconds later
		for began := time.Now(); time.Since(began) < time.Duration(i)*time.Microsecond; {
			runtime.Gosched()
		}
		p.Set(faultproxy.Pass)
		if got, err := c.ask("a", long); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("after %d µs: neither ended nor answered: %q", i, got)
		}
	}
}

// What a link counts is what its traffic met, and nothing while it passes.
func TestALinkCountsWhatItsTrafficMeets(t *testing.T) {
	for mode, want := range map[faultproxy.Mode]faultproxy.Met{
		faultproxy.Pass: {Opened: 1}, faultproxy.Refuse: {Opened: 1, Refused: 1}, faultproxy.BlackHole: {Opened: 1, Held: 1},
		faultproxy.HalfOpen: {Opened: 1, Swallowed: 1}, faultproxy.Late: {Opened: 1, Late: 2}, // question and answer
	} {
		p, dial := start(t)
		p.Delay = 10 * time.Millisecond
		c := dial()
		if _, err := c.ask("a", long); err != nil {
			t.Fatal(err)
		}
		p.Set(mode)
		if mode != faultproxy.Refuse && p.Met() != (faultproxy.Met{Opened: 1}) {
			t.Errorf("in mode %d, before anything was said, it met %+v", mode, p.Met())
		}
		patience := short
		if mode == faultproxy.Late {
			patience = long
		}
		_, _ = c.ask("b", patience)
		if got := p.Met(); got != want {
			t.Errorf("in mode %d it met %+v, and not %+v", mode, got, want)
		}
	}
}

func TestWhatTheServerSaysIsHeard(t *testing.T) {
	p, dial := start(t)
	heard, never := p.Hear([]byte("b")), p.Hear([]byte("c"))
	for _, word := range []string{"a", "b"} {
		select {
		case <-heard:
			t.Error("it was heard before it was said")
		default:
		}
		if _, err := dial().ask(word, long); err != nil {
			t.Fatal(err)
		}
	}
	<-heard
	select {
	case <-never:
		t.Error("what was not said was heard")
	default:
	}
}
