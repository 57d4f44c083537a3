package collab

import (
	"bytes"
	"context"
	"slices"
	"time"
)

// check holds the fixed list of invariants against what happened.
func (w *world) check() {
	for _, part := range []func(){w.checkLog, w.checkShown, w.checkContents, w.checkMarks, w.checkSessions, w.checkNothingStays} {
		if w.over() {
			return
		}
		part()
	}
}

// checkLog: versions without a hole, each (client, seq) once and in order, in the store as it was committed.
func (w *world) checkLog() {
	d, r := w.store.docs[simDoc], w.referee
	if d == nil {
		w.fail("nothing was stored")
		return
	}
	if d.meta.Version != r.head() || int64(len(d.ops)) != r.head()-d.folded {
		w.fail("the store is at %d, with %d operations after %d; %d were committed", d.meta.Version, len(d.ops), d.folded, r.head())
		return
	}
	for i, op := range d.ops {
		if was := r.log[d.folded+int64(i)]; !same(was, op) {
			w.fail("version %d was %s/%d and is %s/%d", d.folded+int64(i)+1, was.Client, was.Seq, op.Client, op.Seq)
		}
	}
	last := map[string]int64{}
	for i, op := range r.log {
		if op.Seq != last[op.Client]+1 {
			w.fail("version %d is %s/%d, after seq %d", i+1, op.Client, op.Seq, last[op.Client])
		}
		last[op.Client] = op.Seq
	}
	for client, seq := range last {
		if row := d.clients[client]; row.Seq != seq || row.Version != r.seqs[client][seq-1] {
			w.fail("%s has row %+v, and seq %d in the log", client, row, seq)
		}
	}
}

// checkShown: what came back to its author, and what anybody saw, is in the log as it came.
func (w *world) checkShown() {
	r := w.referee
	for made, ack := range r.acks {
		if ack.v > r.head() {
			w.fail("%v was acknowledged at version %d, the log ends at %d", made, ack.v, r.head())
			continue
		}
		if op := r.log[ack.v-1]; op.Client != made.client || op.Seq != made.seq || string(op.Delta) != ack.delta {
			w.fail("%v was acknowledged at version %d as %s; there is %s/%d %s", made, ack.v, ack.delta, op.Client, op.Seq, op.Delta)
		}
	}
	for v, said := range r.said {
		if v > r.head() {
			w.fail("version %d was shown as %s, the log ends at %d", v, told(said), r.head())
			continue
		}
		if is := r.log[v-1]; !same(said, is) {
			w.fail("version %d was shown as %s and is %s", v, told(said), told(is))
		}
	}
}

// checkContents: the log, snapshot and tail, every replica and every node make the same.
func (w *world) checkContents() {
	d, r := w.store.docs[simDoc], w.referee
	truth := r.json(r.head())
	_, content, err := contentAt(context.Background(), w.store.memStore, d.meta, d.meta.Version)
	if err != nil {
		w.fail("the store does not rebuild the document: %v", err)
		return
	}
	if got := content.AppendJSON(nil); !bytes.Equal(got, truth) {
		w.fail("the store rebuilds %s, the log makes %s", got, truth)
	}
	for _, snap := range d.snaps {
		if !bytes.Equal(snap.Content, r.json(snap.Version)) {
			w.fail("the snapshot of version %d is %s, the log makes %s", snap.Version, snap.Content, r.json(snap.Version))
		}
	}
	for _, c := range w.clients {
		if got := c.content.AppendJSON(nil); !bytes.Equal(got, truth) {
			w.fail("%s holds %s, the log makes %s", c.name, got, truth)
		}
	}
	for _, n := range w.nodes {
		for _, l := range n.loops() {
			if l.doc.phase != open {
				continue
			}
			if got := l.doc.content.AppendJSON(nil); !bytes.Equal(got, r.json(l.doc.head())) {
				w.fail("%s holds %s at version %d, the log makes %s", n.name, got, l.doc.head(), r.json(l.doc.head()))
			}
		}
	}
}

// checkMarks: every edit stands in the content once, but for those whose fate is known to be another.
func (w *world) checkMarks() {
	times := map[rune]int{}
	for _, r := range w.referee.contents[w.referee.head()].Text() {
		times[r]++
	}
	for i := 1; i <= w.marks; i++ {
		m := firstMark + rune(i)
		f, ok := w.referee.fates[m]
		if !ok {
			f = fate{least: 1, most: 1}
		}
		if times[m] < f.least || times[m] > f.most {
			w.fail("edit %d (mark %x) stands in the content %d times, %s", i, m, times[m], f.why)
		}
		w.counts["edits"]++
		if f.least != f.most {
			w.counts["edits whose fate is open: "+f.why]++
			if times[m] != 1 {
				w.counts["edits that stand otherwise than once: "+f.why]++
			}
		}
	}
}

// checkSessions: when everything has arrived, nodes have the sessions that clients
// have, and everybody knows of everybody else.
func (w *world) checkSessions() {
	// Where clocks differ, an older session may look like the newer one: its client comes again.
	for away := true; away && !w.over(); {
		w.calm(40 * time.Second)
		away = false
		for _, c := range w.clients {
			if c.conn == nil {
				c.acts()
				away = true
			}
		}
	}
	if w.over() {
		return
	}
	all := map[string]bool{}
	for _, n := range w.nodes {
		if n.open == nil {
			continue
		}
		here := 0
		for _, c := range w.clients {
			if c.conn != nil && c.conn.node == n {
				here++
			}
		}
		if len(n.open.doc.sessions) != here || len(n.open.doc.list) != here || len(n.conns) != here {
			w.fail("%s has %d sessions for %d clients", n.name, len(n.open.doc.sessions), here)
		}
		for id := range n.open.doc.sessions {
			all[id] = true
		}
		if d := n.open.doc; len(d.pending)+len(d.waiting)+len(d.judging)+len(d.stalled)+len(d.busQueue)+len(d.replaced)+len(d.door)+len(d.old)+d.readingOld+d.unread > 0 || d.work != idle {
			w.fail("%s still has something to do at rest", n.name)
		}
	}
	for _, c := range w.clients {
		if c.conn == nil || !all[c.session] {
			w.fail("%s has no session at rest", c.name)
			continue
		}
		others := map[string]bool{}
		for id := range all {
			if id != c.session {
				others[id] = true
			}
		}
		if got, want := sortedKeys(c.peers), sortedKeys(others); !slices.Equal(got, want) {
			w.fail("%s (%s on %s) knows of %v, there are %v", c.name, c.session, c.conn.node.name, got, want)
		}
	}
}

// checkNothingStays: when everybody has left, nothing of the document does.
func (w *world) checkNothingStays() {
	for _, c := range w.clients {
		c.hangUp()
	}
	w.calm(20 * time.Second)
	for _, n := range w.nodes {
		if n.open != nil || len(n.ending) > 0 || len(n.conns) > 0 {
			w.fail("%s keeps the document in memory when everybody has left", n.name)
		}
		if bytes := n.unread.Load(); bytes != 0 {
			w.fail("%s counts %d bytes as unread when everybody has left", n.name, bytes)
		}
	}
	if len(w.reads) > 0 || w.bot.call != nil {
		w.fail("a call was never answered")
	}
	d := w.store.docs[simDoc]
	if n := len(d.snaps); n == 0 || d.snaps[n-1].Version != w.referee.head() && !slices.ContainsFunc(d.snaps, func(s Snapshot) bool { return s.Version == w.referee.head() }) {
		w.fail("no snapshot was written when the document left memory")
	}
}
