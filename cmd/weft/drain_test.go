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
	"github.com/weft-collab/weft/persistence/postgres"
	"github.com/weft-collab/weft/persistence/postgres/postgrestest"
	"github.com/weft-collab/weft/persistence/storetest"
)

// farewell is how a session ended.
type farewell struct {
	at     time.Time
	bye    *protocol.Bye
	closed *client.Closed
	err    error
}

// guest opens a session that only listens, until the server ends it; what it is shown is history.
func (h *history) guest(t *testing.T, ctx context.Context, url string, ended chan<- farewell) {
	t.Helper()
	conn, err := client.Dial(ctx, url, h.doc, token(t, "guest", time.Hour, h.doc+"=read"))
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SendRaw(protocol.Hello{Client: newClient()}.Append(nil)); err != nil {
		t.Fatal(err)
	}
	m, err := conn.Receive(30 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	welcome, ok := m.(*protocol.Welcome)
	if !ok {
		t.Fatalf("in place of a welcome there came %+v", m)
	}
	go func() {
		defer conn.Close()
		var f farewell
		for version := welcome.V; ; {
			m, err := conn.Receive(time.Minute)
			if err != nil {
				f.err = err
				errors.As(err, &f.closed)
				ended <- f
				return
			}
			switch m := m.(type) {
			case *protocol.Bye:
				if f.bye == nil {
					f.bye, f.at = m, time.Now()
				}
			case *protocol.Ops:
				h.mu.Lock()
				if m.V != version {
					h.odd = append(h.odd, fmt.Sprintf("a guest at version %d is sent operations from version %d", version, m.V))
				}
				for i, op := range m.Ops {
					h.shown(m.V+int64(i)+1, op)
				}
				version = m.V + int64(len(m.Ops))
				h.mu.Unlock()
			}
		}
	}()
}

// A node with a hundred sessions is asked to end while writers write: it is not ready from
// then on, says bye to each, leaves snapshots, and exits with 0; nothing is lost or twice.
func TestADrainSendsEverybodyElsewhereAndLeavesSnapshots(t *testing.T) {
	const guests, writers = 100, 5
	nodes, database, env := cluster(t, 2, "WEFT_JWT_SECRET="+testSecret, "WEFT_IDLE_AFTER=500ms")
	calm := calmly(t, env, nodes[1])
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	// One document lives on the node that drains alone.
	quiet, busy := newHistory("quiet"), newHistory("busy")
	quiet.open(ctx, t, "ada", nodes[0].url, nodes[1].url)
	defer quiet.close()
	quiet.writeInTurn(ctx, t, quiet.clients[0], func(n int) bool { return n < 1 })
	for i := range writers {
		p := busy.open(ctx, t, fmt.Sprint("writer", i), nodes[0].url, nodes[1].url)
		if err := p.Ready(ctx); err != nil {
			t.Fatal(err)
		}
	}
	defer busy.close()
	ended := make(chan farewell, guests)
	for i := range guests {
		[]*history{quiet, busy}[i%2].guest(t, ctx, nodes[0].url, ended)
	}
	quiet.close() // its guests keep it where it is
	var work sync.WaitGroup
	writing, stop := context.WithCancel(ctx)
	for _, p := range busy.clients {
		work.Go(func() { busy.writeInTurn(ctx, t, p, func(int) bool { return writing.Err() == nil }) })
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
	if err := busy.rest(ctx); err != nil {
		t.Fatal(err)
	}

	store, err := postgres.Open(ctx, database, false, discard())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	m := storetest.Whole(t, store, "quiet")
	if s, err := store.Snapshot(ctx, "quiet", m.Version); err != nil || s.Version != m.Version || m.Version != 1 {
		t.Errorf("the newest snapshot of version %d is %d (%v)", m.Version, s.Version, err)
	}
	for _, h := range []*history{quiet, busy} {
		h.check(ctx, t, store, nodes[1].url)
		h.close()
	}
	calm(ctx)
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

// An operation that has been taken is stored though its author is told bye meanwhile; and
// who comes back with what was in flight finds it there, or has it stored, once.
func TestADrainStoresWhatItHasTaken(t *testing.T) {
	env := []string{"WEFT_DATA_DIR=" + t.TempDir(), "WEFT_JWT_SECRET=" + testSecret, "WEFT_MAX_OPS_PER_SECOND=100000", "WEFT_IDLE_AFTER=500ms"}
	node := startProcess(t, freeAddr(t), env...)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	const sessions = 20
	h := newHistory("doc")
	var work sync.WaitGroup
	writing, stop := context.WithCancel(ctx)
	defer stop()
	for range sessions {
		p := h.open(ctx, t, "ada", node.url)
		if err := p.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		work.Go(func() { h.writeInTurn(ctx, t, p, func(int) bool { return writing.Err() == nil }) })
	}
	defer h.close()
	node.end(t)
	stop()
	store := openReader(t, env)
	m := storetest.Whole(t, store, "doc")
	if s, err := store.Snapshot(ctx, "doc", m.Version); err != nil || s.Version != m.Version {
		t.Errorf("the newest snapshot of version %d is %d (%v)", m.Version, s.Version, err)
	}
	h.remember(ctx, t, store)
	stored := operations(t, store, m)
	acked := h.acknowledgements()
	for key, delta := range acked {
		if stored[key] != delta {
			t.Errorf("%s came back as %s, and is stored as %q", key, delta, stored[key])
		}
	}
	// At most the one of each that was in flight is stored and did not come back.
	if len(stored) > len(acked)+sessions {
		t.Errorf("%d operations are stored, %d came back", len(stored), len(acked))
	}

	node = startProcess(t, node.addr, env...)
	calm := calmly(t, env, node)
	work.Wait()
	if err := h.rest(ctx); err != nil {
		t.Fatal(err)
	}
	h.check(ctx, t, store, node.url)
	h.close()
	calm(ctx)
	t.Logf("%d operations came back before the end, %d were stored; %d of %d edits afterwards", len(acked), len(stored), len(h.acks), len(h.made))
}

// A store that no longer answers does not keep a node that is to end, and the node says
// that it could not finish. What it had not acknowledged is stored by the next one, once.
func TestADrainEndsThoughTheStoreHangs(t *testing.T) {
	server := postgrestest.Start(t)
	g := newGate(t, server.Addr())
	database := server.NewDatabase(t)
	env := []string{
		"WEFT_DATABASE_URL=" + strings.Replace(database, server.Addr(), g.listener.Addr().String(), 1), "WEFT_JWT_SECRET=" + testSecret,
		"WEFT_DRAIN_TIMEOUT=2s", "WEFT_IDLE_AFTER=500ms",
	}
	node := startProcess(t, freeAddr(t), env...)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	h := newHistory("doc")
	p := h.open(ctx, t, "ada", node.url)
	defer h.close()
	h.writeInTurn(ctx, t, p, func(n int) bool { return n < 1 })
	g.set(func() { g.deaf = true })
	if _, err := h.edit(p, 0); err != nil { // is not acknowledged
		t.Fatal(err)
	}
	if err := node.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-node.done
	if code := node.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(node.logged(), "not everything ended within 2s") {
		t.Errorf("it exits with %d: %s", code, node.logged())
	}
	p.Do(func(r *client.Replica) {
		if r.Unsent() != 1 {
			t.Errorf("the client has %d unsent edits", r.Unsent())
		}
	})

	g.set(func() { g.deaf = false })
	node = startProcess(t, node.addr, env...)
	calm := calmly(t, env, node)
	if err := h.rest(ctx); err != nil {
		t.Fatal(err)
	}
	store := openPostgres(t, []string{"WEFT_DATABASE_URL=" + database})
	defer store.Close()
	h.check(ctx, t, store, node.url)
	h.close()
	calm(ctx)
}

// Clients that hear nothing and do not close are cut off in time, and the node has finished all the same.
func TestADrainEndsClientsThatDoNotListen(t *testing.T) {
	env := []string{"WEFT_DATA_DIR=" + t.TempDir(), "WEFT_JWT_SECRET=" + testSecret, "WEFT_DRAIN_TIMEOUT=3s"}
	node := startProcess(t, freeAddr(t), env...)
	h := newHistory("doc")
	h.writeInTurn(t.Context(), t, h.open(t.Context(), t, "ada", node.url), func(n int) bool { return n < 10 })
	defer h.close()
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
	h.check(t.Context(), t, openReader(t, env))
}

func TestASecondInterruptEndsAtOnce(t *testing.T) {
	env := []string{"WEFT_DATA_DIR=" + t.TempDir(), "WEFT_JWT_SECRET=" + testSecret, "WEFT_DRAIN_TIMEOUT=10m"}
	node := startProcess(t, freeAddr(t), env...)
	h := newHistory("doc")
	h.writeInTurn(t.Context(), t, h.open(t.Context(), t, "ada", node.url), func(n int) bool { return n < 10 })
	defer h.close()
	for range 50 { // their byes are spread over five minutes
		h.guest(t, t.Context(), node.url, make(chan farewell, 1))
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
	h.check(t.Context(), t, openReader(t, env))
}
