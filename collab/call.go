package collab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

// These are the calls of the HTTP API. Each checks the role that it needs, and
// fails with a *protocol.Error.

// Create makes a document; doc "" has an id drawn. What turns the newborn into
// content (nil: the newborn) becomes its first operation. Needs Write.
func (h *Hub) Create(ctx context.Context, id Identity, doc string, typ ot.Type, content ot.Delta) (Document, error) {
	if doc == "" {
		doc = rand.Text()
	}
	if id.Role(doc) < Write {
		return Document{}, forbidden("create " + doc)
	}
	newborn := ot.NewDocument(typ)
	ops, made, err := h.firstOperation(id, typ, newborn, content)
	if err != nil {
		return Document{}, err
	}
	meta, err := h.store.Create(ctx, doc, typ, ops)
	if err != nil {
		return Document{}, h.failure("create", doc, err)
	}
	return Document{meta, made.AppendJSON(nil)}, nil
}

func (h *Hub) firstOperation(id Identity, typ ot.Type, newborn *ot.Document, content ot.Delta) ([]Operation, *ot.Document, error) {
	if content == nil {
		return nil, newborn, nil
	}
	made, err := ot.DocumentOf(typ, content)
	if err != nil {
		return nil, nil, refusal(protocol.Error{Code: protocol.BadOp, Msg: err.Error()})
	}
	if most := h.limits.Document; made.Len() > most {
		return nil, nil, refusal(protocol.Error{Code: protocol.TooLarge, Msg: fmt.Sprintf("the document may have %d UTF-16 units", most)})
	}
	delta := ot.Diff(typ, newborn.Delta(), made.Delta())
	if len(delta) == 0 {
		return nil, newborn, nil
	}
	if err := newborn.Apply(delta); err != nil {
		return nil, nil, refusal(protocol.Error{Code: protocol.BadOp, Msg: err.Error()})
	}
	op := Operation{Client: rand.Text(), Seq: 1, User: id.User, At: time.Now().UTC().Truncate(time.Microsecond), Delta: delta.AppendJSON(nil)}
	return []Operation{op}, newborn, nil
}

// Read returns the content at version v, or now where v is negative: then it is
// never older than a write that was answered, on any node. Needs Read.
func (h *Hub) Read(ctx context.Context, id Identity, doc string, v int64) (Document, error) {
	if id.Role(doc) < Read {
		return Document{}, forbidden("read " + doc)
	}
	if v >= 0 {
		return h.readAt(ctx, doc, v)
	}
	type result struct {
		doc Document
		err error
	}
	got := make(chan result, 1)
	l := h.acquire(doc)
	if l == nil {
		return Document{}, refusal(unavailable())
	}
	defer h.release(l)
	l.post(ctx, evRead{func(d Document, err error) { got <- result{d, err} }})
	select {
	case r := <-got:
		return r.doc, r.err
	case <-ctx.Done():
		return Document{}, refusal(unavailable())
	}
}

func (h *Hub) readAt(ctx context.Context, doc string, v int64) (Document, error) {
	got, err := ReadAt(ctx, h.store, doc, v)
	var known *protocol.Error
	if err != nil && !errors.As(err, &known) {
		err = h.failure("read", doc, err)
	}
	return got, err
}

// ReadAt rebuilds the content at version v from the store, or at the head where v is
// negative. A version that there is not yet is a *protocol.Error, BadVersion; one that
// was folded away is ErrGone.
func ReadAt(ctx context.Context, store Store, doc string, v int64) (Document, error) {
	meta, err := store.Meta(ctx, doc)
	if err != nil {
		return Document{}, err
	}
	if v < 0 {
		v = meta.Version
	}
	if v > meta.Version {
		return Document{}, refusal(protocol.Error{Code: protocol.BadVersion, Msg: fmt.Sprintf("the document is at version %d", meta.Version)})
	}
	_, content, err := contentAt(ctx, store, meta, v)
	if err != nil {
		return Document{}, err
	}
	meta.Version = v
	return Document{meta, content.AppendJSON(nil)}, nil
}

