package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/client"
	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/persistence/postgres"
	"github.com/weft-collab/weft/persistence/postgres/postgrestest"
	"github.com/weft-collab/weft/persistence/sqlite"
	"github.com/weft-collab/weft/persistence/storetest"
)

// kept is a store that can be backed up and restored.
type kept struct {
	env      []string                                    // of its node
	backup   func(t *testing.T)                          // while clients write
	restore  func(t *testing.T) (env []string)           // after all was lost; the environment of the node afterwards
	open     func(t *testing.T, e []string) collab.Store // what was restored
	complete bool                                        // nothing is lost that was acknowledged
}

func keptEmbedded(t *testing.T) kept {
	dir, backup := t.TempDir(), "BACKUP="+filepath.Join(t.TempDir(), "weft.backup")
	env := []string{"WEFT_DATA_DIR=" + dir}
	return kept{
		env:    env,
		backup: func(t *testing.T) { recipe(t, "backup", env[0], backup) },
		restore: func(t *testing.T) []string {
			recipe(t, "restore", env[0], backup)
			return env
		},
		open: openReader,
	}
}

// openReader opens the embedded store of a node with this environment, which may run.
func openReader(t *testing.T, env []string) collab.Store {
	t.Helper()
	store, err := sqlite.OpenReader(t.Context(), strings.TrimPrefix(env[0], "WEFT_DATA_DIR="), discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func openPostgres(t *testing.T, env []string) collab.Store {
	store, err := postgres.Open(t.Context(), strings.TrimPrefix(env[0], "WEFT_DATABASE_URL="), false, discard())
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func keptDump(t *testing.T) kept {
	server := postgrestest.Start(t)
	database, backup := "WEFT_DATABASE_URL="+server.NewDatabase(t), "BACKUP="+filepath.Join(t.TempDir(), "weft.dump")
	return kept{
		env:    []string{database},
		backup: func(t *testing.T) { recipe(t, "dump", database, backup) },
		restore: func(t *testing.T) []string {
			restored := strings.Replace(server.URL(), "/postgres?", "/weft_restored?", 1)
			recipe(t, "dump-restore", "ADMIN_URL="+server.URL(), "RESTORED_URL="+restored, backup)
			return []string{"WEFT_DATABASE_URL=" + restored}
		},
		open: openPostgres,
	}
}

func keptArchive(t *testing.T) kept {
	server := postgrestest.Start(t)
	dir, err := os.MkdirTemp("", "weft-archive-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	archive, backup := filepath.Join(dir, "archive"), filepath.Join(dir, "backup")
	if err := os.Mkdir(archive, 0o777); err != nil {
		t.Fatal(err)
	}
	for folder, mode := range map[string]os.FileMode{dir: 0o755, archive: 0o777} { // PostgreSQL writes there as a user of its own
		if err := os.Chmod(folder, mode); err != nil {
			t.Fatal(err)
		}
	}
	url := server.NewDatabase(t)
	env := []string{"WEFT_DATABASE_URL=" + url, "ADMIN_URL=" + server.URL(), "ARCHIVE=" + archive, "BACKUP=" + backup}
	recipe(t, "archive", env...)
	server.Stop(false)
	server.Restart(t)
	return kept{
		env:    env[:1],
		backup: func(t *testing.T) { recipe(t, "base", env...) },
		restore: func(t *testing.T) []string {
			recipe(t, "archive-now", env...)
			server.Kill()
			data := filepath.Join(dir, "data")
			recipe(t, "base-restore", append(env, "PGDATA="+data)...)
			restored := postgrestest.Over(t, data)
			again := strings.Replace(url, server.Addr(), restored.Addr(), 1)
			recipe(t, "base-wait", "WEFT_DATABASE_URL="+again)
			return []string{"WEFT_DATABASE_URL=" + again}
		},
		open:     openPostgres,
		complete: true,
	}
}

// A backup is taken while clients write, everything is lost, and the backup is restored.
// It holds what was acknowledged before it began; clients that are ahead of it are told,
// and their unsent edits go into the document.
func TestABackupTakenWhileClientsWriteIsRestored(t *testing.T) {
	for name, keep := range map[string]func(*testing.T) kept{
		"embedded": keptEmbedded, "PostgreSQL, a dump": keptDump, "PostgreSQL, a base backup and its log": keptArchive,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			restoreUnder(t, keep(t))
		})
	}
}

func restoreUnder(t *testing.T, k kept) {
	const writers = 4
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	serve := []string{"WEFT_JWT_SECRET=" + testSecret, "WEFT_MAX_OPS_PER_SECOND=100000", "WEFT_IDLE_AFTER=500ms"}
	node := startProcess(t, freeAddr(t), append(serve, k.env...)...)
	h := newHistory("doc")
	gates := make([]*gate, writers)
	for i := range gates {
		gates[i] = newGate(t, node.addr)
		h.open(ctx, t, fmt.Sprint("writer", i), gates[i].url())
	}
	defer h.close()
	writing, stop := context.WithCancel(ctx)
	defer stop()
	var work sync.WaitGroup
	for _, p := range h.clients {
		work.Go(func() { h.writeInTurn(ctx, t, p, func(int) bool { return writing.Err() == nil }) })
	}
	until := func(n int) {
		for h.acknowledged() < n && ctx.Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
	}
	until(200)
	before := h.acknowledgements()
	k.backup(t)
	during := h.acknowledged()
	until(during + 100)
	stop()
	work.Wait()
	if t.Failed() {
		return
	}
	last := h.acknowledgements()
	for i, p := range h.clients {
		gates[i].set(func() { gates[i].shut = true })
		if _, err := h.edit(p, -1); err != nil { // offline
			t.Fatal(err)
		}
	}
	if k.complete {
		before = last
	}
	node.kill() // before PostgreSQL, so that nothing of it is left on the way
	env := k.restore(t)

	store := k.open(t, env)
	defer store.Close()
	meta := storetest.Whole(t, store, "doc")
	stored := operations(t, store, meta)
	for key, delta := range before {
		if stored[key] != delta {
			t.Errorf("%s was acknowledged, and the backup holds %q instead of %q", key, stored[key], delta)
		}
	}
	h.restored(ctx, t, store)
	t.Logf("%d acknowledged before the backup, %d after it, %d at the end; %d restored", len(before), during, len(last), meta.Version)
	if lost := int64(len(last)) - meta.Version; k.complete != (lost == 0) {
		t.Errorf("%d of %d operations are lost", lost, len(last))
	}

	// All but one come back at once; that one when the head has grown past it.
	node = startProcess(t, node.addr, append(env, serve...)...)
	calm := calmly(t, env, node)
	if !k.complete {
		aheadIsTold(t, ctx, node.url, int64(len(last)))
	}
	for i, p := range h.clients[1:] {
		gates[i+1].set(func() { gates[i+1].shut = false })
		if err := p.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	version := func(p *scribe) (v int64) {
		p.Do(func(r *client.Replica) { v = r.Version() })
		return v
	}
	old := version(h.clients[0])
	h.writeInTurn(ctx, t, h.clients[1], func(int) bool { return version(h.clients[1]) <= old+3 })
	gates[0].set(func() { gates[0].shut = false })
	if err := h.rest(ctx); err != nil {
		t.Fatal(err)
	}
	for i, p := range h.clients {
		if p.ahead == k.complete {
			t.Errorf("client %d is ahead of what was restored: %v", i, p.ahead)
		}
	}
	h.check(ctx, t, store, node.url)
	h.close()
	calm(ctx)
	node.end(t)
	store = k.open(t, env)
	defer store.Close()
	storetest.Whole(t, store, "doc")
	h.check(ctx, t, store)
}

// aheadIsTold says hello with a version that the store has not reached.
func aheadIsTold(t *testing.T, ctx context.Context, url string, v int64) {
	t.Helper()
	conn, err := client.Dial(ctx, url, "doc", token(t, "ahead", time.Hour, "doc=write"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	hello := protocol.Hello{Client: newClient(), V: &v, Last: &protocol.Origin{Client: newClient(), Seq: 1}}
	if err := conn.SendRaw(hello.Append(nil)); err != nil {
		t.Fatal(err)
	}
	var closed *client.Closed
	for err == nil {
		_, err = conn.Receive(30 * time.Second)
	}
	if !errors.As(err, &closed) || closed.Close != 4409 || closed.Code != protocol.BadVersion {
		t.Errorf("a client that is ahead is told %v", err)
	}
}

// operations are those of a document's log.
func operations(t *testing.T, store collab.Store, meta collab.Meta) map[string]string {
	t.Helper()
	ops, err := store.Log(t.Context(), meta.ID, 0, int(meta.Version), 0)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, op := range ops {
		all[fmt.Sprintf("%s/%d", op.Client, op.Seq)] = string(op.Delta)
	}
	return all
}
