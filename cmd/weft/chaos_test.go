package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/weft-collab/weft/cmd/weft/internal/faultproxy"
)

var chaosFull = flag.Bool("chaos.full", false, "break the system as often as `make chaos` does, and not only for a short round")

// times is how often a fault happens: in a short round, or in the full one.
func times(short, full int) int {
	if *chaosFull {
		return full
	}
	return short
}

// pause lets a fault last: there is nothing to wait for.
func pause(d time.Duration) { <-time.After(d) }

// TestNothingIsLostWhateverBreaks has twenty clients write through three nodes while nodes, PostgreSQL,
// Redis and the links between them break; after each kind of fault the fixed list of invariants is checked.
func TestNothingIsLostWhateverBreaks(t *testing.T) {
	s := newSystem(t)
	for _, c := range append(faults(), partitions()...) {
		t.Run(c.name, func(t *testing.T) { c.run(t, s) })
		s.heal()
	}
	t.Run("edits reach other nodes without Redis", s.withoutRedis)
	t.Run("rolling restart under 500 sessions", s.rollingRestart)
}

func faults() []scenario {
	return []scenario{
		{name: "a node is killed", rounds: times(10, 200), fault: func(_ *testing.T, s *system, _ int) {
			pause(rand.N(500 * time.Millisecond)) // for clients to find the node that came back before
			i := rand.IntN(len(s.nodes))
			s.nodes[i].kill()
			s.restart(i)
		}},
		{name: "PostgreSQL is killed or stopped", rounds: times(3, 50), fault: func(t *testing.T, s *system, round int) {
			if round%2 == 0 {
				s.postgres.Kill()
			} else {
				s.postgres.Stop(true)
			}
			pause(rand.N(500 * time.Millisecond))
			s.postgres.Restart(t)
		}},
		{name: "Redis is killed, flushed, or cuts its subscribers", rounds: times(3, 50), fault: func(t *testing.T, s *system, round int) {
			switch round % 3 {
			case 0:
				s.redis.Kill()
				pause(rand.N(500 * time.Millisecond))
				s.redis.Restart(t)
			case 1:
				s.redis.Do(t, "FLUSHALL")
			default:
				s.redis.Do(t, "CLIENT KILL TYPE pubsub")
			}
		}},
		{name: "the reply to COMMIT is lost", rounds: times(10, 200), fault: func(t *testing.T, s *system, round int) {
			// The commit has happened, or, in every fifth round, never reaches the server; the node cannot tell.
			sprung := s.backs[round%len(s.backs)].CutAt([]byte("COMMIT\x00"), round%5 != 4)
			select {
			case <-sprung:
			case <-time.After(time.Minute):
				t.Error("no node committed anything")
			}
		}},
		{name: "PostgreSQL is read-only for a while", rounds: times(1, 10), fault: readOnly},
		{name: "no connection of the pool is free", rounds: times(1, 5), fault: poolUsedUp},
		{name: "PostgreSQL has no connection left", rounds: times(1, 5), fault: connectionsUsedUp},
	}
}

func readOnly(t *testing.T, s *system, _ int) {
	const all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname <> current_database()"
	s.postgres.Exec(t, s.postgres.URL(), "ALTER SYSTEM SET default_transaction_read_only = on")
	s.postgres.Exec(t, s.postgres.URL(), "SELECT pg_reload_conf()")
	s.postgres.Exec(t, s.postgres.URL(), all)
	pause(time.Second)
	s.postgres.Exec(t, s.postgres.URL()+"&default_transaction_read_only=off", "ALTER SYSTEM RESET default_transaction_read_only")
	s.postgres.Exec(t, s.postgres.URL(), "SELECT pg_reload_conf()")
	s.postgres.Exec(t, s.postgres.URL(), all)
}

// poolUsedUp has every statement of every node wait for a lock, so that each of its pool's
// connections is taken; in the full round for longer than a node waits for the store.
func poolUsedUp(t *testing.T, s *system, round int) {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.database)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close(ctx)
	if _, err = conn.Exec(ctx, "BEGIN"); err == nil {
		_, err = conn.Exec(ctx, "LOCK TABLE documents IN ACCESS EXCLUSIVE MODE")
	}
	if err != nil {
		t.Error(err)
	}
	pause(time.Duration(times(2, 3+4*(round%4))) * time.Second)
}

// connectionsUsedUp takes every connection that the server has, those of the nodes too.
func connectionsUsedUp(t *testing.T, s *system, _ int) {
	ctx := context.Background()
	var all []*pgx.Conn
	defer func() {
		for _, conn := range all {
			conn.Close(ctx)
		}
	}()
	// Others are sent away, and what they leave is taken, from the first refusal on for a while.
	var end time.Time
	for end.IsZero() || time.Now().Before(end) {
		conn, err := pgx.Connect(ctx, s.postgres.URL())
		if err == nil {
			all = append(all, conn)
			continue
		}
		if end.IsZero() {
			end = time.Now().Add(time.Duration(times(2, 5)) * time.Second)
		}
		if _, err := all[0].Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname <> current_database()"); err != nil {
			t.Error(err)
			return
		}
		pause(20 * time.Millisecond)
	}
}

// partitions are every link in every mode of failing. Each round breaks the link of one node.
func partitions() (all []scenario) {
	links := []struct {
		name  string
		of    func(*system) []*faultproxy.Proxy
		short []string // the modes of a short round, in which there is each once
	}{
		{"clients and a node", func(s *system) []*faultproxy.Proxy { return s.fronts }, []string{"a black hole", "2 s late"}},
		{"a node and PostgreSQL", func(s *system) []*faultproxy.Proxy { return s.backs }, []string{"half open", "flapping"}},
		{"a node and Redis", func(s *system) []*faultproxy.Proxy { return s.sides }, []string{"refused"}},
	}
	modes := []struct {
		name string
		mode faultproxy.Mode
	}{
		{"refused", faultproxy.Refuse}, {"a black hole", faultproxy.BlackHole}, {"half open", faultproxy.HalfOpen}, {"2 s late", faultproxy.Late}, {"flapping", -1},
	}
	for _, link := range links {
		for _, m := range modes {
			if !*chaosFull && !slices.Contains(link.short, m.name) {
				continue
			}
			all = append(all, scenario{
				name: fmt.Sprintf("between %s: %s", link.name, m.name), rounds: times(1, 3),
				fault: func(_ *testing.T, s *system, round int) {
					p := link.of(s)[round%chaosNodes]
					if m.mode >= 0 {
						p.Set(m.mode)
						pause(time.Duration(times(2, 13)) * time.Second)
					}
					for i := 0; m.mode < 0 && i < times(4, 26); i++ {
						p.Set([]faultproxy.Mode{faultproxy.Refuse, faultproxy.Pass}[i%2])
						pause(500 * time.Millisecond)
					}
					p.Set(faultproxy.Pass)
				},
			})
		}
	}
	return all
}
