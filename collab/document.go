package collab

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

// Document is a document as calls see it: Version is the content's.
type Document struct {
	Meta
	Content []byte // JSON, in normal form
}

type phase uint8

const (
	loading  phase = iota // effLoad or effCreate is under way
	absent                // the store has no such document
	open                  // content and log are known
	finished              // deleted or not to be served; nothing happens any more
)

type storeWork uint8

const (
	idle      storeWork = iota
	appending           // effAppend is under way
	syncing             // effLog toSync is under way
)

// document is the state of one document on one node. It changes in step alone,
// has no goroutine, clock or I/O, and so runs as well in a simulation as in a loop.
type document struct {
	rules rules
	id    string
	meta  Meta // Type, Created, Updated; Version is head
	phase phase
	why   protocol.Error // what it was finished with
	now   time.Time
	out   []effect

	content *ot.Document // at the head
	tail    tail         // the newest part of the log; tail.head() is the head
	clients map[string]ClientRow

	work     storeWork
	pending  []*pending // in their order; the first inFlight of them are being appended
	inFlight int
	after    *ot.Document // content with what is in flight
	tip      *ot.Document // content with all that is pending

	stalled      []event       // wait for the load
	certain      int           // so many of them came before that load was begun
	waiting      []event       // wait for the next sync
	judging      []event       // wait for the sync that is under way
	wantSync     bool          // the log is to be read when the store is free
	mustSync     bool          // and before anything is appended: an outcome is unknown
	behind       bool          // the last reading of the log did not reach its end
	syncedLast   bool          // the last work was a sync: an append has its turn
	appendFailed bool          // the last append had an unknown outcome
	failing      time.Time     // since when the store has not answered
	backoff      time.Duration // before the next sync
	busQueue     [][]byte      // messages that came while the store was at work
	old          []evConsider  // wait for parts of the log that are older than the tail
	readingOld   int           // so many are being read

	sessions map[string]*session
	list     []*session         // the same, in the order they came
	fed      int64              // the head at which feedAll was done
	door     []*session         // wait until others have read their welcomes
	unread   int                // bytes of welcomes, and of what else one session alone was sent, that are not written yet
	replaced []*session         // end when what is pending of them has come back
	remote   map[string]*peer   // sessions of other nodes
	latest   int64              // the newest "since" of all sessions, here and heard of
	tellAt   time.Time          // when owed presence is sent; zero: none owed
	announce time.Time          // when other nodes are told all of this node's sessions
	moved    map[string]bool    // local sessions whose presence other nodes do not have
	gone     map[string]bool    // local sessions that left since then
	buckets  map[string]*bucket // by user
	bucket   *bucket            // of all users

	snapshotted int64 // version of the newest snapshot
	snapshots   bool  // one is being written
	idleSince   time.Time
	unloading   bool
	draining    bool
	next        time.Time // when evTimer is wanted; zero: never
}

// rules are the limits and times that step goes by.
type rules struct {
	limits        protocol.Limits
	features      []string
	sessions      int           // of a document on a node
	welcomeBytes  int           // of welcomes that are not written yet, beyond which others wait; 0: no bound
	nodeUnread    *atomic.Int64 // bytes of welcomes of all documents of the node; nil: not counted
	nodeBytes     int64         // of these, beyond which a document has one welcome under way at a time
	opsPerS       int           // of a document on a node; 0: no bound
	batch         int           // operations of one append at most
	snapshotEvery int64         // versions
	idleAfter     time.Duration // without a session
	slowAfter     time.Duration // without progress
	storeAfter    time.Duration // without the store, before sessions are sent away
	tellEvery     time.Duration // between presence frames
	announceEvery time.Duration // between announcements to other nodes
	forgetAfter   time.Duration // without an announcement
	tailOps       int           // operations in memory; also of one reading of the log
	tailBytes     int           // of these operations, where there is more than one
	loadedOps     int           // operations in memory at first
	frameBytes    int           // of operations in one frame, where there is more than one; also of one reading of the log
	oldMost       int           // operations for which older parts of the log are read at a time
}

