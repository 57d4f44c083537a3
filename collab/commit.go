package collab

import (
	"errors"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
)

// maxTries bounds how often one operation is tried again after a lost compare and
// swap. Somebody wins each time, so that an operation which loses so often meets
// a store that contradicts itself.
const maxTries = 64

const (
	retryFirst = 100 * time.Millisecond
	retryMost  = 2 * time.Second
)

// employ gives the store its next work: the log is read where somebody waits for
// it, and what has gathered is appended. They take turns.
func (d *document) employ() {
	if d.work != idle {
		return
	}
	if d.mustSync || d.wantSync && (!d.syncedLast || len(d.pending) == 0) {
		d.readLog()
		return
	}
	d.flush()
	if d.work == idle && d.wantSync && d.phase == open {
		d.readLog()
	}
}

// flush begins the next append, of all that has gathered, in one transaction.
// Rights are judged here, when an operation enters the batch.
func (d *document) flush() {
	d.judge()
	n := min(len(d.pending), d.rules.batch)
	if n == 0 {
		return
	}
	d.after = d.tip
	if n < len(d.pending) {
		d.after = d.content.Clone()
		for _, p := range d.pending[:n] {
			if err := d.after.Apply(p.last); err != nil {
				d.broken("an operation that was taken does not apply", err)
				return
			}
		}
	}
	ops := make([]Operation, n)
	at := d.now.UTC().Truncate(time.Microsecond)
	for i, p := range d.pending[:n] {
		p.wire, p.at = p.last.AppendJSON(nil), at
		ops[i] = Operation{Client: p.client, Seq: p.seq, User: p.user, At: at, Delta: p.wire}
	}
	d.inFlight, d.work, d.syncedLast = n, appending, false
	d.refer()
	d.do(effAppend{d.head(), ops})
}

// refer gives what gathers its form against the batch that is now in flight.
func (d *document) refer() {
	for i, p := range d.pending[d.inFlight:] {
		p.behind = over(d.pending[:d.inFlight], p.atHead)
		p.last = over(d.pending[d.inFlight:d.inFlight+i], p.behind)
	}
}

// judge drops what may not enter a batch now: the token has expired or lost its role.
func (d *document) judge() {
	dropped := map[string]bool{} // clients
	kept := d.pending[:0:0]
	for _, p := range d.pending {
		var why protocol.Error
		switch {
		case p.tries > maxTries:
			d.warn("an operation was tried too often; its author is sent away with it", nil)
			why = unavailable()
		case !d.now.Before(p.expires):
			why = expired()
		case p.role < Write:
			why = protocol.Error{Code: protocol.Forbidden, Seq: p.seq, Msg: "the role no longer allows editing"}
		case dropped[p.client]:
			why = behindDropped(p)
		default:
			kept = append(kept, p)
			continue
		}
		d.drop(p, why)
		dropped[p.client] = true
	}
	if len(dropped) > 0 {
		d.pending = kept
		d.restack()
	}
}

// behindDropped refuses an operation whose client had one before it that was not taken: the store takes no gaps.
func behindDropped(p *pending) protocol.Error {
	return protocol.Error{Code: protocol.BadSeq, Seq: p.seq, Msg: "the client's operation before it was not taken"}
}

// drop tells the author of a pending operation that it is not taken after all.
func (d *document) drop(p *pending, e protocol.Error) {
	for _, c := range p.calls {
		d.answer(c, 0, &e)
	}
	if p.s == nil || p.s.ended {
		return
	}
	if e.Code.Close() != 0 {
		d.turnAway(p.s, e)
		return
	}
	d.tell(p.s, e)
}

// restack builds tip and the forms of what is pending anew from the head, when
// nothing is in flight. What no longer fits is dropped.
func (d *document) restack() {
	d.tip = d.content
	kept := make([]*pending, 0, len(d.pending))
	dropped := map[string]bool{} // clients
	for _, p := range d.pending {
		if dropped[p.client] {
			d.drop(p, behindDropped(p))
			continue
		}
		p.behind = p.atHead
		p.last = over(kept, p.atHead)
		if d.tip == d.content {
			d.tip = d.content.Clone()
		}
		if err := d.tip.Apply(p.last); err != nil {
			d.drop(p, protocol.Error{Code: protocol.BadOp, Seq: p.seq, Msg: err.Error()})
			dropped[p.client] = true
			continue
		}
		kept = append(kept, p)
	}
	d.pending = kept
}

