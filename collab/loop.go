package collab

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

// mailboxSize bounds the events that wait for a document. When it is full, whoever
// posts waits, and TCP is the back-pressure.
const mailboxSize = 128

// storeTimeout bounds one call of the store.
const storeTimeout = 10 * time.Second

// loop runs a document: it feeds events to step and performs the effects.
type loop struct {
	hub  *Hub
	doc  *document
	log  *slog.Logger
	mail chan event
	bell chan struct{} // rung when credits or bus have something
	done chan struct{}
	work sync.WaitGroup  // effects under way
	live context.Context // ends with the loop: what is under way then is for nobody
	stop context.CancelFunc

	mu      sync.Mutex
	credits []evCredit
	bus     [][]byte
	lost    bool    // messages of the bus did not fit
	signals []event // of the hub: a head, a drain, word that nobody holds the document

	refs   int  // guarded by hub.mu: sessions and calls that need the document
	vacant bool // guarded by hub.mu: step wanted to unload, and is told when nobody needs it
}

func newLoop(h *Hub, id string) *loop {
	live, stop := context.WithCancel(context.Background())
	return &loop{
		live: live, stop: stop,
		hub: h, doc: newDocument(id, h.rules), log: h.log.With("doc", id),
		mail: make(chan event, mailboxSize), bell: make(chan struct{}, 1), done: make(chan struct{}),
	}
}

// post hands an event to the document, and waits while its mailbox is full.
// It reports whether the document took it.
func (l *loop) post(ctx context.Context, ev event) bool {
	select {
	case l.mail <- ev:
		return true
	case <-l.done:
	case <-ctx.Done():
	}
	return false
}

func (l *loop) ring() {
	select {
	case l.bell <- struct{}{}:
	default:
	}
}

// credit notes written frames; it never blocks. Many become one event.
func (l *loop) credit(s *session, frames, bytes int) {
	l.mu.Lock()
	for i := range l.credits {
		if c := &l.credits[i]; c.s == s {
			c.frames += frames
			c.bytes += bytes
			l.mu.Unlock()
			return
		}
		if i > 32 {
			break
		}
	}
	l.credits = append(l.credits, evCredit{s, frames, bytes})
	l.mu.Unlock()
	l.ring()
}

// signal hands the document an event of the hub; it never blocks.
func (l *loop) signal(ev event) {
	l.mu.Lock()
	l.signals = append(l.signals, ev)
	l.mu.Unlock()
	l.ring()
}

func (l *loop) stay()                      { l.signal(evStay{}) }
func (l *loop) headSeen(h Head)            { l.signal(evHead{h}) }
func (l *loop) drain(within time.Duration) { l.signal(evDrain{within}) }

// message takes what the bus brings; it never blocks.
func (l *loop) message(msg []byte) {
	l.mu.Lock()
	if len(l.bus) < 4*busMost {
		l.bus = append(l.bus, msg)
	} else {
		l.lost = true
	}
	l.mu.Unlock()
	l.ring()
}