func newDocument(id string, r rules) *document {
	return &document{
		rules: r, id: id, clients: map[string]ClientRow{}, sessions: map[string]*session{}, remote: map[string]*peer{},
		moved: map[string]bool{}, gone: map[string]bool{}, buckets: map[string]*bucket{},
		out: []effect{effLoad{r.loadedOps}},
	}
}

// begin returns the effects that a new document starts with.
func (d *document) begin(now time.Time) []effect {
	d.now, d.idleSince, d.announce = now, now, now
	return d.take()
}

// step takes one event at time now and returns what is to be done, in order.
func (d *document) step(now time.Time, ev event) []effect {
	if now.After(d.now) {
		d.now = now
	}
	d.handle(ev)
	d.settle()
	return d.take()
}

func (d *document) take() []effect {
	out := d.out
	d.out = nil
	return out
}

func (d *document) do(e effect) { d.out = append(d.out, e) }

func (d *document) warn(msg string, err error) { d.do(effWarn{msg, err}) }

func (d *document) head() int64 { return d.tail.head() }

// handle dispatches an event. What needs the content waits until it is there.
func (d *document) handle(ev event) {
	switch ev := ev.(type) {
	case evLoaded:
		d.loaded(ev)
	case evCreated:
		d.created(ev)
	case evCredit:
		d.credit(ev)
	case evLeave:
		d.leave(ev.s)
	case evStored:
		d.stored(ev.err)
	case evSnapshotted:
		d.snapshotDone(ev)
	case evDrain:
		d.drain(ev.within)
	case evStay:
		d.unloading, d.idleSince = false, d.now
	case evTimer:
		d.timer()
	default:
		d.handleOpen(ev)
	}
}

func (d *document) handleOpen(ev event) {
	switch d.phase {
	case loading:
		d.stalled = append(d.stalled, ev)
		return
	case absent:
		d.handleAbsent(ev, false)
		return
	case finished:
		d.refuse(ev, d.why)
		return
	}
	switch ev := ev.(type) {
	case evJoin:
		d.join(ev)
	case evGreeted:
		d.greeted(ev)
	case evMessage:
		d.message(ev.s, ev.m)
	case evToken:
		d.token(ev)
	case evSubmit:
		d.submit(ev.call)
	case evRow:
		d.row(ev)
	case evRead:
		d.await(ev)
	case evConsider:
		d.consider(ev.call, ev.s)
	case evLog:
		d.logRead(ev)
	case evBus:
		d.bus(ev.msg)
	case evHead:
		d.headSeen(ev.head)
	}
}

// handleAbsent creates the document for the first session that may, and refuses all
// else, once it is certain that the store was asked after the event had come: another
// node may have created the document meanwhile.
func (d *document) handleAbsent(ev event, certain bool) {
	switch ev.(type) {
	case evJoin, evRead, evSubmit:
	default:
		return // it concerns nobody
	}
	join, ok := ev.(evJoin)
	creates := ok && join.s.role >= Write && (join.hello.V == nil || *join.hello.V == 0)
	switch {
	case !creates && !certain:
		d.phase, d.stalled, d.certain = loading, append(d.stalled, ev), 1
		d.do(effLoad{d.rules.loadedOps})
	case !ok:
		d.refuse(ev, protocol.Error{Code: protocol.NotFound, Msg: "no such document"})
	case join.hello.V != nil && *join.hello.V > 0:
		d.turnAway(join.s, protocol.Error{Code: protocol.BadVersion, Msg: "the store has no such document, and so not its version"})
	case join.s.role < Write:
		d.turnAway(join.s, protocol.Error{Code: protocol.Forbidden, Msg: "no such document, and the token may not create it"})
	default:
		typ := join.hello.Type
		if typ == "" {
			typ = ot.Rich
		}
		d.phase = loading
		d.stalled = append(d.stalled, ev)
		d.do(effCreate{typ})
	}
}

func (d *document) created(ev evCreated) {
	switch {
	case d.phase != loading:
	case ev.err == nil:
		content := ot.NewDocument(ev.meta.Type)
		d.opened(loaded{meta: ev.meta, content: content})
	case errors.Is(ev.err, ErrExists):
		d.certain = len(d.stalled)
		d.do(effLoad{d.rules.loadedOps})
	default:
		d.loaded(evLoaded{err: ev.err})
	}
}

