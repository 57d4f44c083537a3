// Package client is a Go client of the Weft protocol: for bots, tests and replays.
package client

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

// errLost says that the replica does not know what the server knows of it: it must start over.
var errLost = errors.New("the server has operations of this client that it does not know")

// Replica is one client's copy of a document, with its edits that are not stored
// yet on top. It is pure: it does no I/O, and is for one goroutine at a time.
type Replica struct {
	id     string // the client's
	typ    ot.Type
	v      int64
	last   *protocol.Origin
	server *ot.Document // at version v; nil before the first welcome
	view   *ot.Document // server, in flight and unsent

	seq      int64 // the last one used
	flying   bool
	inFlight ot.Delta
	unsent   []ot.Delta
	sealed   bool // the last of unsent is not composed into

	former    string                   // the client id under which inFlight went out before starting over
	formerSeq int64                    // and its seq
	ghosts    map[protocol.Origin]bool // operations that were given up and set on top anew
}

func newReplica(id string, typ ot.Type) *Replica {
	if id == "" {
		id = rand.Text()
	}
	return &Replica{id: id, typ: typ, ghosts: map[protocol.Origin]bool{}}
}

// Client is the replica's client id.
func (r *Replica) Client() string { return r.id }

// Version is that of the server's content that the replica has.
func (r *Replica) Version() int64 { return r.v }

// View is the content with the replica's own edits. It must not be edited but through Edit.
func (r *Replica) View() *ot.Document { return r.view }

// Unsent is how many operations are not acknowledged yet, the one in flight included.
func (r *Replica) Unsent() int {
	n := len(r.unsent)
	if r.flying {
		n++
	}
	return n
}

// Edit makes a local edit of View. What is not sent yet is composed into one operation,
// up to the last Seal. Errors are *ot.Error; the content then stays as it was.
func (r *Replica) Edit(d ot.Delta) error {
	if r.view == nil {
		return errors.New("the document has not come yet")
	}
	if err := r.view.Apply(d); err != nil {
		return err
	}
	r.queue(d)
	return nil
}

func (r *Replica) queue(d ot.Delta) {
	if n := len(r.unsent); n > 0 && !r.sealed {
		r.unsent[n-1] = r.unsent[n-1].Compose(d)
	} else {
		r.unsent = append(r.unsent, d)
	}
	r.sealed = false
}

// Seal makes what was edited so far an operation of its own: the next Edit begins another one.
func (r *Replica) Seal() { r.sealed = true }

// next puts the first unsent operation in flight, if none is.
func (r *Replica) next() (protocol.Op, bool) {
	if r.flying || len(r.unsent) == 0 || r.server == nil {
		return protocol.Op{}, false
	}
	r.inFlight, r.unsent, r.flying = r.unsent[0], r.unsent[1:], true
	r.seq++
	return r.again(), true
}

// again is the operation in flight as it is now.
func (r *Replica) again() protocol.Op {
	return protocol.Op{V: r.v, Seq: r.seq, Delta: r.inFlight}
}

func (r *Replica) hello() protocol.Hello {
	h := protocol.Hello{Client: r.id, Type: r.typ}
	if r.server != nil && (r.v == 0 || r.last != nil) {
		v := r.v
		h.V, h.Last = &v, r.last
	}
	return h
}

// welcome takes the answer to hello. resend is true where the operation in flight is to be sent again.
func (r *Replica) welcome(m *protocol.Welcome, each func(protocol.Committed, bool)) (resend bool, err error) {
	acknowledged := r.seq
	if r.flying && r.former == "" {
		acknowledged--
	}
	// One that is too low: the server was restored, and has grown past this client's version.
	if m.Seq > r.seq || m.Seq < acknowledged {
		return false, errLost
	}
	if m.Doc != nil {
		if err := r.take(m); err != nil {
			return false, err
		}
	}
	for _, raw := range m.Ops {
		op, err := protocol.DecodeCommitted(raw)
		if err != nil {
			return false, err
		}
		own, err := r.receive(op)
		if err != nil {
			return false, err
		}
		each(op, own)
	}
	if r.former != "" && r.flying {
		// It is not stored, and the session that sent it is over: the edit goes on top
		// anew. A copy of it may still be on its way to the store.
		r.ghosts[protocol.Origin{Client: r.former, Seq: r.formerSeq}] = true
		r.unsent = append([]ot.Delta{r.inFlight}, r.unsent...)
		r.inFlight, r.flying = nil, false
	}
	r.former = ""
	return r.flying, nil
}

