// Package faultproxy stands between two programs on a TCP link, and breaks it in the
// ways in which networks break: for tests.
package faultproxy

import (
	"bytes"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Mode is what a link does.
type Mode int

// The modes. A change of mode takes effect at once, on connections that are open too.
const (
	Pass      Mode = iota // everything gets through
	Refuse                // connections are reset, and none is taken
	BlackHole             // connections stand, and nothing gets through, until the mode changes
	HalfOpen              // the server's side is gone, and the client is not told
	Late                  // everything gets through, Delay later
)

// Met counts what a link has done to its traffic.
type Met struct {
	Opened    int // connections
	Refused   int // connections reset by Refuse, those that were open and those that came
	Held      int // pieces of data that a black hole has kept waiting
	Swallowed int // pieces of data that went into half-open connections
	Late      int // pieces of data that came Delay late
}

// Proxy is one link. Its methods may be called from any goroutine.
type Proxy struct {
	Delay time.Duration // of Late; set before use

	listener net.Listener
	to       string
	work     sync.WaitGroup

	mu      sync.Mutex
	mode    Mode
	changed chan struct{} // closed when the mode changes
	links   map[*link]bool
	closed  bool
	trap    *trap
	ears    []*ear
	met     Met
}

// link is one connection.
type link struct {
	client, server net.Conn
	swallow        atomic.Bool // the server's side is gone, and the client is not told
	deaf           atomic.Bool // at the server's next word the connection ends
	ended          chan struct{}
	once           sync.Once
}

// trap waits for bytes that a client sends.
type trap struct {
	sign    []byte
	forward bool // hand them on before the connection is cut
	sprung  chan struct{}
}

// ear waits for bytes that the server sends.
type ear struct {
	sign  []byte
	heard chan struct{}
}

// New starts a proxy to the server at an address, on a free loopback port.
func New(to string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{Delay: 2 * time.Second, listener: l, to: to, changed: make(chan struct{}), links: map[*link]bool{}}
	p.work.Go(p.accept)
	return p, nil
}

// Addr is where clients connect.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Close ends the proxy and every connection, and returns when nothing of it is left running.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.listener.Close()
	p.Cut()
	p.Set(Refuse)
	p.work.Wait()
}

// Set changes the mode.
func (p *Proxy) Set(m Mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
	close(p.changed)
	p.changed = make(chan struct{})
	for l := range p.links {
		switch {
		case m == Refuse:
			if l.reset() {
				p.met.Refused++
			}
		case l.swallow.Load():
			l.reset()
		case m == HalfOpen:
			l.swallow.Store(true)
			l.server.Close()
		}
	}
}

// Cut resets every connection that is open now.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.reset()
	}
}

// CutAt resets the next connection whose client sends sign, in one piece: after handing
// it on, so that only the answer is lost, or before. The channel is closed when it has happened.
func (p *Proxy) CutAt(sign []byte, forward bool) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trap = &trap{sign: sign, forward: forward, sprung: make(chan struct{})}
	return p.trap.sprung
}

// Hear returns a channel that is closed when the server has sent sign, in one piece.
func (p *Proxy) Hear(sign []byte) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := &ear{sign, make(chan struct{})}
	p.ears = append(p.ears, e)
	return e.heard
}

// Met tells the counts since the proxy was made.
func (p *Proxy) Met() Met {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.met
}

// count counts one thing that was met.
func (p *Proxy) count(what func(*Met) *int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*what(&p.met)++
}

func (p *Proxy) state() (Mode, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mode, p.changed
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.work.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	l := &link{client: client, ended: make(chan struct{})}
	server, err := net.Dial("tcp", p.to)
	if err != nil {
		reset(client)
		return
	}
	l.server = server
	p.mu.Lock()
	if p.mode == Refuse || p.closed {
		p.met.Refused++
		p.mu.Unlock()
		l.reset()
		return
	}
	p.links[l] = true // from here on, Set sees to it
	p.met.Opened++
	if p.mode == HalfOpen {
		l.swallow.Store(true)
		server.Close()
	}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.links, l)
		p.mu.Unlock()
		l.reset()
	}()
	var answers sync.WaitGroup
	answers.Go(func() { p.carry(l, server, client, nil) })
	p.carry(l, client, server, p.sprung)
	answers.Wait()
}

// carry brings what from says to to, as the mode has it.
func (p *Proxy) carry(l *link, from, to net.Conn, sprung func([]byte) (cut, forward bool)) {
	late := make(chan []byte, 1024)
	var writing sync.WaitGroup
	writing.Go(func() { p.write(l, to, late) })
	defer writing.Wait()
	defer close(late)
	for {
		buffer := make([]byte, 32<<10)
		n, err := from.Read(buffer)
		if n > 0 {
			if sprung == nil {
				p.said(buffer[:n])
			}
			if sprung == nil && l.deaf.Load() {
				l.reset()
				return
			}
			if sprung != nil {
				if cut, forward := sprung(buffer[:n]); cut {
					if forward {
						l.deaf.Store(true)
						_, _ = to.Write(buffer[:n])
						select { // until the server has done it, and says so
						case <-l.ended:
						case <-time.After(5 * time.Second):
						}
					}
					l.reset()
					return
				}
			}
			select {
			case late <- buffer[:n]:
			case <-l.ended:
				return
			}
		}
		if err != nil {
			if l.swallow.Load() { // the client is not told
				<-l.ended
			} else {
				half(to)
			}
			return
		}
	}
}

// write writes what carry has read, when the mode lets it through.
func (p *Proxy) write(l *link, to net.Conn, pieces <-chan []byte) {
	for piece := range pieces {
		for waited, held := false, false; ; {
			mode, changed := p.state()
			if swallowed := l.swallow.Load() && mode == HalfOpen; swallowed || mode == BlackHole {
				if !held && swallowed {
					p.count(func(m *Met) *int { return &m.Swallowed })
				} else if !held {
					p.count(func(m *Met) *int { return &m.Held })
				}
				held = true
				select {
				case <-changed:
					continue
				case <-l.ended:
					return
				}
			}
			if mode == Late && !waited {
				select {
				case <-time.After(p.Delay):
					p.count(func(m *Met) *int { return &m.Late })
				case <-changed:
				case <-l.ended:
					return
				}
				waited = true
				continue
			}
			break
		}
		if _, err := to.Write(piece); err != nil {
			if !l.swallow.Load() {
				l.reset()
			}
			return
		}
	}
}

// sprung reports whether the trap is at what a client says.
func (p *Proxy) sprung(said []byte) (cut, forward bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.trap
	if t == nil || !bytes.Contains(said, t.sign) {
		return false, false
	}
	p.trap = nil
	close(t.sprung)
	return true, t.forward
}

// said hears what the server says.
func (p *Proxy) said(piece []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ears = slices.DeleteFunc(p.ears, func(e *ear) bool {
		if !bytes.Contains(piece, e.sign) {
			return false
		}
		close(e.heard)
		return true
	})
}

// reset ends a link, and reports whether it stood until then.
func (l *link) reset() (stood bool) {
	l.once.Do(func() {
		stood = true
		close(l.ended)
		reset(l.client)
		if l.server != nil {
			reset(l.server)
		}
	})
	return stood
}

// reset ends a connection as a crash does, with RST.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	c.Close()
}

// half says that nothing more comes.
func half(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
}
