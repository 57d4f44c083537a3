package collab

import "time"

// timer does what is due.
func (d *document) timer() {
	for _, s := range d.everyone() {
		switch {
		case !d.now.Before(s.ident.Expires):
			d.turnAway(s, expired())
		case !s.shut.IsZero() && d.now.Sub(s.shut) >= d.rules.slowAfter:
			d.turnAway(s, slow())
		case !s.byeAt.IsZero() && !d.now.Before(s.byeAt):
			d.bye(s)
		}
	}
	if d.phase == open {
		d.housekeep()
	}
	d.next = d.deadline()
}

func (d *document) housekeep() {
	if !d.now.Before(d.announce) {
		d.announceAll()
		d.announce = d.now.Add(d.rules.announceEvery)
		for user, b := range d.buckets {
			if d.now.Sub(b.at) > 10*time.Second {
				delete(d.buckets, user)
			}
		}
	}
	d.forgetSilent()
}

// wake asks for evTimer at t or before. An early one does no harm.
func (d *document) wake(t time.Time) {
	if !t.IsZero() && (d.next.IsZero() || t.Before(d.next)) {
		d.next = t
	}
}

// deadline is when the next timer is wanted; zero for never.
func (d *document) deadline() time.Time {
	var next time.Time
	want := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, s := range d.sessions {
		want(s.ident.Expires)
		want(s.byeAt)
		if !s.shut.IsZero() {
			want(s.shut.Add(d.rules.slowAfter))
		}
	}
	want(d.tellAt)
	if len(d.sessions) > 0 && d.phase == open {
		want(d.announce)
	}
	for _, p := range d.remote {
		want(p.heard.Add(d.rules.forgetAfter))
	}
	return next
}

func (d *document) idleAfter() time.Duration {
	if d.draining || d.phase != open {
		return 0
	}
	return d.rules.idleAfter
}

// quiet reports whether nobody needs the document now.
func (d *document) quiet() bool {
	return len(d.sessions) == 0 && len(d.pending) == 0 && len(d.waiting) == 0 && len(d.judging) == 0 && d.work == idle && !d.snapshots && d.phase != loading
}

// retire lets an idle document leave memory, its snapshot first.
func (d *document) retire() {
	if !d.quiet() || d.unloading {
		return
	}
	if at := d.idleSince.Add(d.idleAfter()); d.now.Before(at) {
		d.wake(at)
		return
	}
	if d.phase == open && d.head() > d.snapshotted {
		d.snapshots = true
		d.do(effSnapshot{d.head(), d.content.Clone()})
		return
	}
	if d.phase == open {
		d.tellNodes()
	}
	d.unloading = true
	d.do(effUnload{})
}