// stored takes the result of an append. Success is certain; a lost compare and
// swap, or any other failure, is settled by the log alone.
func (d *document) stored(err error) {
	if d.phase == finished {
		return
	}
	d.work = idle
	switch {
	case err == nil:
		d.answered(true)
		d.committed()
		return
	case errors.Is(err, ErrDeleted), errors.Is(err, ErrNotFound):
		d.finish(protocol.Error{Code: protocol.Deleted, Msg: "the document was deleted"})
		return
	}
	d.inFlight, d.after = 0, nil
	d.restack()
	for _, p := range d.pending {
		p.tries++
	}
	d.mustSync = true
	if errors.Is(err, ErrConflict) {
		d.answered(true)
		return
	}
	d.appendFailed = true
	d.stumble("the outcome of an append is unknown; the log will tell", err)
}

// answered notes that the store works. Reading alone does not show that it can be written.
func (d *document) answered(written bool) {
	if written {
		d.appendFailed = false
	}
	if !d.appendFailed {
		d.failing, d.backoff = time.Time{}, 0
	}
}

// stumble notes that the store did not answer, and backs off. When it stays away
// for long, sessions are told, and come back when it is there: their edits are with them.
func (d *document) stumble(msg string, err error) {
	if d.failing.IsZero() {
		d.failing = d.now
		d.warn(msg, err)
	}
	if d.now.Sub(d.failing) >= d.rules.storeAfter {
		d.warn("the store has been away for too long; the document is let go", err)
		d.finish(unavailable())
		return
	}
	d.backoff = min(retryMost, max(retryFirst, 2*d.backoff))
}

// committed makes the batch that was in flight part of the document.
func (d *document) committed() {
	batch := d.pending[:d.inFlight]
	d.pending = append([]*pending(nil), d.pending[d.inFlight:]...)
	d.content, d.after, d.inFlight = d.after, nil, 0
	from := d.head()
	wires := make([][]byte, len(batch))
	for i, p := range batch {
		op := loggedOf(Operation{Client: p.client, Seq: p.seq, User: p.user, At: p.at, Delta: p.wire}, p.last)
		wires[i] = op.wire
		d.record(op)
		for _, c := range p.calls {
			d.answer(c, d.head(), nil)
		}
	}
	for _, p := range d.pending {
		p.atHead = p.behind
	}
	if len(d.pending) == 0 {
		d.tip = d.content
	}
	d.do(effPublish{protocol.AppendOps(nil, from, wires...)})
}

// record appends a committed operation to the tail; the content has it already.
func (d *document) record(op logged) {
	d.tail.push(op)
	d.clients[op.client] = ClientRow{User: op.user, Seq: op.seq, Version: d.head()}
	d.meta.Version = d.head()
	if d.meta.Updated = op.at; op.at.IsZero() { // the bus brought it
		d.meta.Updated = d.now.UTC().Truncate(time.Microsecond)
	}
}

// await has an event judged again when the document has caught up with the store as it is from now on.
func (d *document) await(ev event) {
	d.waiting = append(d.waiting, ev)
	d.sync()
}

// sync has the document catch up with the store when it is free.
func (d *document) sync() { d.wantSync = true }

func (d *document) readLog() {
	d.work, d.wantSync, d.syncedLast = syncing, false, true
	d.judging = append(d.judging, d.waiting...)
	d.waiting = nil
	after := d.backoff
	if d.behind || !d.mustSync { // what others write meanwhile must not be faster than this, and nothing has failed since the last
		after = 0
	}
	d.do(effLog{purpose: logPurpose{kind: toSync}, from: d.head(), limit: d.rules.tailOps, maxBytes: d.rules.frameBytes, after: after})
}

