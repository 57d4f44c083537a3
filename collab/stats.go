package collab

import "sync/atomic"

// Stats counts what a Hub has done since it was made, and what it holds now.
type Stats struct {
	Documents, Sessions int64 // in memory, and connected, now

	Operations int64 // stored
	Batches    int64 // of operations, each one transaction
	Conflicts  int64 // batches that another node was faster than
	Failures   int64 // calls of the store that failed or came to no certain end
	Snapshots  int64 // written
	Cut        int64 // sessions that were ended with an error
	Warnings   int64 // in the log, what was given up among them
}

// counters are what a hub's loops count into.
type counters struct {
	sessions, operations, batches, conflicts, failures, snapshots, cut, warnings atomic.Int64
}

// Stats tells the counts.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	documents := len(h.docs)
	h.mu.Unlock()
	c := &h.counts
	return Stats{
		Documents: int64(documents), Sessions: c.sessions.Load(), Operations: c.operations.Load(), Batches: c.batches.Load(),
		Conflicts: c.conflicts.Load(), Failures: c.failures.Load(), Snapshots: c.snapshots.Load(), Cut: c.cut.Load(), Warnings: c.warnings.Load(),
	}
}

// count notes how a call of the store ended.
func (c *counters) count(e effect, ev event) {
	var err error
	switch ev := ev.(type) {
	case evStored:
		switch {
		case ev.err == nil:
			c.batches.Add(1)
			c.operations.Add(int64(len(e.(effAppend).ops)))
		case isVerdict(ev.err):
			c.conflicts.Add(1)
		}
		err = ev.err
	case evSnapshotted:
		if err = ev.err; err == nil {
			c.snapshots.Add(1)
		}
	case evLoaded:
		err = ev.err
	case evCreated:
		err = ev.err
	case evGreeted:
		err = ev.err
	case evRow:
		err = ev.err
	case evLog:
		err = ev.err
	}
	if err != nil && !isVerdict(err) {
		c.failures.Add(1)
	}
}
