package main

import (
	"net"
	"sync"
	"testing"
)

// gate stands between a client and a server, and can be shut, or lose what goes one way.
type gate struct {
	listener net.Listener
	to       string
	mu       sync.Mutex
	shut     bool
	deaf     bool // what the server says is lost
	mute     bool // what the client says is lost
	conns    map[net.Conn]bool
	work     sync.WaitGroup
}

func newGate(t *testing.T, to string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{listener: l, to: to, conns: map[net.Conn]bool{}}
	g.work.Go(g.accept)
	t.Cleanup(func() {
		l.Close()
		g.set(func() { g.shut = true })
		g.work.Wait()
	})
	return g
}

func (g *gate) url() string { return "http://" + g.listener.Addr().String() }

// set changes how the gate is; a shut one ends its connections.
func (g *gate) set(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
	if g.shut {
		for c := range g.conns {
			c.Close()
		}
		clear(g.conns)
	}
}

func (g *gate) accept() {
	for {
		client, err := g.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", g.to)
		g.mu.Lock()
		if err != nil || g.shut {
			client.Close()
			if err == nil {
				server.Close()
			}
			g.mu.Unlock()
			continue
		}
		g.conns[client], g.conns[server] = true, true
		g.mu.Unlock()
		g.work.Go(func() { g.carry(client, server, &g.deaf) })
		g.work.Go(func() { g.carry(server, client, &g.mute) })
	}
}

// carry copies from one to the other, unless it is to be lost.
func (g *gate) carry(to, from net.Conn, lose *bool) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		g.mu.Lock()
		lost := *lose
		g.mu.Unlock()
		if n > 0 && !lost {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
