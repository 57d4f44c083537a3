package collab

import (
	"bytes"
	"errors"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

// simBot edits by HTTP: one operation at a time, sent again, to any node, until it is answered.
type simBot struct {
	w       *world
	id      string
	user    string
	seq     int64 // of the last one
	op      ot.Delta
	v       int64 // that the last one made, once it is answered
	epoch   int
	unsent  bool // the last one is not answered
	begun   time.Time
	call    *submission   // under way
	loop    *simLoop      // of the document that has it
	refused protocol.Code // what it was refused with
}

// simRead is a reading by HTTP that is under way.
type simRead struct {
	loop  *simLoop
	floor int64
	epoch int
	begun time.Time
}

func (w *world) callsByHTTP() {
	switch {
	case w.bot.call != nil && w.now.Sub(w.bot.begun) > 5*time.Second:
		w.count("a submission was given up, to be sent again")
		w.bot.call = nil // whatever comes of it is not waited for
	case w.fault(1, 3):
		w.reading()
	default:
		w.bot.acts()
	}
	for i := 0; i < len(w.reads); i++ {
		if w.now.Sub(w.reads[i].begun) > 5*time.Second {
			w.reads = append(w.reads[:i], w.reads[i+1:]...)
			i--
		}
	}
}

func (b *simBot) acts() {
	w := b.w
	n := w.node()
	if b.call != nil || !n.serves() || w.referee.contents == nil {
		return
	}
	again := false
	if !b.unsent {
		if again = b.seq > 0 && b.epoch == w.epoch && w.fault(1, 3); !again {
			if w.ending || w.one(3) {
				return
			}
		}
	}
	b.submits(n, again)
}

// submits sends the last operation again, or a new one where that is answered.
func (b *simBot) submits(n *simNode, again bool) {
	w := b.w
	if b.call != nil || !n.serves() {
		return
	}
	if !b.unsent && !again {
		b.seq, b.unsent, b.epoch = b.seq+1, true, w.epoch
		w.sent++
		b.op = ot.New().Insert("b" + string(w.mark()))
	}
	l := n.acquire()
	if l == nil {
		return
	}
	id := w.identity(b.user, Write)
	call := &submission{
		client: b.id, user: b.user, role: Write, expires: id.Expires,
		op: protocol.Op{Seq: b.seq, Delta: b.op}, newest: true,
	}
	if w.fault(1, 3) { // it inserts at the front: the same edit at any version
		w.count("a submission named its version")
		call.newest, call.op.V = false, w.rng.Int64N(w.referee.head()+1)
	}
	late := w.gone
	call.reply = func(v int64, err error) {
		l.release()
		if late && err == nil {
			w.fail("a submission made after the document was deleted is answered with version %d", v)
		}
		b.answered(call, v, err)
	}
	b.call, b.begun, b.loop, b.refused = call, w.now, l, ""
	w.trace("bot submits %d to %s", b.seq, n.name)
	l.mail = append(l.mail, evSubmit{call})
}

func (b *simBot) answered(call *submission, v int64, err error) {
	w := b.w
	w.trace("bot's %d: version %d, %v", call.op.Seq, v, err)
	if err == nil {
		w.referee.answered(b.id, call.op.Seq, v)
	}
	var e *protocol.Error
	if errors.As(err, &e) && (e.Code == protocol.BadSeq || e.Code == protocol.Gone) && w.referee.keeps(call.client, call.op.Seq) {
		w.fail("submission %s/%d is in the log, and was answered: %s", call.client, call.op.Seq, e.Msg)
	}
	if b.call != call {
		return // not waited for any more
	}
	b.call, b.refused = nil, codeOf(err)
	switch {
	case err == nil:
		if !b.unsent {
			w.count("a submission sent again was answered")
			if v != b.v {
				w.fail("submission %d was answered with version %d, and with %d when it was sent again", b.seq, b.v, v)
			}
		}
		w.count("a submission was answered")
		b.v, b.unsent, b.epoch = v, false, w.epoch
	case !errors.As(err, &e):
		w.fail("a submission failed otherwise: %v", err)
	case e.Code == protocol.BadSeq && b.unsent && w.epoch > 0:
		b.id, b.seq = w.client(b.user), 1 // what was before is not in the backup
	case e.Code == protocol.BadVersion && !call.newest && (call.op.V < w.store.docs[simDoc].folded || w.epoch > 0):
		w.count("a submission named a version that is folded")
	case e.Code == protocol.Unavailable && !w.firm, e.Code == protocol.Deleted && w.gone, e.Code == protocol.RateLimited, e.Code == protocol.TokenExpired:
		w.count("a submission was refused: " + string(e.Code))
	default:
		w.fail("a submission was refused: %v", err)
	}
}

// keeps reports whether the store's log holds an operation.
func (r *referee) keeps(client string, seq int64) bool {
	at := r.seqs[client]
	return seq <= int64(len(at)) && at[seq-1] > r.w.store.docs[simDoc].folded
}

// answered holds an answer against the log.
func (r *referee) answered(client string, seq, v int64) {
	at := r.seqs[client]
	if int64(len(at)) < seq || at[seq-1] != v {
		r.w.fail("submission %s/%d was answered with version %d, its versions are %v", client, seq, v, at)
	}
	r.floor = max(r.floor, v)
}

// reading reads on any node: never older than a write that was answered.
func (w *world) reading() {
	n := w.node()
	if !n.serves() || w.referee.contents == nil {
		return
	}
	l := n.acquire()
	if l == nil {
		return
	}
	read := &simRead{loop: l, floor: w.referee.floor, epoch: w.epoch, begun: w.now}
	w.reads = append(w.reads, read)
	late := w.gone
	l.mail = append(l.mail, evRead{func(d Document, err error) {
		l.release()
		for i, r := range w.reads {
			if r == read {
				w.reads = append(w.reads[:i], w.reads[i+1:]...)
				break
			}
		}
		var e *protocol.Error
		switch {
		case errors.As(err, &e) && (e.Code == protocol.Unavailable && !w.firm || e.Code == protocol.Deleted && w.gone):
			w.count("a reading was refused: " + string(e.Code))
		case err != nil:
			w.fail("a reading failed: %v", err)
		case late:
			w.fail("a reading after the document was deleted brings version %d", d.Version)
		case d.Version < read.floor || d.Version > w.referee.head():
			w.fail("a reading brings version %d, answered was %d, stored is %d", d.Version, read.floor, w.referee.head())
		case !bytes.Equal(d.Content, w.referee.json(d.Version)):
			w.fail("a reading brings %s at version %d, the log makes %s", d.Content, d.Version, w.referee.json(d.Version))
		default:
			w.count("read")
		}
	}})
}