// Submit edits as a participant: op against op.V, or against the newest version
// where newest is set. It returns the version that the operation made when it is
// stored, and the same when it is sent again. Needs Write.
func (h *Hub) Submit(ctx context.Context, id Identity, doc, client string, op protocol.Op, newest bool) (int64, error) {
	role := id.Role(doc)
	if role < Write {
		return 0, forbidden("edit " + doc)
	}
	type result struct {
		v   int64
		err error
	}
	got := make(chan result, 1)
	l := h.acquire(doc)
	if l == nil {
		return 0, refusal(unavailable())
	}
	defer h.release(l)
	l.post(ctx, evSubmit{&submission{
		client: client, user: id.User, role: role, expires: id.Expires, op: op, newest: newest,
		reply: func(v int64, err error) { got <- result{v, err} },
	}})
	select {
	case r := <-got:
		return r.v, r.err
	case <-ctx.Done():
		return 0, refusal(unavailable())
	}
}

// History returns operations from the one that made version from+1 on, at most
// limit; next is where to go on, 0 where there is no more now. Needs Read.
func (h *Hub) History(ctx context.Context, id Identity, doc string, from int64, limit int) (ops []Operation, next int64, err error) {
	if id.Role(doc) < Read {
		return nil, 0, forbidden("read " + doc)
	}
	ops, err = h.store.Log(ctx, doc, from, limit, 4<<20)
	if err != nil {
		return nil, 0, h.failure("read the history of", doc, err)
	}
	head, err := headOf(ctx, h.store, doc)
	if err != nil {
		return nil, 0, h.failure("read the history of", doc, err)
	}
	if to := from + int64(len(ops)); len(ops) > 0 && to < head.Version {
		next = to
	}
	return ops, next, nil
}

// Delete deletes a document: its sessions end, and its id is never used again.
// With purge its history is removed for good. Needs Manage.
func (h *Hub) Delete(ctx context.Context, id Identity, doc string, purge bool) error {
	if id.Role(doc) < Manage {
		return forbidden("delete " + doc)
	}
	if err := h.store.Delete(ctx, doc, id.User, purge); err != nil {
		return h.failure("delete", doc, err)
	}
	h.bus.Publish(doc, deletedMessage())
	h.mu.Lock()
	l := h.docs[doc]
	h.mu.Unlock()
	if l != nil {
		l.headSeen(Head{Deleted: true})
	}
	return nil
}

// List returns documents by id, after after, at most limit; next is where to go
// on, "" where there is no more. Needs an admin.
func (h *Hub) List(ctx context.Context, id Identity, prefix, after string, limit int) (docs []Meta, next string, err error) {
	if !id.Admin {
		return nil, "", forbidden("list documents")
	}
	docs, err = h.store.List(ctx, prefix, after, limit+1)
	if err != nil {
		return nil, "", h.failure("list", prefix, err)
	}
	if len(docs) > limit {
		docs = docs[:limit]
		next = docs[limit-1].ID
	}
	return docs, next, nil
}

func forbidden(what string) error {
	return refusal(protocol.Error{Code: protocol.Forbidden, Msg: "the token does not allow to " + what})
}

// failure turns a store's error into what the caller is told.
func (h *Hub) failure(what, doc string, err error) error {
	switch {
	case errors.Is(err, ErrNotFound):
		return refusal(protocol.Error{Code: protocol.NotFound, Msg: "no such document"})
	case errors.Is(err, ErrDeleted):
		return refusal(protocol.Error{Code: protocol.Deleted, Msg: "the document was deleted; its id is not used again"})
	case errors.Is(err, ErrExists):
		return refusal(protocol.Error{Code: protocol.Exists, Msg: "the document exists"})
	case errors.Is(err, ErrGone):
		return refusal(protocol.Error{Code: protocol.Gone, Msg: "the history was folded away up to a later version"})
	}
	h.log.Warn("the store failed", "call", what, "doc", doc, "err", err)
	return refusal(unavailable())
}
