package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/weft-collab/weft/cmd/weft/internal/faultproxy"
)

// kind is the links between all of one kind and all of another.
type kind struct {
	name  string
	of    func(*system) []*faultproxy.Proxy // by node
	flees bool                              // who meets a fault goes to another node, and comes back only when that one fails too
	short []string                          // the ways of failing in a short round, in which there is each once
}

var kinds = []kind{
	{"clients and a node", func(s *system) []*faultproxy.Proxy { return s.fronts }, true, []string{"a black hole", "2 s late"}},
	{"a node and PostgreSQL", func(s *system) []*faultproxy.Proxy { return s.backs }, false, []string{"half open", "flapping"}},
	{"a node and Redis", func(s *system) []*faultproxy.Proxy { return s.sides }, false, []string{"refused"}},
}

// way is one in which links fail.
type way struct {
	name  string
	fails func(t *testing.T, k kind, links []*faultproxy.Proxy, round int)
}

var ways = []way{
	{"refused", oneFails(faultproxy.Refuse)}, {"a black hole", oneFails(faultproxy.BlackHole)},
	{"half open", oneFails(faultproxy.HalfOpen)}, {"2 s late", oneFails(faultproxy.Late)}, {"flapping", flaps},
}

// partitions are every kind of link in every way of failing. Each round breaks the link of one node.
func partitions() (all []scenario) {
	for _, k := range kinds {
		for _, f := range ways {
			if !*chaosFull && !slices.Contains(k.short, f.name) {
				continue
			}
			all = append(all, scenario{
				name: fmt.Sprintf("between %s: %s", k.name, f.name), rounds: times(1, 3),
				fault: func(t *testing.T, s *system, round int) { f.fails(t, k, k.of(s), round%chaosNodes) },
			})
		}
	}
	return all
}

// oneFails breaks one link for a while.
func oneFails(mode faultproxy.Mode) func(*testing.T, kind, []*faultproxy.Proxy, int) {
	return func(t *testing.T, _ kind, links []*faultproxy.Proxy, one int) {
		fail(t, mode, time.Duration(times(2, 13))*time.Second, links[one])
		links[one].Set(faultproxy.Pass)
	}
}

// flaps refuses one link and lets it pass, again and again. Those who would go elsewhere
// find the same there.
func flaps(t *testing.T, k kind, links []*faultproxy.Proxy, one int) {
	if !k.flees {
		links = links[one : one+1]
	}
	for range times(2, 13) {
		fail(t, faultproxy.Refuse, 500*time.Millisecond, links...)
		opened := met(links, func(m faultproxy.Met) int { return m.Opened })
		for _, p := range links {
			p.Set(faultproxy.Pass)
		}
		pause(500 * time.Millisecond)
		meets(t, "a connection before the next one is refused", func() bool { return met(links, func(m faultproxy.Met) int { return m.Opened }) > opened })
	}
}

// counts are what each mode does to traffic.
var counts = map[faultproxy.Mode]func(faultproxy.Met) int{
	faultproxy.Refuse:    func(m faultproxy.Met) int { return m.Refused },
	faultproxy.BlackHole: func(m faultproxy.Met) int { return m.Held },
	faultproxy.HalfOpen:  func(m faultproxy.Met) int { return m.Swallowed },
	faultproxy.Late:      func(m faultproxy.Met) int { return m.Late },
}

// met is a count of all links together.
func met(links []*faultproxy.Proxy, count func(faultproxy.Met) int) (sum int) {
	for _, p := range links {
		sum += count(p.Met())
	}
	return sum
}

// fail sets a mode, for a time and until traffic has met it.
func fail(t testing.TB, mode faultproxy.Mode, d time.Duration, links ...*faultproxy.Proxy) {
	t.Helper()
	before, lasts := met(links, counts[mode]), time.After(d)
	for _, p := range links {
		p.Set(mode)
	}
	meets(t, fmt.Sprintf("mode %d of %s", mode, links[0].Addr()), func() bool { return met(links, counts[mode]) > before })
	<-lasts
}
