package collab

import (
	"fmt"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

// How much of the newest log a document keeps in memory. Who is further behind reads the store.
const (
	tailOps   = 1024
	tailBytes = 2 << 20
	loadedOps = 64 // of it when a document is opened
)

// rebuildBytes bounds the deltas of one reading of the log where content is rebuilt from it.
const rebuildBytes = 8 << 20

// logged is one committed operation in memory.
type logged struct {
	client string
	seq    int64
	user   string
	delta  ot.Delta
	wire   []byte    // OP of the protocol, encoded once
	at     time.Time // zero where the bus brought it
}

func newLogged(op Operation) (logged, error) {
	d, err := ot.DecodeCommitted(op.Delta)
	if err != nil {
		return logged{}, fmt.Errorf("operation %s/%d of the log: %w", op.Client, op.Seq, err)
	}
	return loggedOf(op, d), nil
}

func loggedOf(op Operation, d ot.Delta) logged {
	wire := protocol.AppendCommitted(nil, protocol.Committed{Client: op.Client, Seq: op.Seq, User: op.User, Delta: op.Delta})
	return logged{client: op.Client, seq: op.Seq, user: op.User, delta: d, wire: wire, at: op.At}
}

func loggedAll(ops []Operation) ([]logged, error) {
	all := make([]logged, len(ops))
	for i, op := range ops {
		l, err := newLogged(op)
		if err != nil {
			return nil, err
		}
		all[i] = l
	}
	return all, nil
}

func (l logged) origin() *protocol.Origin { return &protocol.Origin{Client: l.client, Seq: l.seq} }

// tail is the newest part of a log: operations base+1 to base+len(ops).
type tail struct {
	most      int // operations that trim keeps
	mostBytes int // of their wire
	base      int64
	ops       []logged
	bytes     int
}

func (t *tail) head() int64 { return t.base + int64(len(t.ops)) }

// since returns the operations after version v; ok is false where the tail does not reach back to v.
func (t *tail) since(v int64) (ops []logged, ok bool) {
	if v < t.base || v > t.head() {
		return nil, false
	}
	return t.ops[v-t.base:], true
}

// made returns the operation that made version v.
func (t *tail) made(v int64) (logged, bool) {
	if v <= t.base || v > t.head() {
		return logged{}, false
	}
	return t.ops[v-t.base-1], true
}

func (t *tail) push(op logged) {
	t.ops = append(t.ops, op)
	t.bytes += len(op.wire)
}

func (t *tail) overfull() bool {
	return len(t.ops) > 2*t.most || t.bytes > 2*t.mostBytes && len(t.ops) > 1
}

// trim forgets the oldest operations beyond the bounds; the newest one stays.
func (t *tail) trim() {
	keep := len(t.ops)
	bytes := 0
	for i := len(t.ops) - 1; i >= 0; i-- {
		bytes += len(t.ops[i].wire)
		if n := len(t.ops) - i; n > 1 && (n > t.most || bytes > t.mostBytes) {
			keep = n - 1
			break
		}
	}
	drop := len(t.ops) - keep
	if drop == 0 {
		return
	}
	for _, op := range t.ops[:drop] {
		t.bytes -= len(op.wire)
	}
	t.ops = append([]logged(nil), t.ops[drop:]...)
	t.base += int64(drop)
}
