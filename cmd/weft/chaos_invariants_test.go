package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/client"
	"github.com/weft-collab/weft/ot"
)

// check holds a history against the store, the nodes and the clients, at rest. The list is
// the same after every scenario:
//
//  1. versions run from 1 to the head without a hole
//  2. each (client, seq) is there once, in order
//  3. what came back to its author is in the log as it came back
//  4. the log, a snapshot and the log after it, every client and every node give one content
//  5. no client saw an operation that is not in the log
//  6. nodes hold no more than before: comesToRest and system.quiet see to that
//  7. every edit stands in the content exactly once
//  8. a client's own content is the server's, and none had to start over
//  9. what came back is what its author held: each copy that was sent, transformed over the log
func (h *history) check(ctx context.Context, t testing.TB, store collab.Store, nodes ...string) {
	t.Helper()
	log, deltas, content := h.log(ctx, t, store)
	if content == nil {
		return
	}
	truth := string(content.AppendJSON(nil))
	h.mu.Lock()
	for _, odd := range h.odd {
		t.Error(odd)
	}
	h.checkLog(t, log)
	h.checkMarks(t, content)
	h.checkSent(t, log, deltas)
	h.mu.Unlock()
	for i, p := range h.clients {
		p.Do(func(r *client.Replica) {
			if r.Version() != int64(len(log)) || string(r.View().AppendJSON(nil)) != truth {
				t.Errorf("client %d at version %d of %d holds another content than the store", i, r.Version(), len(log))
			}
			if r.Client() != p.id {
				t.Errorf("client %d had to start over", i)
			}
		})
	}
	for _, node := range nodes {
		h.checkNode(t, node, content.Text())
	}
	h.checkSnapshot(ctx, t, store, deltas, truth)
}

// log reads the whole log and replays it; a store that finds a hole says so.
func (h *history) log(ctx context.Context, t testing.TB, store collab.Store) (log []collab.Operation, deltas []ot.Delta, content *ot.Document) {
	t.Helper()
	meta, err := store.Meta(ctx, h.doc)
	if err != nil {
		t.Error(err)
		return nil, nil, nil
	}
	for int64(len(log)) < meta.Version {
		part, err := store.Log(ctx, h.doc, int64(len(log)), 5000, 0)
		if err != nil || len(part) == 0 {
			t.Errorf("the log after version %d of %d: %d operations, %v", len(log), meta.Version, len(part), err)
			return nil, nil, nil
		}
		log = append(log, part...)
	}
	content = ot.NewDocument(ot.Text)
	for i, op := range log {
		d, err := ot.Decode(op.Delta)
		if err == nil {
			err = content.Apply(d)
		}
		if err != nil {
			t.Errorf("version %d does not replay: %v", i+1, err)
			return nil, nil, nil
		}
		deltas = append(deltas, d)
	}
	return log, deltas, content
}

func (h *history) checkLog(t testing.TB, log []collab.Operation) {
	t.Helper()
	last := map[string]int64{}
	stored := map[string]string{}
	for i, op := range log {
		if last[op.Client]++; op.Seq != last[op.Client] {
			t.Errorf("version %d is %s/%d, after seq %d", i+1, op.Client, op.Seq, last[op.Client]-1)
		}
		key := fmt.Sprintf("%s/%d", op.Client, op.Seq)
		stored[key] = string(op.Delta)
		if seen, ok := h.seen[int64(i+1)]; ok && seen != key+" "+string(op.Delta) {
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
	if len(h.acks) != len(log) {
		t.Errorf("%d operations are stored, and %d came back to their authors", len(log), len(h.acks))
	}
}

func (h *history) checkMarks(t testing.TB, content *ot.Document) {
	t.Helper()
	times := map[rune]int{}
	for _, mark := range content.Text() {
		times[mark]++
	}
	bad := 0
	for i := range h.made {
		if n := times[rune(firstMark+i)]; n != 1 {
			if bad++; bad <= 5 {
				t.Errorf("edit %d stands in the content %d times", i, n)
			}
		}
	}
	if len(times) != len(h.made) {
		t.Errorf("%d edits were made, and %d different ones stand in the content", len(h.made), len(times))
	}
}

// checkSent: the log is never folded here, and transforming in turn gives one result from
// every version, so a copy that went out at any version leads to what was stored.
func (h *history) checkSent(t testing.TB, log []collab.Operation, deltas []ot.Delta) {
	t.Helper()
	bad := 0
	for i, op := range log {
		copies := h.sent[fmt.Sprintf("%s/%d", op.Client, op.Seq)]
		if len(copies) == 0 {
			t.Errorf("version %d was never sent", i+1)
		}
		for _, sent := range copies {
			held := sent.Delta
			for v := sent.V; v < int64(i); v++ {
				held = deltas[v].Transform(held, true)
			}
			if sent.V > int64(i) || string(held.AppendJSON(nil)) != string(op.Delta) {
				if bad++; bad <= 5 {
					t.Errorf("version %d is %s, and its author, who sent it at version %d, held %s", i+1, op.Delta, sent.V, held.AppendJSON(nil))
				}
			}
		}
	}
}

func (h *history) checkNode(t testing.TB, node, want string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, node+"/v1/docs/"+h.doc+"?format=text", nil)
	if err != nil {
		t.Error(err)
		return
	}
	request.Header.Set("Authorization", "Bearer "+token(t, "reader", time.Hour, "*=read"))
	response, err := once.Do(request)
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

// checkSnapshot: the newest snapshot below each of several versions, and the log after it,
// give the content.
func (h *history) checkSnapshot(ctx context.Context, t testing.TB, store collab.Store, deltas []ot.Delta, truth string) {
	t.Helper()
	for _, below := range []int{len(deltas), len(deltas) / 2} {
		snapshot, err := store.Snapshot(ctx, h.doc, int64(below))
		if err != nil {
			t.Error(err)
			return
		}
		if snapshot.Content == nil {
			continue
		}
		from, err := ot.Decode(snapshot.Content)
		if err != nil {
			t.Error(err)
			return
		}
		content, err := ot.DocumentOf(ot.Text, from)
		for _, d := range deltas[snapshot.Version:] {
			if err == nil {
				err = content.Apply(d)
			}
		}
		if err != nil || string(content.AppendJSON(nil)) != truth {
			t.Errorf("the snapshot of version %d and the log after it give another content (%v)", snapshot.Version, err)
		}
	}
}
