package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weft-collab/weft/cmd/weft/internal/faultproxy"
	"github.com/weft-collab/weft/collab/client"
)

// withoutRedis: another node's edit arrives although Redis is gone, and although it was
// a black hole when the node started. The delays are logged, not judged.
func (s *system) withoutRedis(t *testing.T) {
	for _, c := range []struct {
		name string
		lose func()
	}{
		{"with Redis", func() {}},
		{"Redis is killed", func() { s.redis.Kill() }},
		{"Redis was a black hole when the node started", func() {
			s.redis.Restart(t)
			s.sides[1].Set(faultproxy.BlackHole)
			s.nodes[1].kill()
			s.restart(1)
		}},
	} {
		c.lose()
		s.docs++
		h := newHistory(fmt.Sprintf("chaos%d", s.docs))
		h.arrived = map[rune]time.Time{}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		writer := h.open(ctx, t, "writer", s.nodes[0].url)
		h.open(ctx, t, "reader", s.nodes[1].url)
		for _, p := range h.clients {
			if err := p.Ready(ctx); err != nil {
				t.Fatal(err)
			}
		}
		writing, stop := context.WithTimeout(ctx, time.Duration(times(4, 60))*time.Second)
		h.write(ctx, writing, t, writer, uint64(s.docs), 97*time.Millisecond)
		stop()
		if err := h.rest(ctx); err != nil {
			t.Error(err)
		}
		h.check(ctx, t, s.store, s.urls()...)
		h.close()
		delays := h.delays()
		if len(delays) != len(h.made) {
			t.Errorf("of %d edits %d arrived", len(h.made), len(delays))
		} else {
			at := func(p int) time.Duration {
				return delays[min(len(delays)*p/100, len(delays)-1)].Round(time.Millisecond)
			}
			t.Logf("%s: of %d edits half reached the other node within %v, nine tenths within %v, 99 of 100 within %v, all within %v", c.name, len(delays), at(50), at(90), at(99), at(100))
		}
		s.heal()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	s.quiet(ctx, t)
}

// rollingRestart ends and starts each node in turn while 500 sessions are open, in 25
// documents of which one person writes and the others read: 500 operations a second in the full round, 25 in a short one.
func (s *system) rollingRestart(t *testing.T) {
	const documents, each = 25, 20
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	writing, stop := context.WithCancel(ctx)
	defer stop()
	var work sync.WaitGroup
	var all []*history
	for n := range documents {
		s.docs++
		h := newHistory(fmt.Sprintf("chaos%d", s.docs))
		for i := range each {
			h.open(ctx, t, fmt.Sprint("person", n*each+i), s.servers(n*each+i)...).reads = i > 0
		}
		defer h.close()
		all = append(all, h)
		work.Go(func() {
			h.write(ctx, writing, t, h.clients[0], uint64(n), time.Second/time.Duration(times(1, 20)))
		})
	}
	for _, h := range all {
		for _, p := range h.clients {
			if err := p.Ready(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, n := range s.nodes {
		asked := time.Now()
		if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		<-n.done
		ended := time.Now()
		if code := n.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("node%d exits with %d", i, code)
		}
		s.restart(i)
		// Every session has a connection again before the next node goes.
		for _, h := range all {
			if _, err := h.back(ctx, h.now()); err != nil {
				t.Error(err)
			}
			version := int64(0)
			h.clients[0].Do(func(r *client.Replica) { version = r.Version() })
			for _, p := range h.clients {
				if err := p.Wait(ctx, func(r *client.Replica) bool { return r.Version() >= version }); err != nil {
					t.Error(err)
				}
			}
		}
		s.reconnections(t, all, i, asked, ended)
	}
	stop()
	work.Wait()
	edits, operations := 0, 0
	for _, h := range all {
		if err := h.rest(ctx); err != nil {
			t.Fatal(err)
		}
		h.check(ctx, t, s.store, s.urls()...)
		edits, operations = edits+len(h.made), operations+len(h.acks)
	}
	for _, h := range all {
		h.close()
	}
	s.quiet(ctx, t)
	t.Logf("%d edits in %d operations, all acknowledged, none lost, none twice", edits, operations)
}

// reconnections tells how those who came back are spread over the time of a drain. Nobody
// comes back more than twice: once, or once more from a node that has just begun to drain.
func (s *system) reconnections(t *testing.T, all []*history, node int, asked, ended time.Time) {
	t.Helper()
	var came []time.Duration
	most := 0
	for _, h := range all {
		h.mu.Lock()
		for _, p := range h.clients {
			times := 0
			for _, at := range p.welcomes {
				if at.After(asked) {
					came = append(came, at.Sub(asked))
					times++
				}
			}
			most = max(most, times)
		}
		h.mu.Unlock()
	}
	slices.Sort(came)
	if most > 2 {
		t.Errorf("a client came back %d times while node%d was restarted", most, node)
	}
	if len(came) == 0 {
		t.Errorf("nobody was on node%d", node)
		return
	}
	at := func(p int) time.Duration { return came[(len(came)-1)*p/100].Round(10 * time.Millisecond) }
	t.Logf("node%d drains in %v: %d come back, at most %d times each; the first after %v, then a tenth %v, half %v, nine tenths %v, all %v",
		node, ended.Sub(asked).Round(10*time.Millisecond), len(came), most, at(0), at(10), at(50), at(90), at(100))
}
