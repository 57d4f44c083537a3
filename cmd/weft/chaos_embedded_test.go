package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weft-collab/weft/persistence/sqlite"
)

// embedded is one node on the embedded store.
type embedded struct {
	t    *testing.T
	dir  string
	node *process
}

func (e *embedded) start() {
	addr := freeAddr(e.t)
	if e.node != nil {
		addr = e.node.addr
	}
	e.node = startProcess(e.t, addr, "WEFT_DATA_DIR="+e.dir, "WEFT_JWT_SECRET="+testSecret, "WEFT_MAX_OPS_PER_SECOND=100000", "WEFT_IDLE_AFTER=500ms")
}

// endure has twenty clients write through the node while faults happen, and checks the
// invariants, those of the store after the node has ended.
func (e *embedded) endure(rounds int, fault func(round int)) {
	t := e.t
	e.start()
	calm, err := measure(e.node, e.dir)
	if err != nil {
		t.Fatal(err)
	}
	h := newHistory("embedded")
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rounds)*time.Minute+5*time.Minute)
	defer cancel()
	writing, stop := context.WithCancel(ctx)
	defer stop()
	var work sync.WaitGroup
	for range chaosClients {
		h.open(ctx, t, "writer", e.node.url)
	}
	defer h.close()
	for i, p := range h.clients {
		work.Go(func() { h.write(ctx, writing, t, p, uint64(i), chaosEvery) })
	}
	if _, err := h.back(ctx, h.now()); err != nil {
		t.Fatal(err)
	}
	var back []time.Duration
	began := time.Now()
	for round := range rounds {
		fault(round)
		after, err := h.back(ctx, h.now())
		if err != nil {
			t.Fatalf("round %d: %v\n%s", round, err, e.node.logged())
		}
		if back = append(back, after.Round(time.Millisecond)); *chaosFull && (round+1)%10 == 0 {
			t.Logf("round %d of %d, %d operations acknowledged, %v", round+1, rounds, h.acknowledged(), time.Since(began).Round(time.Second))
		}
	}
	stop()
	work.Wait()
	if err := h.rest(ctx); err != nil {
		t.Fatal(err)
	}
	h.checkNode(t, e.node.url, h.clients[0].Content().Text())
	h.close()
	comesToRest(ctx, t, e.node, calm, e.dir)
	if err := e.node.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	<-e.node.done
	store, err := sqlite.Open(ctx, e.dir, false, discard())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	h.check(ctx, t, store)
	if t.Failed() {
		t.Log(e.node.logged())
	}
	t.Logf("%d rounds, %d edits in %d operations, all acknowledged, none lost, none twice; every client had edits stored again %v after the mend (half of the times; at most %v); %v in all",
		rounds, len(h.made), len(h.acks), median(back), slices.Max(back), time.Since(began).Round(time.Second))
}

func TestNothingIsLostWhenANodeOnTheEmbeddedStoreIsKilled(t *testing.T) {
	e := &embedded{t: t, dir: t.TempDir()}
	e.endure(times(5, 100), func(int) {
		e.node.kill()
		e.start()
	})
}

// A file that may not grow fails writes in their middle, as a disk does that is full. Where
// the test may mount one, a small disk is really filled.
func TestNothingIsLostWhenTheDiskIsFull(t *testing.T) {
	t.Run("files cannot grow", func(t *testing.T) {
		e := &embedded{t: t, dir: t.TempDir()}
		e.endure(times(1, 5), func(int) {
			e.limitFiles(8 << 10)
			e.failsToStore()
			e.limitFiles(unix.RLIM_INFINITY)
		})
	})
	t.Run("the disk is full", func(t *testing.T) {
		e := &embedded{t: t, dir: t.TempDir()}
		if err := unix.Mount("weft-test", e.dir, "tmpfs", 0, "size=24m"); err != nil {
			t.Skipf("no small disk can be mounted (%v); the case before this one stands in for it", err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(e.dir, 0); err != nil {
				t.Error(err)
			}
		})
		e.endure(times(1, 5), func(int) {
			filler := filepath.Join(e.dir, "filler")
			e.fill(filler)
			e.failsToStore()
			if err := os.Remove(filler); err != nil {
				t.Error(err)
			}
		})
	})
}

func (e *embedded) limitFiles(bytes uint64) {
	limit := unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(e.node.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		e.t.Error(err)
	}
}

// fill writes until the disk is full.
func (e *embedded) fill(name string) {
	f, err := os.Create(name)
	if err != nil {
		e.t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 64<<10); len(block) > 0; {
		if _, err := f.Write(block); errors.Is(err, unix.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			e.t.Fatal(err)
		}
	}
}

// failsToStore waits until the node has met the fault, and lets it last.
func (e *embedded) failsToStore() {
	failures := func() float64 {
		f, err := measure(e.node)
		if err != nil {
			e.t.Fatal(err)
		}
		return f["weft_store_failures_total"]
	}
	before := failures()
	meets(e.t, "the store does not fail", func() bool { return failures() > before })
	pause(time.Duration(times(1, 3)) * time.Second)
}
