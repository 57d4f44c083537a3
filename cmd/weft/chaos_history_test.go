package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/client"
	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

// history is what the clients of one document did and saw, to be held against the store afterwards.
type history struct {
	doc     string
	mu      sync.Mutex
	made    []rune             // the mark of each edit
	acks    map[string]string  // "client/seq": what came back to its author
	seen    map[int64]string   // by version: the operation that clients were shown
	odd     []string           // what no client should have seen
	arrived map[rune]time.Time // when a mark was first seen by a client of another node; where it is watched
	clients []*client.Client   //
	written map[rune]time.Time // when an edit was made
}

func newHistory(doc string) *history {
	return &history{
		doc: doc, acks: map[string]string{}, seen: map[int64]string{}, arrived: map[rune]time.Time{}, written: map[rune]time.Time{},
	}
}

// firstMark is that of the first edit. Every mark is two UTF-16 units, and a document has nothing but marks.
const firstMark = 0x10000

// mark draws the code point that stands for one edit alone.
func (h *history) mark() rune {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := rune(firstMark + len(h.made))
	if m > 0x10FFFF {
		panic("a document has no marks left")
	}
	h.made = append(h.made, m)
	h.written[m] = time.Now()
	return m
}

// edit has a client write a mark of its own somewhere.
func (h *history) edit(c *client.Client, place int) error {
	return c.Edit(func(content *ot.Document) ot.Delta {
		at := 2 * (place % (content.Len()/2 + 1))
		return ot.New().Retain(at).Insert(string(h.mark()))
	})
}

// operation notes what a client is shown.
func (h *history) operation(version int64, op protocol.Committed, own bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	text := fmt.Sprintf("%s/%d %s", op.Client, op.Seq, op.Delta)
	if before, ok := h.seen[version]; ok && before != text {
		h.odd = append(h.odd, fmt.Sprintf("version %d was shown as %s and as %s", version, before, text))
	}
	h.seen[version] = text
	if own {
		key := fmt.Sprintf("%s/%d", op.Client, op.Seq)
		if _, twice := h.acks[key]; twice {
			h.odd = append(h.odd, key+" came back to its author twice")
		}
		h.acks[key] = string(op.Delta)
		return
	}
	if d, err := ot.Decode(op.Delta); err == nil {
		for _, part := range d {
			for _, m := range part.Insert {
				if _, known := h.arrived[m]; !known {
					h.arrived[m] = time.Now()
				}
			}
		}
	}
}

// open adds a client that uses servers in turn.
func (h *history) open(ctx context.Context, t *testing.T, user string, servers []string) *client.Client {
	c := client.Open(ctx, client.Config{
		Servers: servers, Doc: h.doc, Type: ot.Text, Backoff: 50 * time.Millisecond,
		Token: func(context.Context) (string, error) { return token(t, user, time.Hour, "*=write"), nil },
		OnOperation: func(r *client.Replica, op protocol.Committed, own bool) {
			h.operation(r.Version(), op, own)
		},
	})
	h.mu.Lock()
	h.clients = append(h.clients, c)
	h.mu.Unlock()
	return c
}

// rest waits until every edit is stored and every client has all of them.
func (h *history) rest(ctx context.Context) error {
	for i, c := range h.clients {
		if err := c.Flush(ctx); err != nil {
			return fmt.Errorf("client %d cannot store what it has: %w", i, err)
		}
	}
	var newest int64
	for _, c := range h.clients {
		c.Do(func(r *client.Replica) { newest = max(newest, r.Version()) })
	}
	for i, c := range h.clients {
		if err := c.Wait(ctx, func(r *client.Replica) bool { return r.Version() >= newest && r.Unsent() == 0 }); err != nil {
			return fmt.Errorf("client %d does not get to version %d: %w", i, newest, err)
		}
	}
	return nil
}

// check holds the fixed list of invariants against what happened. It is called at rest.
func (h *history) check(ctx context.Context, t *testing.T, store collab.Store, nodes []string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, odd := range h.odd {
		t.Error(odd)
	}
	log, content := h.log(ctx, t, store)
	if content == nil {
		return
	}
	truth := string(content.AppendJSON(nil))
	h.checkLog(t, log)
	h.checkMarks(t, content)
	for i, c := range h.clients {
		c.Do(func(r *client.Replica) {
			if r.Version() != int64(len(log)) || string(r.View().AppendJSON(nil)) != truth {
				t.Errorf("client %d at version %d of %d holds another content than the store", i, r.Version(), len(log))
			}
		})
	}
	for _, node := range nodes {
		h.checkNode(t, node, content.Text())
	}
	h.checkSnapshot(ctx, t, store, log, truth)
}