func (d *document) loaded(ev evLoaded) {
	switch {
	case d.phase != loading: // it was finished meanwhile
	case ev.err == nil:
		d.opened(ev.at)
	case errors.Is(ev.err, ErrNotFound):
		d.phase = absent
		stalled, certain := d.stalled, d.certain
		d.stalled, d.certain = nil, 0
		for i, ev := range stalled {
			if d.phase == absent {
				d.handleAbsent(ev, i < certain)
			} else {
				d.handle(ev)
			}
		}
		d.certain = len(d.stalled)
	case errors.Is(ev.err, ErrDeleted):
		d.finish(protocol.Error{Code: protocol.Deleted, Msg: "the document was deleted"})
	default:
		// A document whose load failed is not served and never written.
		d.warn("the document could not be loaded", ev.err)
		d.finish(unavailable())
	}
}

func unavailable() protocol.Error {
	return protocol.Error{Code: protocol.Unavailable, Msg: "the store cannot be reached; nothing is acknowledged that is not stored", RetryMS: 2000}
}

func (d *document) opened(l loaded) {
	d.phase = open
	d.meta, d.content, d.snapshotted = l.meta, l.content, l.snapshot
	d.tip, d.fed = d.content, l.meta.Version
	d.tail = tail{most: d.rules.tailOps, mostBytes: d.rules.tailBytes, base: l.meta.Version - int64(len(l.tail))}
	for _, op := range l.tail {
		d.tail.push(op)
	}
	for i, op := range l.tail {
		d.clients[op.client] = ClientRow{User: op.user, Seq: op.seq, Version: d.tail.base + int64(i) + 1}
	}
	d.do(effPublish{whoMessage()})
	d.resume()
}

// resume hands on what waited for the load.
func (d *document) resume() {
	stalled := d.stalled
	d.stalled = nil
	for _, ev := range stalled {
		d.handle(ev)
	}
}

// refuse answers an event that cannot be served.
func (d *document) refuse(ev event, why protocol.Error) {
	switch ev := ev.(type) {
	case evJoin:
		d.turnAway(ev.s, why)
	case evGreeted:
		d.turnAway(ev.s, why)
	case evSubmit:
		d.answer(ev.call, 0, &why)
	case evRow:
		d.answer(ev.call, 0, &why)
	case evConsider:
		if ev.s == nil {
			d.answer(ev.call, 0, &why)
		}
	case evLog:
		if p := ev.purpose; p.kind == toRebase && p.s == nil {
			d.answer(p.call, 0, &why)
		}
	case evRead:
		reply := ev.reply
		d.do(effDo{func() { reply(Document{}, &why) }})
	}
}

// finish ends the document on this node: everyone is told why, nothing more is done.
func (d *document) finish(why protocol.Error) {
	if d.phase == finished {
		return
	}
	d.phase, d.why = finished, why
	for _, s := range d.everyone() {
		d.turnAway(s, why)
	}
	for _, p := range d.pending {
		for _, c := range p.calls {
			d.answer(c, 0, &why)
		}
	}
	events := slices.Concat(d.stalled, d.judging, d.waiting)
	for _, ev := range d.old {
		events = append(events, ev)
	}
	d.pending, d.stalled, d.judging, d.waiting, d.old, d.inFlight, d.busQueue = nil, nil, nil, nil, nil, 0, nil
	d.work, d.tellAt, d.door = idle, time.Time{}, nil
	for _, ev := range events {
		d.refuse(ev, why)
	}
	d.remote = map[string]*peer{}
}

// settle does what follows from any change: the next work for the store, and
// frames to whom they are due.
func (d *document) settle() {
	if d.phase == open {
		d.busLater()
		d.employ()
		d.feedAll()
		d.endReplaced()
		d.letIn()
		d.snapshot()
		if d.tail.overfull() {
			d.carryAll()
			d.tail.trim()
		}
	}
	d.retire()
}
