package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weft-collab/weft/collab/client"
	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
	"github.com/weft-collab/weft/persistence/postgres"
	"github.com/weft-collab/weft/persistence/postgres/postgrestest"
	"github.com/weft-collab/weft/persistence/sqlite"
	"github.com/weft-collab/weft/persistence/storetest"
)

// farewell is how a session ended.
type farewell struct {
	at     time.Time
	bye    *protocol.Bye
	closed *client.Closed
	err    error
}

// guest opens a session that only listens, until the server ends it.
func guest(t *testing.T, ctx context.Context, url, doc string, ended chan<- farewell) {
	t.Helper()
	conn, err := client.Dial(ctx, url, doc, token(t, "guest", time.Hour, doc+"=read"))
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SendRaw(protocol.Hello{Client: newClient()}.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if m, err := conn.Receive(30 * time.Second); err != nil {
		t.Fatal(err)
	} else if _, ok := m.(*protocol.Welcome); !ok {
		t.Fatalf("in place of a welcome there came %+v", m)
	}
	go func() {
		defer conn.Close()
		var f farewell
		for {
			m, err := conn.Receive(time.Minute)
			if err != nil {
				f.err = err
				errors.As(err, &f.closed)
				ended <- f
				return
			}
			if bye, ok := m.(*protocol.Bye); ok && f.bye == nil {
				f.bye, f.at = bye, time.Now()
			}
		}
	}()
}

// A node with a hundred sessions is asked to end while writers write: it is not ready from
// then on, says bye to each, leaves snapshots, and exits with 0; nothing is lost or twice.
func TestADrainSendsEverybodyElsewhereAndLeavesSnapshots(t *testing.T) {
	const guests, writers = 100, 5
	nodes, database, _ := cluster(t, 2, "WEFT_JWT_SECRET="+testSecret)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	// One document lives on the node that drains alone.
	quiet := participant(t, ctx, "ada", "quiet", nodes[0].url, nodes[1].url)
	if err := quiet.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	edit(t, quiet, 0, "quiet")
	flush(t, ctx, quiet)
	quiet.Close()

	clients := make([]*client.Client, writers)
	for i := range clients {
		clients[i] = participant(t, ctx, fmt.Sprint("writer", i), "busy", nodes[0].url, nodes[1].url)
		if err := clients[i].Ready(ctx); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan farewell, guests)
	for i := range guests {
		guest(t, ctx, nodes[0].url, []string{"quiet", "busy"}[i%2], ended)
	}
	var work sync.WaitGroup
	made := make([]int, writers)
	writing, stop := context.WithCancel(ctx)
	for i, c := range clients {
		work.Go(func() {
			for ; writing.Err() == nil; made[i]++ {
				edit(t, c, 0, fmt.Sprintf("<%d.%d>", i, made[i]))
				if err := c.Flush(ctx); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}

	began := time.Now()
	if err := nodes[0].cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	refused := watchDraining(t, nodes[0])
	var byes []farewell
	for range guests {
		f := <-ended
		if f.bye == nil || f.bye.Code != protocol.Draining || f.bye.RetryMS <= 0 || f.closed == nil || f.closed.Close != 1012 {
			t.Errorf("a session ended with %+v, %v", f.bye, f.err)
			continue
		}
		byes = append(byes, f)
	}
	<-nodes[0].done
	took := time.Since(began)
	if code := nodes[0].cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("it exits with %d: %s", code, nodes[0].logged())
	}
	answers := <-refused
	stop()
	work.Wait()
	flush(t, ctx, clients...)

	store, err := postgres.Open(ctx, database, false, discard())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	m := storetest.Whole(t, store, "quiet")
	if s, err := store.Snapshot(ctx, "quiet", m.Version); err != nil || s.Version != m.Version || m.Version != 1 {
		t.Errorf("the newest snapshot of version %d is %d (%v)", m.Version, s.Version, err)
	}
	storetest.Whole(t, store, "busy")
	text := clients[0].Content().Text()
	for i, n := range made {
		for k := range n {
			if mark := fmt.Sprintf("<%d.%d>", i, k); strings.Count(text, mark) != 1 {
				t.Errorf("%s stands there %d times", mark, strings.Count(text, mark))
			}
		}
	}
	retries := map[int64]bool{}
	for _, f := range byes {
		retries[f.bye.RetryMS] = true
	}
	if len(retries) < 2 {
		t.Errorf("everybody is told to come back at the same time")
	}
	slices.SortFunc(byes, func(a, b farewell) int { return a.at.Compare(b.at) })
	// Between the byes the node goes on: they do not come in one wave.
	for part := 0; part < 4 && len(byes) == guests; part++ {
		from, to := byes[(guests-1)*part/4].at, byes[(guests-1)*(part+1)/4].at
		if !slices.ContainsFunc(answers, func(at time.Time) bool { return from.Before(at) && at.Before(to) }) {
			t.Errorf("bye %d to %d came in one wave", (guests-1)*part/4, (guests-1)*(part+1)/4)
		}
	}
	if n := len(byes); n == guests {
		at := func(part int) time.Duration { return byes[(n-1)*part/4].at.Sub(began).Round(time.Millisecond) }
		t.Logf("byes after %v (first), %v, %v, %v, %v (last); it ended after %v", at(0), at(1), at(2), at(3), at(4), took.Round(time.Millisecond))
	}
}

// watchDraining asks a draining node again and again, until it is gone, and returns when
// it refused. That it is ready, or lets a session in, after it has said that it drains is an error.
func watchDraining(t *testing.T, node *process) <-chan []time.Time {
	result := make(chan []time.Time, 1)
	go func() {
		var refused []time.Time
		defer func() { result <- refused }()
		for {
			ready, err := http.Get(node.url + "/readyz")
			if err != nil {
				return // it no longer listens
			}
			ready.Body.Close()
			if ready.StatusCode != http.StatusServiceUnavailable {
				if len(refused) > 0 {
					t.Errorf("while it drains /readyz answers %s", ready.Status)
				}
				continue // the signal is on its way
			}
			if alive, err := http.Get(node.url + "/healthz"); err == nil {
				alive.Body.Close()
				if alive.StatusCode != http.StatusOK {
					t.Errorf("while it drains /healthz answers %s", alive.Status)
				}
			}
			conn, err := client.Dial(t.Context(), node.url, "quiet", token(t, "late", time.Hour, "quiet=read"))
			var no *client.Refused
			if err == nil {
				conn.Close()
				t.Error("while it drains it lets a session in")
			} else if errors.As(err, &no) && (no.Status != http.StatusServiceUnavailable || no.Retry <= 0) {
				t.Errorf("while it drains a session is refused with %v, retry %v", no, no.Retry)
			}
			refused = append(refused, time.Now())
			select {
			case <-node.done:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return result
}

// An operation that has been taken is stored though its author is told bye meanwhile.
func TestADrainStoresWhatItHasTaken(t *testing.T) {
	dir := t.TempDir()
	node := startProcess(t, freeAddr(t), "WEFT_DATA_DIR="+dir, "WEFT_JWT_SECRET="+testSecret, "WEFT_MAX_OPS_PER_SECOND=100000")
	const sessions = 20
	sent := make([]int64, sessions)
	var work sync.WaitGroup
	for i := range sessions {
		id := newClient()
		conn, err := client.Dial(t.Context(), node.url, "doc", token(t, "ada", time.Hour, "doc=write"))
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SendRaw(protocol.Hello{Client: id, Type: ot.Text}.Append(nil)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Receive(30 * time.Second); err != nil {
			t.Fatal(err)
		}
		work.Go(func() { // one operation after the other, as each is acknowledged
			defer conn.Close()
			for seq := int64(1); ; seq++ {
				if conn.SendRaw(protocol.Op{V: 0, Seq: seq, Delta: ot.New().Insert("x")}.Append(nil)) != nil {
					return
				}
				for back := false; !back; {
					m, err := conn.Receive(30 * time.Second)
					if err != nil {
						return
					}
					if ops, ok := m.(*protocol.Ops); ok {
						for _, op := range ops.Ops {
							back = back || op.Client == id && op.Seq == seq
						}
					}
				}
				sent[i] = seq
			}
		})
	}
	node.end(t)
	work.Wait()
	store, err := sqlite.OpenReader(t.Context(), dir, discard())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	m := storetest.Whole(t, store, "doc")
	if s, err := store.Snapshot(t.Context(), "doc", m.Version); err != nil || s.Version != m.Version {
		t.Errorf("the newest snapshot of version %d is %d (%v)", m.Version, s.Version, err)
	}
	acknowledged := int64(0)
	for _, n := range sent {
		acknowledged += n
	}
	// At most the one of each that was in flight is stored and did not come back.
	if m.Version < acknowledged || m.Version > acknowledged+sessions {
		t.Errorf("%d operations are stored, %d came back", m.Version, acknowledged)
	}
}

// A store that no longer answers does not keep a node that is to end, and the node says
// that it could not finish.
func TestADrainEndsThoughTheStoreHangs(t *testing.T) {
	server := postgrestest.Start(t)
	g := newGate(t, server.Addr())
	database := strings.Replace(server.NewDatabase(t), server.Addr(), g.listener.Addr().String(), 1)
	node := startProcess(t, freeAddr(t), "WEFT_DATABASE_URL="+database, "WEFT_JWT_SECRET="+testSecret, "WEFT_DRAIN_TIMEOUT=2s")
	c := participant(t, t.Context(), "ada", "doc", node.url)
	if err := c.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	edit(t, c, 0, "stored")
	flush(t, t.Context(), c)
	g.set(func() { g.deaf = true })
	edit(t, c, 0, "not acknowledged")
	if err := node.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-node.done
	if code := node.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(node.logged(), "not everything ended within 2s") {
		t.Errorf("it exits with %d: %s", code, node.logged())
	}
	c.Do(func(r *client.Replica) {
		if r.Unsent() != 1 {
			t.Errorf("the client has %d unsent edits", r.Unsent())
		}
	})
}

// Clients that hear nothing and do not close are cut off in time, and the node has finished all the same.
func TestADrainEndsClientsThatDoNotListen(t *testing.T) {
	node := startProcess(t, freeAddr(t), "WEFT_DATA_DIR="+t.TempDir(), "WEFT_JWT_SECRET="+testSecret, "WEFT_DRAIN_TIMEOUT=3s")
	for range 30 {
		conn, err := client.Dial(t.Context(), node.url, "doc", token(t, "deaf", time.Hour, "doc=write"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SendRaw(protocol.Hello{Client: newClient()}.Append(nil)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Receive(30 * time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if err := node.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-node.done
	if code := node.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("it exits with %d: %s", code, node.logged())
	}
}

func TestASecondInterruptEndsAtOnce(t *testing.T) {
	node := startProcess(t, freeAddr(t), "WEFT_DATA_DIR="+t.TempDir(), "WEFT_JWT_SECRET="+testSecret, "WEFT_DRAIN_TIMEOUT=10m")
	c := participant(t, t.Context(), "ada", "doc", node.url)
	if err := c.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 50 { // their byes are spread over five minutes
		guest(t, t.Context(), node.url, "doc", make(chan farewell, 1))
	}
	interrupt := func() {
		if err := node.cmd.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
	}
	interrupt()
	for !strings.Contains(node.logged(), "draining") {
		time.Sleep(5 * time.Millisecond)
	}
	for over := false; !over; {
		interrupt()
		select {
		case <-node.done:
			over = true
		case <-time.After(20 * time.Millisecond):
		}
	}
	status := node.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v: %s", node.cmd.ProcessState, node.logged())
	}
}