// log reads the whole log and replays it; versions are without a hole, or the store says so.
func (h *history) log(ctx context.Context, t *testing.T, store collab.Store) (log []collab.Operation, content *ot.Document) {
	content = ot.NewDocument(ot.Text)
	meta, err := store.Meta(ctx, h.doc)
	if err != nil {
		t.Error(err)
		return nil, nil
	}
	for int64(len(log)) < meta.Version {
		part, err := store.Log(ctx, h.doc, int64(len(log)), 5000, 0)
		if err != nil || len(part) == 0 {
			t.Errorf("the log after version %d of %d: %d operations, %v", len(log), meta.Version, len(part), err)
			return nil, nil
		}
		log = append(log, part...)
	}
	for i, op := range log {
		d, err := ot.Decode(op.Delta)
		if err == nil {
			err = content.Apply(d)
		}
		if err != nil {
			t.Errorf("version %d does not replay: %v", i+1, err)
			return nil, nil
		}
	}
	return log, content
}

// checkLog: each (client, seq) once and in order; what came back to an author is there as it
// came back; what any client was shown is there.
func (h *history) checkLog(t *testing.T, log []collab.Operation) {
	last := map[string]int64{}
	stored := map[string]string{}
	for i, op := range log {
		if last[op.Client]++; op.Seq != last[op.Client] {
			t.Errorf("version %d is %s/%d, after seq %d", i+1, op.Client, op.Seq, last[op.Client]-1)
		}
		key := fmt.Sprintf("%s/%d", op.Client, op.Seq)
		stored[key] = string(op.Delta)
		if seen, ok := h.seen[int64(i+1)]; ok && seen != fmt.Sprintf("%s %s", key, op.Delta) {
			t.Errorf("version %d was shown as %s and is %s %s", i+1, seen, key, op.Delta)
		}
	}
	for v := range h.seen {
		if v > int64(len(log)) {
			t.Errorf("version %d was shown, and the store has %d", v, len(log))
		}
	}
	for key, delta := range h.acks {
		if got, ok := stored[key]; !ok || got != delta {
			t.Errorf("%s came back as %s and is stored as %q", key, delta, got)
		}
	}
}

// checkMarks: every edit stands in the content exactly once.
func (h *history) checkMarks(t *testing.T, content *ot.Document) {
	times := map[rune]int{}
	for _, m := range content.Text() {
		times[m]++
	}
	bad := 0
	for _, m := range h.made {
		if times[m] != 1 {
			if bad++; bad <= 5 {
				t.Errorf("edit %d stands in the content %d times", m-firstMark, times[m])
			}
		}
	}
	if len(times) != len(h.made) {
		t.Errorf("%d edits were made, and %d different ones stand in the content", len(h.made), len(times))
	}
}

func (h *history) checkNode(t *testing.T, node, want string) {
	request, err := http.NewRequest(http.MethodGet, node+"/v1/docs/"+h.doc+"?format=text", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token(t, "reader", time.Hour, "*=read"))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Errorf("%s: %v", node, err)
		return
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || string(text) != want {
		t.Errorf("%s answers %s, and another content than the store's (%v)", node, response.Status, err)
	}
}

// checkSnapshot: the newest snapshot and the log after it give the content.
func (h *history) checkSnapshot(ctx context.Context, t *testing.T, store collab.Store, log []collab.Operation, truth string) {
	snapshot, err := store.Snapshot(ctx, h.doc, int64(len(log)))
	if err != nil {
		t.Error(err)
		return
	}
	if snapshot.Content == nil {
		return
	}
	delta, err := ot.Decode(snapshot.Content)
	if err != nil {
		t.Error(err)
		return
	}
	content, err := ot.DocumentOf(ot.Text, delta)
	for _, op := range log[snapshot.Version:] {
		if d, decoding := ot.Decode(op.Delta); err == nil && decoding == nil {
			err = content.Apply(d)
		}
	}
	if err != nil || string(content.AppendJSON(nil)) != truth {
		t.Errorf("the snapshot of version %d and the log after it give another content (%v)", snapshot.Version, err)
	}
}

// close ends the clients.
func (h *history) close() {
	for _, c := range h.clients {
		c.Close()
	}
}
