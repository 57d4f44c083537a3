package collab

import (
	"context"
	"slices"
	"time"
)

func (m *memStore) Fold(_ context.Context, doc string, to int64) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := m.find(doc)
	if err != nil || to <= d.folded {
		return 0, err
	}
	whole := func(v int64) bool {
		return v <= 0 || slices.ContainsFunc(d.snaps, func(s Snapshot) bool { return s.Version == v })
	}
	named := func(v int64) bool {
		return slices.ContainsFunc(d.named, func(n NamedVersion) bool { return n.Version == v })
	}
	if to >= d.meta.Version || !whole(to) {
		return 0, ErrNoSnapshot
	}
	for _, n := range d.named {
		if n.Version <= to && !whole(n.Version) {
			return 0, ErrNoSnapshot
		}
	}
	removed := to - d.folded
	d.ops, d.folded = slices.Clone(d.ops[removed:]), to
	d.snaps = slices.DeleteFunc(d.snaps, func(s Snapshot) bool { return s.Version < to && !named(s.Version) })
	return removed, nil
}

func (m *memStore) Foldable(_ context.Context, before time.Time, after string, limit int) (ids []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range sortedKeys(m.docs) {
		if d := m.docs[id]; !d.deleted && id > after && len(d.ops) > 1 && d.ops[0].At.Before(before) && len(ids) < limit {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (m *memStore) NameVersion(_ context.Context, doc string, v NamedVersion) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := m.find(doc)
	if err != nil {
		return err
	}
	if v.Version < d.folded {
		return ErrGone
	}
	d.named = append(d.named, v)
	return nil
}

func (m *memStore) Versions(_ context.Context, doc string) ([]NamedVersion, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := m.find(doc)
	if err != nil {
		return nil, err
	}
	return slices.Clone(d.named), nil
}

func (m *memStore) Audit(context.Context, string, int) ([]AuditEntry, error) { return nil, nil }
