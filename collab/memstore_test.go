package collab

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weft-collab/weft/ot"
)

// memStore is a Store in memory: the truth of simulations.
type memStore struct {
	mu   sync.Mutex
	docs map[string]*memDoc
	now  func() time.Time
}

type memDoc struct {
	meta    Meta
	deleted bool
	folded  int64
	ops     []Operation // from folded+1 on
	clients map[string]ClientRow
	snaps   []Snapshot
	named   []NamedVersion
}

func newMemStore() *memStore { return &memStore{docs: map[string]*memDoc{}, now: time.Now} }

func (m *memStore) find(doc string) (*memDoc, error) {
	d := m.docs[doc]
	switch {
	case d == nil:
		return nil, ErrNotFound
	case d.deleted:
		return nil, ErrDeleted
	}
	return d, nil
}

func (m *memStore) Create(_ context.Context, doc string, typ ot.Type, ops []Operation) (Meta, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch _, err := m.find(doc); err {
	case nil:
		return Meta{}, ErrExists
	case ErrDeleted:
		return Meta{}, err
	}
	d := &memDoc{meta: Meta{ID: doc, Type: typ, Created: m.now(), Updated: m.now()}, clients: map[string]ClientRow{}}
	m.docs[doc] = d
	return d.meta, d.append(0, ops)
}

func (m *memStore) Meta(_ context.Context, doc string) (Meta, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := m.find(doc)
	if err != nil {
		return Meta{}, err
	}
	meta := d.meta
	meta.Folded = d.folded
	return meta, nil
}

func (m *memStore) Append(_ context.Context, doc string, head int64, ops []Operation) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := m.find(doc)
	if err != nil {
		return err
	}
	return d.append(head, ops)
}

func (d *memDoc) append(head int64, ops []Operation) error {
	if d.meta.Version != head {
		return ErrConflict
	}
	rows := map[string]ClientRow{}
	for i, op := range ops {
		row, ok := rows[op.Client]
		if !ok {
			row = d.clients[op.Client]
		}
		if row.Seq+1 != op.Seq || row.User != "" && row.User != op.User {
			return ErrConflict
		}
		rows[op.Client] = ClientRow{User: op.User, Seq: op.Seq, Version: head + int64(i) + 1}
	}
	for c, row := range rows {
		d.clients[c] = row
	}
	d.ops = append(d.ops, ops...)
	d.meta.Version += int64(len(ops))
	return nil
}

func (m *memStore) Log(_ context.Context, doc string, from int64, limit, maxBytes int) ([]Operation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := m.find(doc)
	if err != nil {
		return nil, err
	}
	if from < d.folded {
		return nil, ErrGone
	}
	var out []Operation
	bytes := 0
	for at := from; at < d.meta.Version && len(out) < limit; at++ {
		op := d.ops[at-d.folded]
		out = append(out, op)
		if bytes += len(op.Delta); maxBytes > 0 && bytes >= maxBytes {
			break
		}
	}
	return out, nil
}

func (m *memStore) Operation(_ context.Context, doc, client string, seq int64) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := m.find(doc)
	if err != nil {
		return 0, err
	}
	for i, op := range d.ops {
		if op.Client == client && op.Seq == seq {
			return d.folded + int64(i) + 1, nil
		}
	}
	return 0, ErrNotFound
}

func (m *memStore) Client(_ context.Context, doc, client string) (ClientRow, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := m.find(doc)
	if err != nil {
		return ClientRow{}, err
	}
	return d.clients[client], nil
}

func (m *memStore) Heads(_ context.Context, docs []string) (map[string]Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string]Head{}
	for _, id := range docs {
		if d := m.docs[id]; d != nil {
			out[id] = Head{Version: d.meta.Version, Deleted: d.deleted}
		}
	}
	return out, nil
}

func (m *memStore) Snapshot(_ context.Context, doc string, at int64) (Snapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := m.find(doc)
	if err != nil {
		return Snapshot{}, err
	}
	best := Snapshot{}
	for _, s := range d.snaps {
		if s.Version <= at && s.Version >= best.Version {
			best = s
		}
	}
	return best, nil
}

func (m *memStore) PutSnapshot(_ context.Context, doc string, s Snapshot) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := m.find(doc)
	if err != nil {
		return err
	}
	d.snaps = append(d.snaps, s)
	return nil
}

// fold forgets the log up to the newest snapshot.
func (m *memStore) fold(doc string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.docs[doc]
	if d == nil || len(d.snaps) == 0 {
		return false
	}
	to := d.folded
	for _, s := range d.snaps {
		to = max(to, s.Version)
	}
	if to == d.folded {
		return false
	}
	d.ops = slices.Clone(d.ops[to-d.folded:])
	d.folded = to
	return true
}

func (m *memStore) Delete(_ context.Context, doc, _ string, purge bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.docs[doc]
	if d == nil {
		return ErrNotFound
	}
	if d.deleted && !purge {
		return ErrDeleted
	}
	d.deleted = true
	if purge {
		d.ops, d.snaps, d.clients, d.folded = nil, nil, map[string]ClientRow{}, d.meta.Version
	}
	return nil
}

func (m *memStore) List(_ context.Context, prefix, after string, limit int) ([]Meta, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Meta
	for _, id := range sortedKeys(m.docs) {
		if d := m.docs[id]; !d.deleted && strings.HasPrefix(id, prefix) && id > after && len(out) < limit {
			out = append(out, d.meta)
		}
	}
	return out, nil
}

func (m *memStore) Ping(context.Context) error { return nil }
func (m *memStore) Close() error               { return nil }
