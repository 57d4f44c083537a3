package main

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"
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

// patience is how long a fault waits to be met: one that nobody meets shows nothing.
var patience = time.Minute

// meets waits until a fault has been met, and says where it was not.
func meets(t testing.TB, what string, met func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !met(); pause(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("nobody met the fault: %s", what)
			return
		}
	}
}

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
		{name: "nothing breaks", rounds: 1, fault: func(*testing.T, *system, int) { pause(time.Duration(times(2, 20)) * time.Second) }},
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
