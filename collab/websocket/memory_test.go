package websocket

import (
	"context"
	"sync"
	"time"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/ot"
)

// memory is a store as far as sessions need one, for tests that make more operations than a disk takes.
type memory struct {
	collab.Store // what sessions do not call, it does not have
	mu           sync.Mutex
	docs         map[string]*kept
}

type kept struct {
	meta    collab.Meta
	ops     []collab.Operation
	clients map[string]collab.ClientRow
	snap    collab.Snapshot
}

func newMemory() *memory { return &memory{docs: map[string]*kept{}} }

// of calls f with a document, alone.
func (m *memory) of(doc string, f func(*kept) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.docs[doc]
	if k == nil {
		return collab.ErrNotFound
	}
	return f(k)
}

func (m *memory) Create(_ context.Context, doc string, typ ot.Type, _ []collab.Operation) (collab.Meta, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.docs[doc] != nil {
		return collab.Meta{}, collab.ErrExists
	}
	k := &kept{meta: collab.Meta{ID: doc, Type: typ, Created: time.Now(), Updated: time.Now()}, clients: map[string]collab.ClientRow{}}
	m.docs[doc] = k
	return k.meta, nil
}

// forget removes a document.
func (m *memory) forget(doc string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.docs, doc)
}

func (m *memory) Meta(_ context.Context, doc string) (meta collab.Meta, err error) {
	err = m.of(doc, func(k *kept) error { meta = k.meta; return nil })
	return meta, err
}

func (m *memory) Append(_ context.Context, doc string, head int64, ops []collab.Operation) error {
	return m.of(doc, func(k *kept) error {
		if k.meta.Version != head {
			return collab.ErrConflict
		}
		for i, op := range ops {
			if row := k.clients[op.Client]; op.Seq != row.Seq+1 || row.User != "" && row.User != op.User {
				return collab.ErrConflict
			}
			k.clients[op.Client] = collab.ClientRow{User: op.User, Seq: op.Seq, Version: head + int64(i) + 1}
		}
		k.ops = append(k.ops, ops...)
		k.meta.Version += int64(len(ops))
		return nil
	})
}

func (m *memory) Log(_ context.Context, doc string, from int64, limit, _ int) (ops []collab.Operation, err error) {
	err = m.of(doc, func(k *kept) error {
		if from < int64(len(k.ops)) {
			ops = k.ops[from:min(len(k.ops), int(from)+limit)]
		}
		return nil
	})
	return ops, err
}

func (m *memory) Client(_ context.Context, doc, client string) (row collab.ClientRow, err error) {
	err = m.of(doc, func(k *kept) error { row = k.clients[client]; return nil })
	return row, err
}

func (m *memory) Heads(_ context.Context, docs []string) (map[string]collab.Head, error) {
	heads := map[string]collab.Head{}
	for _, doc := range docs {
		_ = m.of(doc, func(k *kept) error { heads[doc] = collab.Head{Version: k.meta.Version}; return nil })
	}
	return heads, nil
}

func (m *memory) Snapshot(_ context.Context, doc string, at int64) (snap collab.Snapshot, err error) {
	err = m.of(doc, func(k *kept) error {
		if k.snap.Version <= at {
			snap = k.snap
		}
		return nil
	})
	return snap, err
}

func (m *memory) PutSnapshot(_ context.Context, doc string, s collab.Snapshot) error {
	return m.of(doc, func(k *kept) error { k.snap = s; return nil })
}

func (m *memory) Foldable(context.Context, time.Time, string, int) ([]string, error) { return nil, nil }
func (m *memory) Ping(context.Context) error                                         { return nil }
func (m *memory) Close() error                                                       { return nil }