func (d *document) logRead(ev evLog) {
	if errors.Is(ev.err, ErrDeleted) || errors.Is(ev.err, ErrNotFound) {
		d.finish(protocol.Error{Code: protocol.Deleted, Msg: "the document was deleted"})
		d.refuse(ev, d.why)
		return
	}
	switch ev.purpose.kind {
	case toGreet:
		d.greetRead(ev.purpose.s, ev)
	case toFeed:
		d.feedRead(ev.purpose.s, ev)
	case toRebase:
		d.rebaseRead(ev)
	case toSync:
		d.synced(ev)
	}
}

func (d *document) synced(ev evLog) {
	d.work = idle
	ops, err := loggedAll(ev.ops)
	switch {
	case errors.Is(ev.err, ErrGone), err != nil:
		d.broken("the log does not go on from this node's version", errors.Join(ev.err, err))
		return
	case ev.err != nil:
		d.mustSync, d.behind = true, false
		d.stumble("the log could not be read; it is tried again", ev.err)
		return
	}
	d.answered(false)
	if !d.advance(ops) {
		return
	}
	if len(ops) >= d.rules.tailOps || bytesOf(ops) >= d.rules.frameBytes { // a bound was met: there may be more
		d.mustSync, d.behind = true, true
		return
	}
	d.mustSync, d.behind = false, false
	judging := d.judging
	d.judging = nil
	for _, ev := range judging {
		d.judged(ev)
	}
}

func bytesOf(ops []logged) int {
	n := 0
	for _, op := range ops {
		n += len(op.wire)
	}
	return n
}

// judged goes on with an event that waited for a sync.
func (d *document) judged(ev event) {
	switch ev := ev.(type) {
	case evRead:
		doc, reply := Document{Meta: d.meta, Content: d.content.AppendJSON(nil)}, ev.reply
		d.do(effDo{func() { reply(doc, nil) }})
	case evGreeted:
		ev.head.Version = min(ev.head.Version, d.head())
		d.greeted(ev)
	case evRow:
		d.row(ev)
	case evConsider:
		d.consider(ev.call, ev.s)
	}
}

// broken lets go of a document whose memory contradicts the store. It is loaded anew when somebody comes.
func (d *document) broken(msg string, err error) {
	d.warn(msg, err)
	d.finish(unavailable())
}

// advance applies operations of other nodes, or our own whose reply was lost,
// after the head. Pending operations among them are settled; the others follow.
func (d *document) advance(ops []logged) bool {
	if len(ops) == 0 {
		return true
	}
	content := d.content.Clone()
	for _, op := range ops {
		if err := content.Apply(op.delta); err != nil {
			d.broken("an operation of the log does not apply", err)
			return false
		}
	}
	d.content = content
	for _, op := range ops {
		d.record(op)
		d.follow(op)
	}
	d.restack()
	return true
}

// follow moves what is pending behind an operation that was committed before it.
func (d *document) follow(op logged) {
	kept := d.pending[:0:0]
	for _, p := range d.pending {
		switch {
		case p.client == op.client && p.user != op.user:
			d.drop(p, protocol.Error{Code: protocol.ClientTaken, Seq: p.seq, Msg: "the client id belongs to another user; draw another one"})
		case p.client == op.client && p.seq == op.seq:
			for _, c := range p.calls {
				d.answer(c, d.head(), nil)
			}
		default:
			p.atHead = op.delta.Transform(p.atHead, true)
			kept = append(kept, p)
		}
	}
	d.pending = kept
}

// snapshot writes one when enough operations have come since the last.
func (d *document) snapshot() {
	if !d.snapshots && d.head()-d.snapshotted >= d.rules.snapshotEvery {
		d.snapshots = true
		d.do(effSnapshot{d.head(), d.content.Clone()})
	}
}

func (d *document) snapshotDone(ev evSnapshotted) {
	d.snapshots = false
	if errors.Is(ev.err, ErrDeleted) {
		d.finish(protocol.Error{Code: protocol.Deleted, Msg: "the document was deleted"})
		return
	}
	if ev.err != nil {
		// A snapshot is a cache: the next one comes later.
		d.warn("a snapshot could not be written", ev.err)
	}
	d.snapshotted = max(d.snapshotted, ev.version)
}
