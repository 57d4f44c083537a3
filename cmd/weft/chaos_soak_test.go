package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weft-collab/weft/collab/client"
	"github.com/weft-collab/weft/ot"
)

var (
	soak       = flag.Duration("soak", 0, "how long TestNothingGrows has people come and go; 0: not at all")
	soakSeries = flag.String("soak.series", "", "file for what the nodes held over that time, as CSV")
)

const (
	soakTeams  = 8
	soakEditAt = 250 * time.Millisecond // between two edits of one of a team's three: a hundred a second of all
	soakStay   = 25 * time.Second       // of a team with its document
)

// growing are the figures that must be flat over the second half of a soak: each one's
// lowest value of a minute, which for the heap is what garbage collection leaves.
var growing = []string{"go_memstats_heap_alloc_bytes", "go_goroutines", "process_open_fds", "process_resident_memory_bytes"}

// sample is what all nodes hold together.
type sample struct {
	at time.Duration
	figures
}

// Teams open documents, write, are visited, and leave for the next one; the documents fall
// idle and leave memory. What nodes hold is the same at the end as half way.
func TestNothingGrows(t *testing.T) {
	if *soak == 0 {
		t.Skip("it takes -soak 30m, as `make soak` says")
	}
	s := newSystem(t)
	ctx, stop := context.WithTimeout(t.Context(), *soak)
	defer stop()
	var work sync.WaitGroup
	for team := range soakTeams {
		work.Go(func() {
			for turn := 0; ctx.Err() == nil && !t.Failed(); turn++ {
				s.team(t, fmt.Sprintf("soak%d.%d", team, turn), team)
			}
		})
	}
	began := time.Now()
	var series []sample
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for ctx.Err() == nil && !t.Failed() {
		select {
		case <-ctx.Done():
			continue
		case <-tick.C:
		}
		now := sample{time.Since(began), figures{}}
		for i, n := range s.nodes {
			f, err := measure(n, s.backs[i].Addr(), s.sides[i].Addr())
			if err != nil {
				t.Error(err)
				continue
			}
			for name, value := range f {
				now.figures[name] += value
			}
		}
		series = append(series, now)
		if len(series)%30 == 0 {
			t.Logf("%v: %v, heap %.1f MB, %v operations", now.at.Round(time.Second), now.figures, now.figures[growing[0]]/1e6, now.figures["weft_operations_total"])
			keepSeries(t, series)
		}
	}
	work.Wait()
	keepSeries(t, series)
	quiet, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s.quiet(quiet, t)
	flat(t, series)
}

// team has three people write into a document for a while, with visitors, and checks everything.
func (s *system) team(t *testing.T, doc string, first int) {
	h := newHistory(doc)
	ctx, cancel := context.WithTimeout(t.Context(), soakStay+2*time.Minute)
	defer cancel()
	for i := range 3 {
		h.open(ctx, t, fmt.Sprint("member", i), s.servers(first+i)...)
	}
	defer h.close()
	writing, stop := context.WithTimeout(ctx, soakStay)
	defer stop()
	var work sync.WaitGroup
	for i, p := range h.clients {
		work.Go(func() { h.write(ctx, writing, t, p, uint64(i), soakEditAt) })
	}
	work.Go(func() {
		for n := 0; writing.Err() == nil; n++ {
			visitor := client.Open(writing, client.Config{
				Servers: s.servers(n), Doc: doc, Type: ot.Text,
				Token: func(context.Context) (string, error) { return token(t, "visitor", time.Hour, doc+"=write"), nil },
			})
			_ = visitor.Ready(writing)
			pause(time.Second)
			visitor.Close()
		}
	})
	work.Wait()
	if err := h.rest(ctx); err != nil {
		t.Error(err)
		return
	}
	h.check(ctx, t, s.store, s.urls()...)
}

// flat compares the third quarter of a soak with the fourth.
func flat(t *testing.T, series []sample) {
	t.Helper()
	lowest := map[string][]float64{} // of each minute
	for minute := range slices.Chunk(series, 30) {
		for _, name := range growing {
			low := minute[0].figures[name]
			for _, s := range minute {
				low = min(low, s.figures[name])
			}
			lowest[name] = append(lowest[name], low)
		}
	}
	for _, name := range growing {
		all := lowest[name]
		n := len(all)
		if n < 4 {
			t.Logf("%s: %v; too short a time to judge", name, all)
			continue
		}
		third, fourth := median(all[n/2:n*3/4]), median(all[n*3/4:])
		t.Logf("%s: %.0f in the third quarter, %.0f in the fourth (%+.1f %%)", name, third, fourth, 100*(fourth/third-1))
		if fourth > third*1.1 {
			t.Errorf("%s grows: %.0f in the third quarter, %.0f in the fourth", name, third, fourth)
		}
	}
}

func median[T cmp.Ordered](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

func keepSeries(t *testing.T, series []sample) {
	t.Helper()
	if *soakSeries == "" {
		return
	}
	columns := append(slices.Clone(growing), "weft_sessions", "weft_documents", "weft_operations_total")
	var out strings.Builder
	fmt.Fprintln(&out, "seconds,"+strings.Join(columns, ","))
	for _, s := range series {
		fmt.Fprintf(&out, "%.0f", s.at.Seconds())
		for _, c := range columns {
			fmt.Fprintf(&out, ",%.0f", s.figures[c])
		}
		fmt.Fprintln(&out)
	}
	if err := os.WriteFile(*soakSeries, []byte(out.String()), 0o644); err != nil {
		t.Error(err)
	}
}
