package collab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

// foldStep is how many operations one transaction removes at most: appends wait for it.
const foldStep = 4096

// Fold has the log of a document begin later: single operations stored before a time
// go, up to the first that is younger, and a snapshot that is made from them, not from
// a cache, stands in their place. The newest operation stays, named versions stay
// readable, and a client that knows none of what is left gets the content instead.
// Fold may run beside appends and beside other folds; it does a part at a time, calls
// progress (nil: nobody) with how many operations are gone after each, and returns that.
func Fold(ctx context.Context, store Store, doc string, before time.Time, progress func(gone int64)) (int64, error) {
	if progress == nil {
		progress = func(int64) {}
	}
	var gone int64
	for tries := 0; ; tries++ {
		n, err := fold(ctx, store, doc, before, func(n int64) { progress(gone + n) })
		gone += n
		// Somebody else folded the same, or named a version, meanwhile: look again.
		if err == nil || tries >= 5 || !errors.Is(err, ErrGone) && !errors.Is(err, ErrNoSnapshot) {
			return gone, err
		}
	}
}

func fold(ctx context.Context, store Store, doc string, before time.Time, progress func(int64)) (gone int64, err error) {
	meta, err := store.Meta(ctx, doc)
	if err != nil {
		return 0, err
	}
	versions, err := store.Versions(ctx, doc)
	if err != nil {
		return 0, err
	}
	named := map[int64]bool{}
	for _, v := range versions {
		named[v.Version] = true
	}
	var content *ot.Document // at version at; built when there is something to fold
	for at, more := meta.Folded, true; more; {
		ops, err := store.Log(ctx, doc, at, int(min(foldStep, max(0, meta.Version-1-at))), rebuildBytes)
		if err != nil {
			return gone, err
		}
		old := 0
		for old < len(ops) && ops[old].At.Before(before) {
			old++
		}
		if more = old == len(ops) && old > 0; old == 0 {
			break
		}
		if content == nil {
			if _, content, err = contentAt(ctx, store, meta, at); err != nil {
				return gone, fmt.Errorf("the content of %s at version %d, which its log begins at: %w", doc, at, err)
			}
		}
		for _, op := range ops[:old] {
			delta, err := ot.DecodeCommitted(op.Delta)
			if err == nil {
				err = content.Apply(delta)
			}
			if err != nil {
				return gone, fmt.Errorf("%s: the operation that made version %d: %w", doc, at+1, err)
			}
			if at++; named[at] {
				if err := store.PutSnapshot(ctx, doc, Snapshot{Version: at, Content: content.AppendJSON(nil)}); err != nil {
					return gone, err
				}
			}
		}
		if err := store.PutSnapshot(ctx, doc, Snapshot{Version: at, Content: content.AppendJSON(nil)}); err != nil {
			return gone, err
		}
		n, err := store.Fold(ctx, doc, at)
		if err != nil {
			return gone, err
		}
		gone += n
		progress(gone)
	}
	return gone, nil
}

// Old is how many operations Fold would remove.
func Old(ctx context.Context, store Store, doc string, before time.Time) (n int64, err error) {
	meta, err := store.Meta(ctx, doc)
	if err != nil {
		return 0, err
	}
	for {
		ops, err := store.Log(ctx, doc, meta.Folded+n, int(min(foldStep, max(0, meta.Version-1-meta.Folded-n))), rebuildBytes)
		if err != nil {
			return n, err
		}
		for _, op := range ops {
			if !op.At.Before(before) {
				return n, nil
			}
			n++
		}
		if len(ops) == 0 {
			return n, nil
		}
	}
}

// foldEvery is the time between two looks for operations to fold.
const foldEvery = time.Hour

// retain folds old operations of all documents, now and then, until ctx ends. Every
// node may do so: who comes second finds nothing to do.
func (h *Hub) retain(ctx context.Context) {
	h.log.Info("single operations are folded when they are old", "keep", h.keep)
	timer := time.NewTimer(rand.N(foldEvery / 4)) // nodes that start together take turns
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		h.foldAll(ctx, time.Now().Add(-h.keep))
		timer.Reset(foldEvery)
	}
}

// foldAll folds one document after the other, so that a node's share of the store stays small.
func (h *Hub) foldAll(ctx context.Context, before time.Time) {
	for after := ""; ; {
		ids, err := h.store.Foldable(ctx, before, after, 100)
		if err != nil {
			if ctx.Err() == nil {
				h.log.Warn("documents with old operations could not be found", "err", err)
			}
			return
		}
		if len(ids) == 0 {
			return
		}
		for _, id := range ids {
			var draining *protocol.Error
			if ctx.Err() != nil || errors.As(h.notDraining(), &draining) {
				return
			}
			gone, err := Fold(ctx, h.store, id, before, nil)
			switch {
			case errors.Is(err, ErrDeleted), ctx.Err() != nil:
			case err != nil:
				h.log.Warn("old operations could not be folded; they stay", "doc", id, "err", err)
			case gone > 0:
				h.log.Info("old operations were folded", "doc", id, "operations", gone)
			}
		}
		after = ids[len(ids)-1]
	}
}
