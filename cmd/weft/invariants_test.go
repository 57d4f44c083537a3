package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
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
//  2. each (client, seq) is there once, in order, and its client's row names the last
//  3. what came back to its author is in the log as it came back
//  4. the log, a snapshot and the log after it, every client and every node give one content
//  5. no client saw an operation that is not in the log
//  6. nodes hold no more than before: comesToRest, system.quiet and calmly see to that
//  7. every edit stands in the content exactly once
//  8. a client's own content is the server's, and none had to start over
//  9. what came back is what its author held: each copy that was sent, transformed over the log
//
// Two things may be known of a log besides. Where it is folded (history.folds), what the store
// no longer tells is what clients were shown, all of it, and gives the content that the store
// has at the fold; a client that was away may have got content in place of operations, which
// then is its acknowledgement (3), and of its copies those from before or those from after hold (9).
// Where it is a backup (history.restored), what clients saw beyond it stands there nowhere (7),
// and just those who were ahead of it started over (8).
func (h *history) check(ctx context.Context, t testing.TB, store collab.Store, nodes ...string) {
	t.Helper()
	meta, err := store.Meta(ctx, h.doc)
	if err != nil {
		t.Error(err)
		return
	}
	log, deltas, content := h.log(ctx, t, store, meta)
	if content == nil {
		return
	}
	truth := string(content.AppendJSON(nil))
	h.mu.Lock()
	for _, odd := range h.odd {
		t.Error(odd)
	}
	last := h.checkLog(t, log)
	h.checkMarks(t, content)
	h.checkSent(t, log, deltas)
	h.mu.Unlock()
	for client, want := range last {
		if row, err := store.Client(ctx, h.doc, client); err != nil || row != want {
			t.Errorf("the row of client %s is %+v (%v), and not %+v", client, row, err, want)
		}
	}
	for i, p := range h.clients {
		p.Do(func(r *client.Replica) {
			if r.Version() != int64(len(log)) || string(r.View().AppendJSON(nil)) != truth {
				t.Errorf("client %d at version %d of %d holds another content than the store", i, r.Version(), len(log))
			}
			if over := r.Client() != p.id; over != p.ahead {
				t.Errorf("client %d had to start over: %v; it was ahead of the store: %v", i, over, p.ahead)
			}
		})
	}
	for _, node := range nodes {
		h.checkNode(t, node, content.Text())
	}
	h.checkSnapshots(ctx, t, store, meta.Folded, deltas, truth)
}

// log reads the whole log and replays it; a store that finds a hole says so.
func (h *history) log(ctx context.Context, t testing.TB, store collab.Store, meta collab.Meta) (log []collab.Operation, deltas []ot.Delta, content *ot.Document) {
	t.Helper()
	if meta.Folded > 0 && !h.folds {
		t.Errorf("the log begins after version %d, and nobody folded it", meta.Folded)
		return nil, nil, nil
	}
	h.mu.Lock()
	for v := int64(1); v <= meta.Folded; v++ {
		s, ok := h.seen[v]
		if !ok {
			t.Errorf("version %d is folded away, and nobody was shown it", v)
		}
		log = append(log, collab.Operation{Client: s.client, Seq: s.seq, User: s.user, Delta: []byte(s.delta)})
	}
	h.mu.Unlock()
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

// checkLog returns what the row of each client must be. h.mu is held.
func (h *history) checkLog(t testing.TB, log []collab.Operation) map[string]collab.ClientRow {
	t.Helper()
	last := map[string]collab.ClientRow{}
	stored := map[string]string{}
	for i, op := range log {
		v := int64(i + 1)
		if before := last[op.Client].Seq; op.Seq != before+1 {
			t.Errorf("version %d is %s/%d, after seq %d", v, op.Client, op.Seq, before)
		}
		last[op.Client] = collab.ClientRow{User: op.User, Seq: op.Seq, Version: v}
		is := shown{op.Client, op.Seq, op.User, string(op.Delta)}
		stored[is.key()] = is.delta
		if seen, ok := h.seen[v]; ok && seen != is {
			t.Errorf("version %d was shown as %v and is %v", v, seen, is)
		}
		if _, ok := h.acks[is.key()]; !ok && !h.jumped(op.Client, v) {
			t.Errorf("version %d is %v, and never came back to its author", v, is)
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
	return last
}

// jumped tells whether a client got a version with the content in place of operations.
func (h *history) jumped(client string, version int64) bool {
	return slices.ContainsFunc(h.jumps, func(j jump) bool { return j.client == client && j.from < version && version <= j.to })
}

func (h *history) checkMarks(t testing.TB, content *ot.Document) {
	t.Helper()
	times := map[rune]int{}
	for _, mark := range content.Text() {
		times[mark]++
	}
	bad := 0
	for i := range h.made {
		mark, want := rune(firstMark+i), 1
		if h.lost[mark] {
			want = 0
		}
		if n := times[mark]; n != want {
			if bad++; bad <= 5 {
				t.Errorf("edit %d stands in the content %d times, and not %d", i, n, want)
			}
		}
	}
	if len(times) != len(h.made)-len(h.lost) {
		t.Errorf("%d edits were made, %d of them lost with the store, and %d different ones stand in the content", len(h.made), len(h.lost), len(times))
	}
}

// checkSent: transforming in turn gives one result from every version, so a copy that went
// out at any version leads to what was stored. Where its author got content meanwhile, which
// makes another edit of it, it is all copies from before that do so, or all from after.
func (h *history) checkSent(t testing.TB, log []collab.Operation, deltas []ot.Delta) {
	t.Helper()
	bad := 0
	for i, op := range log {
		copies := h.sent[fmt.Sprintf("%s/%d", op.Client, op.Seq)]
		if len(copies) == 0 {
			t.Errorf("version %d was never sent", i+1)
			continue
		}
		leads := map[int]bool{} // by the jumps before them: every copy so far
		for _, sent := range copies {
			held := sent.Delta
			for v := sent.V; v < int64(i); v++ {
				held = deltas[v].Transform(held, true)
			}
			good := sent.V <= int64(i) && string(held.AppendJSON(nil)) == string(op.Delta)
			if so, ok := leads[sent.jumps]; !ok || so {
				leads[sent.jumps] = good
			}
		}
		if !slices.Contains(slices.Collect(maps.Values(leads)), true) {
			if bad++; bad <= 5 {
				t.Errorf("version %d is %s, and its author held another: what it sent was %v", i+1, op.Delta, copies)
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

// checkSnapshots: the newest snapshot below each of several versions, and the log after it,
// give the content. Where the log begins there is one.
func (h *history) checkSnapshots(ctx context.Context, t testing.TB, store collab.Store, folded int64, deltas []ot.Delta, truth string) {
	t.Helper()
	for _, below := range []int64{int64(len(deltas)), int64(len(deltas) / 2), folded} {
		snapshot, err := store.Snapshot(ctx, h.doc, below)
		if err != nil {
			t.Error(err)
			return
		}
		if below == folded && folded > 0 && (snapshot.Content == nil || snapshot.Version != folded) {
			t.Errorf("the log begins after version %d, and the snapshot there is one of version %d", folded, snapshot.Version)
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
