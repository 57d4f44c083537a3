package collab

import (
	"slices"
	"strings"
	"time"
)

// What is held against a node while it works, and not at the end alone.

// checkFed: whoever reads gets all that the node has, at once, and no more.
func (l *simLoop) checkFed() {
	d := l.doc
	if l.over || d.phase != open {
		return
	}
	for _, s := range d.list {
		if s.joined && (s.v > d.head() || s.v < d.head() && s.window() && !s.reading) {
			l.n.w.fail("%s has sent a session everything up to %d, its window is open, and the head is %d", l.n.name, s.v, d.head())
		}
	}
}

// checkTimer: the document asks to be woken for whatever comes next.
func (l *simLoop) checkTimer() {
	d := l.doc
	if l.over || d.phase != open {
		return
	}
	by := func(t time.Time, what string) {
		if !t.IsZero() && (d.next.IsZero() || d.next.After(t)) {
			l.n.w.fail("%s is to be woken at %v, and %s at %v", l.n.name, d.next, what, t)
		}
	}
	by(d.tellAt, "owes presence")
	if len(d.door) > 0 {
		by(d.now.Add(knockEvery), "looks at those who wait for their welcome")
	}
	for _, s := range d.list {
		by(s.ident.Expires, "a token runs out")
		by(s.byeAt, "a session is sent away")
		if !s.shut.IsZero() {
			by(s.shut.Add(d.rules.slowAfter), "a reader is too slow")
		}
	}
}

// checkTokens: a connection ends with its token, by the node's clock.
func (n *simNode) checkTokens() {
	for _, l := range n.loops() {
		for _, r := range l.rights {
			if r.s == nil || !r.s.joined || l.doc.phase != open {
				continue
			}
			if c := r.s.conn.(*simConn); !c.closed && !c.gone && n.now().After(r.expires) {
				n.w.fail("%s: the session of %s goes on, its token ran out at %v, and it is %v", n.name, c.client.name, r.expires, n.now())
			}
		}
	}
}

// warned counts what a node warns of; what only a broken engine says is a failure.
func (n *simNode) warned(e effWarn) {
	n.w.count("warned: " + e.msg)
	if strings.Contains(e.msg, "does not apply") || strings.Contains(e.msg, "not to be read") || strings.Contains(e.msg, "tried too often") || e.err == nil {
		n.w.fail("%s: %s: %v", n.name, e.msg, e.err)
	}
}

// judge holds a batch against what tokens allow at the moment at which it is made.
func (l *simLoop) judge(a effAppend) {
	for _, op := range a.ops {
		allowed := slices.ContainsFunc(l.rights, func(r *simRight) bool {
			return r.client == op.Client && r.role >= Write && l.n.now().Before(r.expires)
		})
		if !allowed {
			l.n.w.fail("%s: %s/%d enters a batch without a token that allows it", l.n.name, op.Client, op.Seq)
		}
	}
}