// take sets the content where there was none, or where operations were asked for and the log no longer reaches back.
func (r *Replica) take(m *protocol.Welcome) error {
	delta, err := ot.DecodeCommitted(m.Doc)
	if err != nil {
		return err
	}
	content, err := ot.DocumentOf(m.Type, delta)
	if err != nil {
		return err
	}
	if r.server != nil && r.Unsent() > 0 {
		had := r.server.Clone()
		if r.flying && r.former == "" && m.Seq >= r.seq {
			if err := had.Apply(r.inFlight); err != nil {
				return err
			}
			r.inFlight, r.flying = nil, false
		}
		r.over(ot.Diff(m.Type, had.Delta(), content.Delta()))
	}
	r.typ, r.server, r.v, r.last = m.Type, content, m.V, m.Last
	return r.rebuild()
}

// over transforms what is not acknowledged over a remote operation, and returns the operation as it applies to View.
func (r *Replica) over(remote ot.Delta) ot.Delta {
	if r.flying {
		next := r.inFlight.Transform(remote, false)
		r.inFlight = remote.Transform(r.inFlight, true)
		remote = next
	}
	return r.overUnsent(remote)
}

func (r *Replica) overUnsent(remote ot.Delta) ot.Delta {
	for i, mine := range r.unsent {
		next := mine.Transform(remote, false)
		r.unsent[i] = remote.Transform(mine, true)
		remote = next
	}
	return remote
}

// rebuild makes View anew.
func (r *Replica) rebuild() error {
	r.view = r.server.Clone()
	if r.flying {
		if err := r.view.Apply(r.inFlight); err != nil {
			return err
		}
	}
	for _, d := range r.unsent {
		if err := r.view.Apply(d); err != nil {
			return err
		}
	}
	return nil
}

// receive takes the next operation of the log.
func (r *Replica) receive(op protocol.Committed) (own bool, err error) {
	delta, err := ot.DecodeCommitted(op.Delta)
	if err != nil {
		return false, err
	}
	remote := delta
	origin := protocol.Origin{Client: op.Client, Seq: op.Seq}
	former := r.flying && op.Client == r.former && op.Seq == r.formerSeq
	acknowledged := former || r.flying && r.former == "" && op.Client == r.id && op.Seq == r.seq
	switch {
	case acknowledged:
		own = true
		held := r.inFlight
		r.flying, r.inFlight = false, nil
		if remote = nil; !bytes.Equal(held.AppendJSON(nil), delta.AppendJSON(nil)) {
			remote = r.overUnsent(held.Invert(r.server.Delta()).Compose(delta))
		}
	case op.Client == r.id:
		return false, errLost
	case r.ghosts[origin]:
		delete(r.ghosts, origin)
		remote = nil
		if err := r.disown(delta); err != nil {
			return false, err
		}
	default:
		remote = r.over(remote)
	}
	if err := r.server.Apply(delta); err != nil {
		return own, fmt.Errorf("version %d does not apply: %w", r.v+1, err)
	}
	r.v++
	r.last = &origin
	if len(remote) > 0 {
		if err := r.view.Apply(remote); err != nil {
			return own, fmt.Errorf("version %d does not apply to the view: %w", r.v, err)
		}
	}
	return own, nil
}

// disown takes an operation that was given up and set on top anew: its edit stands there already. It is
// undone right away, before what is unsent, which is not carried over it: what both copies delete is brought
// back and deleted again, so that nothing of it is left. The view stays as it is.
func (r *Replica) disown(delta ot.Delta) error {
	base := r.server
	if r.flying {
		base = base.Clone()
		if err := base.Apply(r.inFlight); err != nil {
			return err
		}
		delta, r.inFlight = r.inFlight.Transform(delta, false), delta.Transform(r.inFlight, true)
	}
	undo := delta.Invert(base.Delta())
	if len(r.unsent) == 0 {
		r.unsent = []ot.Delta{undo}
	} else {
		r.unsent[0] = undo.Compose(r.unsent[0])
	}
	return nil
}

// startOver takes a new client id; what is unsent goes on top of what comes. On the same
// lineage it asks for the operations since, which tell whether what was in flight is stored.
func (r *Replica) startOver(sameLineage bool) {
	if r.flying && r.former == "" {
		r.former, r.formerSeq = r.id, r.seq
	}
	if !sameLineage {
		r.last = nil
		if r.v == 0 {
			r.v = -1
		}
	}
	r.seq, r.id = 0, rand.Text()
}
