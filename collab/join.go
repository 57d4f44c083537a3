package collab

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/weft-collab/weft/collab/protocol"
)

// Admit makes the last checks of a handshake: does the token grant anything on
// the document, was it deleted, does it exist or may the token create it, can
// this node serve it. Errors are *protocol.Error: Forbidden, Deleted, NotFound,
// Unavailable or Draining, in the order in which the protocol asks.
func (h *Hub) Admit(ctx context.Context, doc string, id Identity) (exists bool, err error) {
	role := id.Role(doc)
	if role < Read {
		return false, refusal(protocol.Error{Code: protocol.Forbidden, Msg: "the token grants nothing on this document"})
	}
	_, err = headOf(ctx, h.store, doc)
	switch {
	case err == nil:
		return true, h.notDraining()
	case errors.Is(err, ErrDeleted):
		return false, refusal(protocol.Error{Code: protocol.Deleted, Msg: "the document was deleted; its id is not used again"})
	case !errors.Is(err, ErrNotFound):
		h.log.Warn("the store could not be asked for a handshake", "doc", doc, "err", err)
		return false, refusal(unavailable())
	case role < Write:
		return false, refusal(protocol.Error{Code: protocol.NotFound, Msg: "no such document, and the token may not create it"})
	}
	return false, h.notDraining()
}

func (h *Hub) notDraining() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining {
		return refusal(protocol.Error{Code: protocol.Draining, Msg: "this node is draining; come again", RetryMS: 1000})
	}
	return nil
}

// Session is a connection's part in a document.
type Session struct {
	loop *loop
	s    *session
}

// Join begins a session with its hello. Whatever there is to refuse comes over conn.
// Leave must be called once the connection is gone.
func (h *Hub) Join(ctx context.Context, doc string, id Identity, hello protocol.Hello, conn Conn) *Session {
	s := &session{id: rand.Text(), client: hello.Client, ident: id, role: id.Role(doc), conn: conn}
	l := h.acquire(doc)
	if l == nil {
		e := protocol.Error{Code: protocol.Draining, Msg: "this node is draining; come again", RetryMS: 500}
		conn.Close(protocol.AppendBye(nil, e), 1012, string(e.Code))
		return &Session{s: s}
	}
	h.counts.sessions.Add(1)
	l.post(ctx, evJoin{s, hello})
	return &Session{l, s}
}

// Receive hands a message to the document. It waits while the document's mailbox
// is full, which is the client's back-pressure, until ctx ends.
func (s *Session) Receive(ctx context.Context, m protocol.ClientMessage) {
	if s.loop == nil {
		return
	}
	if t, ok := m.(protocol.Token); ok {
		id, err := s.loop.hub.verifier.Verify(ctx, t.Token)
		s.loop.post(ctx, evToken{s.s, id, err})
		return
	}
	s.loop.post(ctx, evMessage{s.s, m})
}

// Sent says that a frame of so many bytes was written. It never blocks.
func (s *Session) Sent(bytes int) {
	if s.loop != nil {
		s.loop.credit(s.s, 1, bytes)
	}
}

// Progress says that some of a frame was written, and that more of it is to come: the client
// is not one that has stopped. It never blocks.
func (s *Session) Progress() {
	if s.loop != nil {
		s.loop.credit(s.s, 0, 0)
	}
}

// Leave ends the session. It must be called once, after which nothing else may be.
func (s *Session) Leave() {
	if s.loop == nil {
		return
	}
	s.loop.hub.counts.sessions.Add(-1)
	s.loop.post(context.Background(), evLeave{s.s})
	s.loop.hub.release(s.loop)
}

// ID is the session's, as others see it.
func (s *Session) ID() string { return s.s.id }
