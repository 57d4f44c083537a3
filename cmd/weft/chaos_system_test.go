package main

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weft-collab/weft/cmd/weft/internal/faultproxy"
	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/redis/redistest"
	"github.com/weft-collab/weft/persistence/postgres"
	"github.com/weft-collab/weft/persistence/postgres/postgrestest"
)

// system is three nodes over one PostgreSQL and one Redis, with a proxy on every link:
// between clients and nodes, nodes and PostgreSQL, nodes and Redis.
type system struct {
	t        *testing.T // as long as which everything lives
	postgres *postgrestest.Server
	redis    *redistest.Server
	database string // past every proxy
	store    collab.Store
	nodes    []*process
	envs     [][]string
	fronts   []*faultproxy.Proxy // clients to node i
	backs    []*faultproxy.Proxy // node i to PostgreSQL
	sides    []*faultproxy.Proxy // node i to Redis
	calm     []figures           // of each node, with nobody there
	docs     int
}

const chaosNodes = 3

func newSystem(t *testing.T) *system {
	t.Helper()
	s := &system{t: t, postgres: postgrestest.Start(t), redis: redistest.Start(t)}
	s.database = s.postgres.NewDatabase(t)
	for i := range chaosNodes {
		back, side := proxy(t, s.postgres.Addr()), proxy(t, s.redis.Addr())
		u, err := url.Parse(s.database)
		if err != nil {
			t.Fatal(err)
		}
		u.Host = back.Addr()
		s.backs, s.sides = append(s.backs, back), append(s.sides, side)
		s.envs = append(s.envs, []string{
			"WEFT_DATABASE_URL=" + u.String(), "WEFT_REDIS_URL=redis://" + side.Addr(), "WEFT_JWT_SECRET=" + testSecret,
			"WEFT_MAX_OPS_PER_SECOND=100000", "WEFT_IDLE_AFTER=2s", fmt.Sprint("WEFT_NODE=node", i),
		})
		s.nodes = append(s.nodes, startProcess(t, freeAddr(t), s.envs[i]...))
		s.fronts = append(s.fronts, proxy(t, s.nodes[i].addr))
	}
	store, err := postgres.Open(t.Context(), s.database, false, discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	s.store = store
	s.settle(t)
	return s
}

func proxy(t *testing.T, to string) *faultproxy.Proxy {
	t.Helper()
	p, err := faultproxy.New(to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// settle notes what nodes hold while nobody is there.
func (s *system) settle(t *testing.T) {
	s.calm = nil
	for _, n := range s.nodes {
		s.calm = append(s.calm, measure(t, n.url))
	}
}

// restart starts a node again where it was.
func (s *system) restart(i int) {
	s.nodes[i] = startProcess(s.t, s.nodes[i].addr, s.envs[i]...)
}

// servers are the nodes as client i meets them, through their proxies: another one first for each.
func (s *system) servers(i int) (all []string) {
	for n := range s.fronts {
		all = append(all, "http://"+s.fronts[(i+n)%len(s.fronts)].Addr())
	}
	return all
}

func (s *system) urls() (all []string) {
	for _, n := range s.nodes {
		all = append(all, n.url)
	}
	return all
}

// heal ends every fault of a link.
func (s *system) heal() {
	for _, links := range [][]*faultproxy.Proxy{s.fronts, s.backs, s.sides} {
		for _, p := range links {
			p.Set(faultproxy.Pass)
		}
	}
}

// scenario has clients write while faults happen, lets all come to rest, and checks the invariants.
type scenario struct {
	name    string
	clients int           // 0: 20
	every   time.Duration // between two edits of one client; 0: 40 ms, 500 edits a second of all
	rounds  int
	between int // acknowledgements before the next round; 0: 25
	fault   func(t *testing.T, s *system, round int)
}

func (c scenario) run(t *testing.T, s *system) {
	if c.clients == 0 {
		c.clients = 20
	}
	if c.every == 0 {
		c.every = 40 * time.Millisecond
	}
	if c.between == 0 {
		c.between = 25
	}
	s.docs++
	h := newHistory(fmt.Sprintf("chaos%d", s.docs))
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(c.rounds)*time.Minute+5*time.Minute)
	defer cancel()
	for i := range c.clients {
		h.open(ctx, t, fmt.Sprint("writer", i), s.servers(i))
	}
	defer h.close()
	writing, stop := context.WithCancel(ctx)
	defer stop()
	var work sync.WaitGroup
	for i, client := range h.clients {
		work.Go(func() {
			if err := client.Ready(ctx); err != nil {
				t.Errorf("client %d: %v", i, err)
				return
			}
			r := rand.New(rand.NewPCG(uint64(i), uint64(s.docs)))
			tick := time.NewTicker(c.every)
			defer tick.Stop()
			for {
				select {
				case <-writing.Done():
					return
				case <-tick.C:
				}
				if err := h.edit(client, r.IntN(1<<20)); err != nil {
					t.Errorf("client %d: %v", i, err)
					return
				}
			}
		})
	}
	began := time.Now()
	for round := range c.rounds {
		h.await(ctx, c.between)
		c.fault(t, s, round)
		if *chaosFull && (round+1)%10 == 0 {
			t.Logf("%s: round %d of %d, %d operations acknowledged, %v", c.name, round+1, c.rounds, h.acknowledged(), time.Since(began).Round(time.Second))
		}
		if t.Failed() || ctx.Err() != nil {
			break
		}
	}
	h.await(ctx, c.between)
	stop()
	work.Wait()
	s.heal()
	healed := time.Now()
	if err := h.rest(ctx); err != nil {
		t.Error(err)
		s.logs(t)
		return
	}
	rested := time.Since(healed)
	h.check(ctx, t, s.store, s.urls())
	h.close()
	s.checkCalm(ctx, t)
	if t.Failed() {
		s.logs(t)
		return
	}
	t.Logf("%s: %d rounds, %d edits in %d operations, all acknowledged, none lost, none twice; at rest %v after the last fault; %v in all",
		c.name, c.rounds, len(h.made), h.acknowledged(), rested.Round(time.Millisecond), time.Since(began).Round(time.Second))
}

func (h *history) acknowledged() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.acks)
}

