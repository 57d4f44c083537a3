package collab

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

// Config is what a Hub is made of. Store and Verifier are required.
type Config struct {
	Store    Store
	Bus      Bus // nil: this node is alone
	Verifier Verifier
	Logger   *slog.Logger    // nil: slog.Default
	Limits   protocol.Limits // zero fields take those of DefaultLimits

	SessionsPerDocument int           // on this node; 0: 1000
	OpsPerDocument      int           // operations a second of all users of a document, on this node; 0: 50 times those of a user
	SnapshotEvery       int64         // versions; 0: 256
	PresenceEvery       time.Duration // between two presence frames of a session, what comes faster is merged; 0: 40 ms
	IdleAfter           time.Duration // until a document that nobody uses leaves memory; 0: 30 s
	SlowAfter           time.Duration // until a session that makes no progress is cut off; 0: 10 s
	StoreAfter          time.Duration // until sessions are sent away when the store is gone; 0: 2 min
	CheckEvery          time.Duration // between comparisons with the store's heads; 0: 3 s
	UnreadBytes         int           // of welcomes on this node that are not read yet, beyond which those who come wait; 0: 256 MiB
	Keep                time.Duration // how long single operations stay before they are folded; 0: for ever
}

// DefaultLimits suit a team.
var DefaultLimits = protocol.Limits{Message: 1 << 20, Document: 4 << 20, Attributes: 4 << 10, OpsPerS: 100, Presence: 2 << 10, Components: ot.MaxComponents}

// DefaultUnreadBytes bounds welcomes that are not read yet, of which one document has a quarter; HTTP calls and long messages
// that are still coming have as much each.
const DefaultUnreadBytes = 256 << 20

// Hub serves documents on one node. Its methods may be called from any goroutine.
type Hub struct {
	store    Store
	bus      Bus
	verifier Verifier
	log      *slog.Logger
	rules    rules
	limits   protocol.Limits
	every    time.Duration
	keep     time.Duration
	soon     chan struct{}
	away     chan bool
	counts   counters

	mu       sync.Mutex
	docs     map[string]*loop
	draining bool
	loops    sync.WaitGroup
}

// NewHub makes a hub. Run must be called for it to hear other nodes.
func NewHub(c Config) *Hub {
	orDefault := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	l := c.Limits
	orDefault(&l.Message, DefaultLimits.Message)
	orDefault(&l.Document, DefaultLimits.Document)
	orDefault(&l.Attributes, DefaultLimits.Attributes)
	orDefault(&l.OpsPerS, DefaultLimits.OpsPerS)
	orDefault(&l.Presence, DefaultLimits.Presence)
	orDefault(&l.Components, DefaultLimits.Components)
	orDefault(&c.SessionsPerDocument, 1000)
	orDefault(&c.UnreadBytes, DefaultUnreadBytes)
	orDefault(&c.OpsPerDocument, 50*l.OpsPerS)
	if c.Bus == nil {
		c.Bus = NewLocalBus().Node("alone")
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.SnapshotEvery == 0 {
		c.SnapshotEvery = 256
	}
	return &Hub{
		store: c.Store, bus: c.Bus, verifier: c.Verifier, log: c.Logger, limits: l,
		every: orTime(c.CheckEvery, 3*time.Second), keep: c.Keep, soon: make(chan struct{}, 1), away: make(chan bool, 1),
		docs: map[string]*loop{},
		rules: rules{
			limits: l, features: []string{}, sessions: c.SessionsPerDocument, batch: 1000, snapshotEvery: c.SnapshotEvery,
			welcomeBytes: c.UnreadBytes / 4, nodeBytes: int64(c.UnreadBytes), nodeUnread: new(atomic.Int64),
			idleAfter: orTime(c.IdleAfter, 30*time.Second), slowAfter: orTime(c.SlowAfter, 10*time.Second),
			storeAfter: orTime(c.StoreAfter, 2*time.Minute), tellEvery: orTime(c.PresenceEvery, 40*time.Millisecond), opsPerS: c.OpsPerDocument,
			announceEvery: 10 * time.Second, forgetAfter: 25 * time.Second, tailOps: tailOps, tailBytes: tailBytes, loadedOps: loadedOps,
			frameBytes: frameBytes, oldMost: oldMost,
		},
	}
}

func orTime(t, def time.Duration) time.Duration {
	if t == 0 {
		return def
	}
	return t
}

// Limits are those that the hub goes by.
func (h *Hub) Limits() protocol.Limits { return h.limits }

// Run serves the bus and compares heads with the store until ctx ends; then it
// ends every document and returns when nothing of the hub is left running.
func (h *Hub) Run(ctx context.Context) error {
	var work sync.WaitGroup
	defer work.Wait()
	busCtx, stop := context.WithCancel(context.Background())
	defer stop()
	var busErr error
	failed := make(chan struct{})
	work.Go(func() {
		if busErr = h.bus.Run(busCtx, receiver{h}); busErr != nil && busCtx.Err() == nil {
			close(failed)
		}
	})
	work.Go(func() { h.checkHeads(busCtx) })
	if h.keep > 0 {
		work.Go(func() { h.retain(busCtx) })
	}
	select {
	case <-ctx.Done():
	case <-failed:
		return busErr
	}
	end, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	return h.drain(end, 0)
}

// receiver takes what the bus brings.
type receiver struct{ h *Hub }

func (r receiver) Message(doc string, msg []byte) {
	r.h.mu.Lock()
	l := r.h.docs[doc]
	r.h.mu.Unlock()
	if l != nil {
		l.message(msg)
	}
}

func (r receiver) Gap() {
	r.h.link(false)
	r.h.checkSoon()
	r.h.mu.Lock()
	loops := slices.Collect(maps.Values(r.h.docs))
	r.h.mu.Unlock()
	for _, l := range loops {
		l.message(backMessage())
	}
}

func (r receiver) Down() { r.h.link(true) }

func (h *Hub) link(away bool) {
	select {
	case <-h.away:
	default:
	}
	h.away <- away
}

func (h *Hub) checkSoon() {
	select {
	case h.soon <- struct{}{}:
	default:
	}
}

// checkHeads compares the open documents with the store: always now and then, since
// the last message before a silence may be lost too; more often while the bus is
// away, or has not come yet; at once when it is there.
func (h *Hub) checkHeads(ctx context.Context) {
	hasty := min(h.every, time.Second)
	every := hasty
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case away := <-h.away:
			if every = h.every; away {
				every = hasty
			}
			timer.Reset(every)
			continue
		case <-h.soon:
		case <-timer.C:
		}
		h.compareHeads(ctx)
		timer.Reset(every)
	}
}

