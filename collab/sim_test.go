package collab

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"
)

var (
	simSeeds = flag.Int("sim.seeds", 500, "how many simulations to run")
	simFrom  = flag.Uint64("sim.from", 1, "the first seed; with -sim.seeds 1 and -v every event is told")
)

// simulate runs one whole system from a seed, to the end, and judges it.
func simulate(seed uint64, tell func(string, ...any)) *world {
	w := newWorld(seed, 1, tell)
	w.survives(func() { w.lives() })
	if seed%2 == 0 && !w.over() {
		small := newWorld(seed, 2, tell)
		small.survives(func() { small.perishes() })
		w.failed = small.failed
		for what, n := range small.counts {
			w.counts[whereDeleted+what] += n
		}
	}
	return w
}

// whereDeleted is what the counts of small worlds are told under.
const whereDeleted = "where it is deleted: "

// survives has a panic be a failure of the world.
func (w *world) survives(run func()) {
	defer func() {
		if r := recover(); r != nil {
			w.fail("panic: %v\n%s", r, debug.Stack())
		}
	}()
	run()
}

// lives has a document be edited to the end.
func (w *world) lives() {
	for w.sent < simOperations && !w.over() {
		w.step()
	}
	w.rest()
	w.silence()
	w.rest()
	w.check()
}

// simMoot: no more than one simulation in so many may end without having been judged, but five may in any run.
const simMoot = 200

// simFailures is how many are told before the rest is let be.
const simFailures = 10

// verdicts are what many simulations have come to.
type verdicts struct {
	mu       sync.Mutex
	counts   map[string]int
	failures []string
	done     int
	moot     int // simulations that could not be judged to their end
	next     int
	first    int // simulations done when the first one failed
}

func (v *verdicts) take(t *testing.T, w *world) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.done++
	if w.moot {
		v.moot++
	}
	for k, n := range w.counts {
		v.counts[k] += n
	}
	if w.failed != "" {
		if v.first == 0 {
			v.first = v.done
		}
		v.failures = append(v.failures, w.failed)
		t.Error(w.failed)
	}
}

// seed draws the next one; ok is false when there is none, or enough have failed.
func (v *verdicts) seed() (seed uint64, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.next >= *simSeeds || len(v.failures) >= simFailures {
		return 0, false
	}
	v.next++
	return *simFrom + uint64(v.next-1), true
}

func (v *verdicts) progress(t *testing.T, ended <-chan struct{}) {
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
			v.mu.Lock()
			t.Logf("%d of %d simulations from seed %d, %d failed", v.done, *simSeeds, *simFrom, len(v.failures))
			v.mu.Unlock()
		}
	}
}

// TestNothingIsLostUnderAnyOrderOfEvents runs whole systems from seeds.
func TestNothingIsLostUnderAnyOrderOfEvents(t *testing.T) {
	v := &verdicts{counts: map[string]int{}}
	// Worlds are small and many: garbage is collected by the quarter of a gigabyte.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(256 << 20))
	ended := make(chan struct{})
	var reports, work sync.WaitGroup
	reports.Go(func() { v.progress(t, ended) })
	var tell func(string, ...any)
	if *simSeeds == 1 && testing.Verbose() {
		tell = func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
	}
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() {
			for seed, ok := v.seed(); ok; seed, ok = v.seed() {
				v.take(t, simulate(seed, tell))
			}
		})
	}
	work.Wait()
	close(ended)
	reports.Wait()
	for _, what := range sortedKeys(v.counts) {
		t.Logf("%9d %s", v.counts[what], what)
	}
	if len(v.failures) > 0 {
		t.Logf("the first failure came within %d simulations", v.first)
		return
	}
	if v.moot > max(5, v.done/simMoot) {
		t.Errorf("%d of %d simulations could not be judged", v.moot, v.done)
	}
	for what, seeds := range simWanted() {
		if *simSeeds >= seeds && v.counts[what] == 0 {
			t.Errorf("this never happened in %d simulations: %s", *simSeeds, what)
		}
	}
}

// simWanted names what must have been reached, and in how many simulations.
func simWanted() map[string]int {
	wanted := map[string]int{}
	for _, what := range simOften {
		wanted[what] = 300
	}
	for _, what := range simDeleted {
		wanted[whereDeleted+what] = 300
	}
	for _, what := range simSeldom {
		wanted[what] = 5000
	}
	return wanted
}
