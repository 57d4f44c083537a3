// Bench measures what one reader that has stopped costs the others in its document, and
// writes what comes of it into docs/benchmarks.md. It is run from the root of the project, by `make bench`.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/weft-collab/weft/collab"
	weftsocket "github.com/weft-collab/weft/collab/websocket"
	"github.com/weft-collab/weft/ot/bench/section"
	"github.com/weft-collab/weft/persistence/sqlite"
)

var (
	rounds  = flag.Int("rounds", 10, "how often each is measured, in turn")
	edits   = flag.Int("edits", 400, "operations of a round")
	readers = flag.Int("readers", 99, "sessions that read")
	page    = flag.String("page", "docs/benchmarks.md", "file to write into")
)

const pace = 10 * time.Millisecond // between operations

func main() {
	log.SetFlags(0)
	flag.Parse()
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

// anybody lets everyone in, by the name that the token is.
type anybody struct{}

func (anybody) Verify(_ context.Context, token string) (collab.Identity, error) {
	if token == "" {
		return collab.Identity{}, errors.New("no token")
	}
	return collab.Identity{User: token, Expires: time.Now().Add(time.Hour), Docs: map[string]collab.Role{"*": collab.Write}}, nil
}

func run() error {
	begun := time.Now()
	server, end, err := serve()
	if err != nil {
		return err
	}
	defer end()
	address := "ws" + strings.TrimPrefix(server, "http") + "/v1/docs/"
	var all, stopped []quantiles
	for round := range *rounds {
		for _, lazy := range []bool{false, true} {
			q, err := measure(fmt.Sprintf("%sround-%d-%v/ws", address, round, lazy), lazy)
			if err != nil {
				return err
			}
			log.Printf("round %d of %d, one stopped: %v: median %v, 99th percentile %v", round+1, *rounds, lazy, q.half.Round(time.Microsecond), q.most.Round(time.Microsecond))
			if lazy {
				stopped = append(stopped, q)
			} else {
				all = append(all, q)
			}
		}
	}
	var text bytes.Buffer
	write(&text, begun, all, stopped)
	return section.Replace(*page, "slow", text.Bytes())
}

// serve starts a node on the embedded store.
func serve() (url string, end func(), err error) {
	dir, err := os.MkdirTemp("", "weft-bench")
	if err != nil {
		return "", nil, err
	}
	quiet := slog.New(slog.DiscardHandler)
	store, err := sqlite.Open(context.Background(), dir, true, quiet)
	if err != nil {
		return "", nil, err
	}
	hub := collab.NewHub(collab.Config{Store: store, Verifier: anybody{}, Logger: quiet, SlowAfter: time.Hour})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = hub.Run(ctx) }()
	mux := http.NewServeMux()
	mux.Handle("GET /v1/docs/{doc}/ws", weftsocket.New(hub, anybody{}, weftsocket.Config{Logger: quiet, MessagesPerS: 1 << 20}))
	server := httptest.NewServer(mux)
	return server.URL, func() {
		server.CloseClientConnections()
		stop()
		<-ended
		store.Close()
		os.RemoveAll(dir)
	}, nil
}

// quantiles are how long operations took from their author to every reader that reads.
type quantiles struct{ half, most time.Duration }

func quantilesOf(delays []time.Duration) quantiles {
	slices.Sort(delays)
	return quantiles{delays[len(delays)/2], delays[len(delays)*99/100]}
}

// write writes the section.
func write(to *bytes.Buffer, begun time.Time, all, stopped []quantiles) {
	middle := func(of []quantiles, part func(quantiles) time.Duration) time.Duration {
		var parts []time.Duration
		for _, q := range of {
			parts = append(parts, part(q))
		}
		slices.Sort(parts)
		return (parts[(len(parts)-1)/2] + parts[len(parts)/2]) / 2
	}
	half := func(q quantiles) time.Duration { return q.half }
	most := func(q quantiles) time.Duration { return q.most }
	var ratios []float64 // of neighbouring rounds, which what else the machine does meets alike
	for i := range all {
		ratios = append(ratios, float64(stopped[i].most)/float64(all[i].most))
	}
	slices.Sort(ratios)
	ratio := (ratios[(len(ratios)-1)/2] + ratios[len(ratios)/2]) / 2
	verdict := "met"
	if ratio > 1.1 {
		verdict = "**missed**"
	}
	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Fprintf(to, "## A reader that has stopped\n\n%d processors, %s; begun %s; load average afterwards %s.\n\n", runtime.NumCPU(), runtime.Version(),
		begun.UTC().Format("2006-01-02 15:04 UTC"), strings.Join(strings.Fields(string(load))[:1], ""))
	fmt.Fprintf(to, "One author types %d operations, one every %v, into a document that %d sessions read, all over loopback, server and clients in one process, on the embedded store; "+
		"in every other round one of the readers has stopped reading and its window is shut. A delay is from the author's sending to a reader's receiving, of the readers that read. "+
		"%d rounds of each, in turn; figures are medians of the rounds, the ratio the median of those of neighbouring rounds.\n\n", *edits, pace, *readers, *rounds)
	fmt.Fprint(to, "| | median delay | 99th percentile |\n| --- | ---: | ---: |\n")
	fmt.Fprintf(to, "| all read | %v | %v |\n", middle(all, half).Round(time.Microsecond), middle(all, most).Round(time.Microsecond))
	fmt.Fprintf(to, "| one has stopped | %v | %v |\n", middle(stopped, half).Round(time.Microsecond), middle(stopped, most).Round(time.Microsecond))
	fmt.Fprintf(to, "\nThe 99th percentile with a stopped reader is %.2f times that without (goal: at most 1.1; %s); the least of the ratios is %.2f, the largest %.2f.\n",
		ratio, verdict, ratios[0], ratios[len(ratios)-1])
}