func (h *Hub) compareHeads(ctx context.Context) {
	h.mu.Lock()
	loops := make(map[string]*loop, len(h.docs))
	ids := make([]string, 0, len(h.docs))
	for id, l := range h.docs {
		loops[id] = l
		ids = append(ids, id)
	}
	h.mu.Unlock()
	for len(ids) > 0 {
		n := min(len(ids), 1000)
		ask, cancel := context.WithTimeout(ctx, storeTimeout)
		heads, err := h.store.Heads(ask, ids[:n])
		cancel()
		if err != nil {
			if ctx.Err() == nil {
				h.log.Warn("the heads of open documents could not be compared with the store", "err", err)
			}
			return
		}
		for id, head := range heads {
			loops[id].headSeen(head)
		}
		ids = ids[n:]
	}
}

// acquire returns the loop of a document, which stays while it is held. It is
// nil where the node is draining.
func (h *Hub) acquire(id string) *loop {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.docs[id]
	if l == nil {
		if h.draining {
			return nil
		}
		l = newLoop(h, id)
		h.docs[id] = l
		h.bus.Subscribe(id)
		h.loops.Go(l.run)
	}
	l.refs++
	return l
}

func (h *Hub) release(l *loop) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l.refs--; l.refs == 0 && l.vacant {
		l.vacant = false
		l.stay()
	}
}

// unload lets go of a document unless somebody holds it; then it is asked again later.
// One that is finished is not found any more all the same: whoever comes has it loaded
// anew, however long those whom it turned away take to leave.
func (h *Hub) unload(l *loop, finished bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	held := l.refs > 0
	l.vacant = held
	if (finished || !held) && h.docs[l.doc.id] == l {
		delete(h.docs, l.doc.id)
		h.bus.Unsubscribe(l.doc.id)
	}
	return !held
}

// Ready reports whether this node can take connections now.
func (h *Hub) Ready(ctx context.Context) error {
	h.mu.Lock()
	draining := h.draining
	h.mu.Unlock()
	if draining {
		return &protocol.Error{Code: protocol.Draining, Msg: "this node is draining", RetryMS: 1000}
	}
	if err := h.store.Ping(ctx); err != nil {
		return errors.Join(refusal(unavailable()), err)
	}
	return nil
}

// Drain takes no new work, sends every session away, spread over most of the
// time that ctx leaves (10 s where it has no deadline), stores what is pending,
// writes snapshots, and returns when no document is left, or with ctx's error.
func (h *Hub) Drain(ctx context.Context) error {
	within := 10 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		within = time.Until(deadline) / 2
	}
	return h.drain(ctx, within)
}

func (h *Hub) drain(ctx context.Context, within time.Duration) error {
	h.mu.Lock()
	h.draining = true
	for _, l := range h.docs {
		l.drain(within)
	}
	h.mu.Unlock()
	ended := make(chan struct{})
	go func() { h.loops.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func refusal(e protocol.Error) error { return &e }
