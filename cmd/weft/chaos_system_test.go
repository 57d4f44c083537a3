package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
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
	t        *testing.T // of all scenarios: what they start goes on after them
	postgres *postgrestest.Server
	redis    *redistest.Server
	database string // past every proxy
	store    collab.Store
	nodes    []*process
	envs     [][]string
	fronts   []*faultproxy.Proxy // clients to node i
	backs    []*faultproxy.Proxy // node i to PostgreSQL
	sides    []*faultproxy.Proxy // node i to Redis
	calm     []figures           // of each node, when it had just started
	docs     int
}

const (
	chaosNodes = 3
	chaosPool  = 4 // connections of a node to PostgreSQL
)

func chaosNode(i int) string { return fmt.Sprint("node", i) }

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
		u.RawQuery += fmt.Sprintf("&application_name=%s&pool_max_conns=%d", chaosNode(i), chaosPool)
		s.backs, s.sides = append(s.backs, back), append(s.sides, side)
		s.envs = append(s.envs, []string{
			"WEFT_DATABASE_URL=" + u.String(), "WEFT_REDIS_URL=redis://" + side.Addr(), "WEFT_JWT_SECRET=" + testSecret,
			"WEFT_MAX_OPS_PER_SECOND=100000", "WEFT_IDLE_AFTER=500ms", "WEFT_NODE=" + chaosNode(i),
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
	for i, n := range s.nodes {
		calm, err := measure(n, s.backs[i].Addr(), s.sides[i].Addr())
		if err != nil {
			t.Fatal(err)
		}
		s.calm = append(s.calm, calm)
	}
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

// read asks a node for a document, and lets it answer what it will.
func (s *system) read(t *testing.T, node int, doc string) {
	request, err := http.NewRequest(http.MethodGet, s.nodes[node].url+"/v1/docs/"+doc, nil)
	if err != nil {
		t.Error(err)
		return
	}
	request.Header.Set("Authorization", "Bearer "+token(t, "reader", time.Hour, "*=read"))
	response, err := once.Do(request)
	if err != nil {
		t.Error(err)
		return
	}
	response.Body.Close()
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
	name   string
	rounds int
	fault  func(t *testing.T, s *system, round int) // breaks something, and mends it
}

const (
	chaosClients = 20
	chaosEvery   = chaosClients * time.Second / 500 // between two edits of a client: 500 a second of all
	chaosLeg     = 25                               // rounds with one document, until the invariants are checked
)

func (c scenario) run(t *testing.T, s *system) {
	var sum tally
	began := time.Now()
	for sum.rounds < c.rounds && !t.Failed() {
		c.leg(t, s, min(chaosLeg, c.rounds-sum.rounds), &sum)
		if *chaosFull {
			t.Logf("round %d of %d, %v operations acknowledged, %v", sum.rounds, c.rounds, sum.acknowledged, time.Since(began).Round(time.Second))
		}
	}
	if t.Failed() {
		s.logs(t)
		return
	}
	t.Logf("%d rounds, %d edits in %d operations (%.0f a second, and %.0f during the fault), all acknowledged, none lost, none twice; every client had edits stored again %v after the break, %v after the mend (half of the times; at most %v, %v); %v in all",
		sum.rounds, sum.edits, sum.acknowledged, float64(sum.acknowledged)/sum.writing.Seconds(), float64(sum.during)/sum.faults.Seconds(), median(sum.broken), median(sum.mended), slices.Max(sum.broken), slices.Max(sum.mended), time.Since(began).Round(time.Second))
}

// tally is what a scenario adds up.
type tally struct {
	rounds, edits, acknowledged int
	during                      int // of the operations, those that were acknowledged from a break to its mend
	writing, faults             time.Duration
	broken, mended              []time.Duration // until the slowest client was back, from each break and from each mend
}

// leg is some rounds with one document, and the check after them.
func (c scenario) leg(t *testing.T, s *system, rounds int, sum *tally) {
	s.docs++
	h := newHistory(fmt.Sprintf("chaos%d", s.docs))
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rounds)*time.Minute+5*time.Minute)
	defer cancel()
	for i := range chaosClients {
		h.open(ctx, t, fmt.Sprint("writer", i), s.servers(i)...)
	}
	defer h.close()
	writing, stop := context.WithCancel(ctx)
	defer stop()
	var work sync.WaitGroup
	for i, p := range h.clients {
		work.Go(func() { h.write(ctx, writing, t, p, uint64(s.docs*chaosClients+i), chaosEvery) })
	}
	back := func(m moment, into *[]time.Duration) bool {
		after, err := h.back(ctx, m)
		if err != nil {
			t.Error(err)
			return false
		}
		*into = append(*into, after.Round(time.Millisecond))
		return true
	}
	var start []time.Duration
	began := time.Now()
	up := back(h.now(), &start)
	for n := 0; n < rounds && up && !t.Failed(); n++ {
		broken, acknowledged := h.now(), h.acknowledged()
		c.fault(t, s, sum.rounds)
		mended := h.now()
		sum.during += h.acknowledged() - acknowledged
		sum.faults += mended.at.Sub(broken.at)
		up = back(broken, &sum.broken) && back(mended, &sum.mended)
		sum.rounds++
	}
	stop()
	work.Wait()
	sum.writing += time.Since(began)
	s.heal()
	if err := h.rest(ctx); err != nil {
		t.Error(err)
		return
	}
	h.check(ctx, t, s.store, s.urls()...)
	h.close()
	sum.edits, sum.acknowledged = sum.edits+len(h.made), sum.acknowledged+len(h.acks)
	s.quiet(ctx, t)
}

// logs shows the end of what each node has logged.
func (s *system) logs(t *testing.T) {
	for i, n := range s.nodes {
		lines := strings.Split(strings.TrimSpace(n.logged()), "\n")
		t.Logf("node%d:\n%s", i, strings.Join(lines[max(0, len(lines)-15):], "\n"))
	}
}

// quiet waits until every node holds what it did when it had just started, and Redis no
// subscription of a document.
func (s *system) quiet(ctx context.Context, t *testing.T) {
	t.Helper()
	for i, n := range s.nodes {
		comesToRest(ctx, t, n, s.calm[i], s.backs[i].Addr(), s.sides[i].Addr())
	}
	subscriptionsEnd(ctx, t, s.redis.Addr())
}