// await waits until so many more operations have come back to their authors.
func (h *history) await(ctx context.Context, more int) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for before := h.acknowledged(); h.acknowledged() < before+more; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// logs shows the end of what each node has logged.
func (s *system) logs(t *testing.T) {
	for i, n := range s.nodes {
		lines := strings.Split(strings.TrimSpace(n.logged()), "\n")
		t.Logf("node%d:\n%s", i, strings.Join(lines[max(0, len(lines)-15):], "\n"))
	}
}

// figures are what a node tells of itself.
type figures map[string]float64

func measure(t *testing.T, node string) figures {
	t.Helper()
	response, err := http.Get(node + "/metrics")
	if err != nil {
		t.Error(err)
		return nil
	}
	defer response.Body.Close()
	all := figures{}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if n, err := strconv.ParseFloat(value, 64); ok && err == nil {
			all[name] = n
		}
	}
	return all
}

// checkCalm waits until sessions, goroutines and descriptors of every node are back where
// they were: documents leave memory after a while, and idle connections of the pool stay.
func (s *system) checkCalm(ctx context.Context, t *testing.T) {
	t.Helper()
	const poolSlack = 16 // descriptors of connections that are kept for the next time, and the goroutines that watch them
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	for i, n := range s.nodes {
		for {
			now, then := measure(t, n.url), s.calm[i]
			if now["weft_sessions"] == 0 && now["weft_documents"] == 0 && now["go_goroutines"] <= then["go_goroutines"]+2*poolSlack && now["process_open_fds"] <= then["process_open_fds"]+poolSlack {
				break
			}
			select {
			case <-time.After(200 * time.Millisecond):
				continue
			case <-ctx.Done():
			}
			t.Errorf("node%d: %v sessions, %v documents, %v goroutines (%v before), %v descriptors (%v before)", i, now["weft_sessions"], now["weft_documents"],
				now["go_goroutines"], then["go_goroutines"], now["process_open_fds"], then["process_open_fds"])
			break
		}
	}
}