// run is the loop's goroutine. It ends when the document is unloaded.
func (l *loop) run() {
	defer close(l.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	over := l.perform(l.doc.begin(time.Now()))
	for !over {
		var wake <-chan time.Time
		if next := l.doc.next; !next.IsZero() {
			timer.Reset(max(0, time.Until(next)))
			wake = timer.C
		}
		select {
		case ev := <-l.mail:
			over = l.perform(l.doc.step(time.Now(), ev))
		case <-l.bell:
			over = l.answerBell()
		case <-wake:
			over = l.perform(l.doc.step(time.Now(), evTimer{}))
		}
	}
	l.stop()
	l.settleEffects()
}

// settleEffects waits for what is still under way, and lets its results go.
func (l *loop) settleEffects() {
	ended := make(chan struct{})
	go func() { l.work.Wait(); close(ended) }()
	for {
		select {
		case <-l.mail:
		case <-ended:
			return
		}
	}
}

func (l *loop) answerBell() bool {
	l.mu.Lock()
	credits, bus, events, lost := l.credits, l.bus, l.signals, l.lost
	l.credits, l.bus, l.signals, l.lost = nil, nil, nil, false
	l.mu.Unlock()
	for _, c := range credits {
		events = append(events, c)
	}
	for _, msg := range bus {
		events = append(events, evBus{msg})
	}
	if lost {
		l.hub.checkSoon()
	}
	for _, ev := range events {
		if l.perform(l.doc.step(time.Now(), ev)) {
			return true
		}
	}
	return false
}

// perform does effects in order and reports whether the loop is over.
func (l *loop) perform(effects []effect) (over bool) {
	for _, e := range effects {
		switch e := e.(type) {
		case effSend:
			e.s.conn.Send(e.frame)
		case effClose:
			if e.last != nil && e.code != protocol.Draining.Close() {
				l.hub.counts.cut.Add(1)
			}
			e.s.conn.Close(e.last, e.code, e.reason)
		case effPublish:
			l.hub.bus.Publish(l.doc.id, e.msg)
		case effDo:
			e.do()
		case effWarn:
			l.hub.counts.warnings.Add(1)
			l.log.Warn(e.msg, "version", l.doc.head(), "err", e.err)
		case effUnload:
			over = l.hub.unload(l, l.doc.phase == finished)
		default:
			l.start(e)
		}
	}
	return over
}

// start performs an effect that asks the store, in a goroutine that the loop waits for.
func (l *loop) start(e effect) {
	l.work.Add(1)
	go func() {
		defer l.work.Done()
		if e, ok := e.(effLog); ok && e.after > 0 {
			select {
			case <-time.After(e.after):
			case <-l.live.Done():
				return
			}
		}
		ctx, cancel := context.WithTimeout(l.live, storeTimeout)
		defer cancel()
		ev := ask(ctx, l.hub.store, l.doc.id, e)
		l.hub.counts.count(e, ev)
		if ev, ok := ev.(evLoaded); ok && ev.err == nil {
			l.log.Info("document opened", "version", ev.at.meta.Version, "snapshot", ev.at.snapshot)
		}
		l.mail <- ev
	}()
}

// ask performs an effect on the store and returns the event that answers it.
func ask(ctx context.Context, store Store, id string, e effect) event {
	switch e := e.(type) {
	case effLoad:
		at, err := load(ctx, store, id, e.tail)
		return evLoaded{at, err}
	case effCreate:
		meta, err := store.Create(ctx, id, e.typ, nil)
		return evCreated{meta, err}
	case effGreet:
		row, err := store.Client(ctx, id, e.s.client)
		if err != nil {
			return evGreeted{s: e.s, err: err}
		}
		head, err := headOf(ctx, store, id)
		return evGreeted{e.s, row, head, err}
	case effRow:
		return askRow(ctx, store, id, e.call)
	case effLog:
		ops, err := store.Log(ctx, id, e.from, e.limit, e.maxBytes)
		return evLog{e.purpose, e.from, ops, err}
	case effAppend:
		return evStored{store.Append(ctx, id, e.head, e.ops)}
	case effSnapshot:
		content := e.content.AppendJSON(nil)
		e.content.Release()
		err := store.PutSnapshot(ctx, id, Snapshot{Version: e.version, Content: content})
		return evSnapshotted{e.version, err}
	}
	panic("collab: unknown effect")
}

func askRow(ctx context.Context, store Store, id string, c *submission) event {
	row, err := store.Client(ctx, id, c.client)
	if err != nil {
		return evRow{call: c, err: err}
	}
	made := int64(0)
	if row.User == c.user && c.op.Seq >= 1 && c.op.Seq < row.Seq {
		made, err = store.Operation(ctx, id, c.client, c.op.Seq)
		if errors.Is(err, ErrNotFound) {
			made, err = 0, nil
		}
	}
	return evRow{c, row, made, err}
}

func headOf(ctx context.Context, store Store, id string) (Head, error) {
	heads, err := store.Heads(ctx, []string{id})
	if err != nil {
		return Head{}, err
	}
	head, ok := heads[id]
	switch {
	case !ok:
		return Head{}, ErrNotFound
	case head.Deleted:
		return Head{}, ErrDeleted
	}
	return head, nil
}

// load rebuilds a document from the newest snapshot and the log after it, and brings
// the last operations of the log, unless they were folded away.
func load(ctx context.Context, store Store, id string, last int) (loaded, error) {
	meta, err := store.Meta(ctx, id)
	if err != nil {
		return loaded{}, err
	}
	at, content, err := contentAt(ctx, store, meta, meta.Version)
	if err != nil {
		return loaded{}, err
	}
	out := loaded{meta: meta, snapshot: at, content: content}
	from := max(meta.Folded, meta.Version-int64(last))
	ops, err := store.Log(ctx, id, from, int(meta.Version-from), 0)
	if errors.Is(err, ErrGone) { // folded meanwhile
		return out, nil
	}
	if err != nil {
		return loaded{}, err
	}
	if len(ops) > int(meta.Version-from) {
		ops = ops[:meta.Version-from]
	}
	out.tail, err = loggedAll(ops)
	return out, err
}

// contentAt rebuilds the content at version v, and says from which snapshot. It is
// ErrGone where v was folded and has no name.
func contentAt(ctx context.Context, store Store, meta Meta, v int64) (from int64, content *ot.Document, err error) {
	snap, err := store.Snapshot(ctx, meta.ID, v)
	for err == nil {
		content, err = contentFrom(ctx, store, meta, snap, v)
		if !errors.Is(err, ErrGone) {
			break
		}
		// Where the log was folded meanwhile there is a newer snapshot.
		before := snap.Version
		newer, again := store.Snapshot(ctx, meta.ID, v)
		if again != nil || newer.Version <= before {
			break
		}
		snap, err = newer, nil
	}
	return snap.Version, content, err
}

// contentFrom rebuilds the content at version v from a snapshot.
func contentFrom(ctx context.Context, store Store, meta Meta, snap Snapshot, v int64) (*ot.Document, error) {
	content := ot.NewDocument(meta.Type)
	if snap.Content != nil {
		delta, err := ot.DecodeCommitted(snap.Content)
		if err != nil {
			return nil, err
		}
		if content, err = ot.DocumentOf(meta.Type, delta); err != nil {
			return nil, err
		}
	}
	for at := snap.Version; at < v; {
		ops, err := store.Log(ctx, meta.ID, at, int(min(v-at, tailOps)), rebuildBytes)
		if err != nil {
			return nil, err
		}
		if len(ops) == 0 {
			return nil, errors.New("the log ends before the version that the store names")
		}
		for _, op := range ops {
			delta, err := ot.DecodeCommitted(op.Delta)
			if err == nil {
				err = content.Apply(delta)
			}
			if err != nil {
				return nil, err
			}
		}
		at += int64(len(ops))
	}
	return content, nil
}
