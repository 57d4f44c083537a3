package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

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

// pause lets a fault last, or a program start: there is nothing to wait for.
func pause(d time.Duration) { <-time.After(d) }

// TestNothingIsLostWhateverBreaks has twenty clients write through three nodes while nodes, PostgreSQL,
// Redis and the links between them break; after each kind of fault the fixed list of invariants is checked.
func TestNothingIsLostWhateverBreaks(t *testing.T) {
	s := newSystem(t)
	for _, c := range append(faults(), partitions()...) {
		t.Run(c.name, func(t *testing.T) { c.run(t, s) })
		s.heal()
	}
}

func faults() []scenario {
	return []scenario{
		{name: "a node is killed", rounds: times(10, 200), fault: func(t *testing.T, s *system, _ int) {
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
			pause(time.Duration(rand.IntN(500)) * time.Millisecond)
			s.postgres.Restart(t)
		}},
		{name: "Redis is killed, flushed, or cuts its subscribers", rounds: times(3, 50), fault: func(t *testing.T, s *system, round int) {
			switch round % 3 {
			case 0:
				s.redis.Kill()
				pause(time.Duration(rand.IntN(500)) * time.Millisecond)
				s.redis.Restart(t)
			case 1:
				s.redis.Do(t, "FLUSHALL")
			default:
				s.redis.Do(t, "CLIENT KILL TYPE pubsub")
			}
		}},
		{name: "the reply to COMMIT is lost", rounds: times(10, 200), between: 5, fault: func(t *testing.T, s *system, round int) {
			// The commit has happened, or never reaches the server; the node cannot tell.
			sprung := s.backs[round%len(s.backs)].CutAt([]byte("COMMIT\x00"), round%3 != 0)
			select {
			case <-sprung:
			case <-time.After(time.Minute):
				t.Error("no node committed anything")
			}
		}},
		{name: "PostgreSQL is read-only for a while", rounds: times(1, 10), fault: func(t *testing.T, s *system, _ int) {
			const all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname <> current_database()"
			s.postgres.Exec(t, s.postgres.URL(), "ALTER SYSTEM SET default_transaction_read_only = on")
			s.postgres.Exec(t, s.postgres.URL(), "SELECT pg_reload_conf()")
			s.postgres.Exec(t, s.postgres.URL(), all)
			pause(time.Second)
			s.postgres.Exec(t, s.postgres.URL()+"&default_transaction_read_only=off", "ALTER SYSTEM RESET default_transaction_read_only")
			s.postgres.Exec(t, s.postgres.URL(), "SELECT pg_reload_conf()")
			s.postgres.Exec(t, s.postgres.URL(), all)
		}},
		{name: "nodes are restarted one after the other", rounds: times(1, 5), fault: func(t *testing.T, s *system, _ int) {
			for i, n := range s.nodes {
				if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Error(err)
				}
				<-n.done
				if code := n.cmd.ProcessState.ExitCode(); code != 0 {
					t.Errorf("node%d exits with %d", i, code)
				}
				s.restart(i)
			}
		}},
	}
}

// partitions are every link in every mode of failing. Each round breaks the link of one node.
func partitions() (all []scenario) {
	links := []struct {
		name string
		of   func(*system) []*faultproxy.Proxy
	}{
		{"clients and a node", func(s *system) []*faultproxy.Proxy { return s.fronts }},
		{"a node and PostgreSQL", func(s *system) []*faultproxy.Proxy { return s.backs }},
		{"a node and Redis", func(s *system) []*faultproxy.Proxy { return s.sides }},
	}
	modes := []struct {
		name string
		mode faultproxy.Mode
	}{
		{"refused", faultproxy.Refuse}, {"a black hole", faultproxy.BlackHole}, {"half open", faultproxy.HalfOpen}, {"2 s late", faultproxy.Late}, {"flapping", -1},
	}
	for i, link := range links {
		for j, m := range modes {
			if !*chaosFull && j != (i+1)%3 { // one mode for each link in a short round
				continue
			}
			all = append(all, scenario{
				name: fmt.Sprintf("between %s: %s", link.name, m.name), rounds: times(1, 3),
				fault: func(_ *testing.T, s *system, round int) {
					p := link.of(s)[round%chaosNodes]
					if m.mode >= 0 {
						p.Set(m.mode)
						pause(time.Duration(times(4, 20)) * time.Second)
					}
					for i := 0; m.mode < 0 && i < times(4, 20); i++ {
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
