package collab

import (
	"time"

	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

// An event is something that happened to a document: a message of a session, a
// call, a result of one of its effects, a timer. document.step takes one at a time.
type event interface{ event() }

type (
	// evLoaded answers effLoad. err is ErrNotFound, ErrDeleted or the store's.
	evLoaded struct {
		at  loaded
		err error
	}
	// evCreated answers effCreate; err may be ErrExists.
	evCreated struct {
		meta Meta
		err  error
	}
	// evJoin is a session's hello.
	evJoin struct {
		s     *session
		hello protocol.Hello
	}
	// evGreeted answers effGreet: the client's row, and the head at that time.
	evGreeted struct {
		s    *session
		row  ClientRow
		head Head
		err  error
	}
	// evMessage is a later message of a session.
	evMessage struct {
		s *session
		m protocol.ClientMessage
	}
	// evToken is a token message, verified.
	evToken struct {
		s   *session
		id  Identity
		err error
	}
	// evCredit says that frames of a session were written.
	evCredit struct {
		s             *session
		frames, bytes int
	}
	// evLeave says that a session's socket is gone.
	evLeave struct{ s *session }
	// evSubmit is an operation that comes by call instead of by a session.
	evSubmit struct{ call *submission }
	// evRow answers effRow for a submission.
	evRow struct {
		call *submission
		row  ClientRow
		made int64 // version that the very operation made, 0 if it is not found
		err  error
	}
	// evRead asks for the content now, never older than the store's head.
	evRead struct {
		reply func(Document, error)
	}
	// evLog answers effLog.
	evLog struct {
		purpose logPurpose
		from    int64
		ops     []Operation
		err     error
	}
	// evStored answers effAppend.
	evStored struct{ err error }
	// evSnapshotted answers effSnapshot.
	evSnapshotted struct {
		version int64
		err     error
	}
	// evBus is another node's message.
	evBus struct{ msg []byte }
	// evHead is what the store says of the head, unasked.
	evHead struct{ head Head }
	// evTimer says that the time that step asked for has come.
	evTimer struct{}
	// evDrain ends the document's sessions, spread over a time.
	evDrain struct{ within time.Duration }
	// evStay answers effUnload: somebody needs the document after all.
	evStay struct{}
)

func (evLoaded) event()      {}
func (evCreated) event()     {}
func (evJoin) event()        {}
func (evGreeted) event()     {}
func (evMessage) event()     {}
func (evToken) event()       {}
func (evCredit) event()      {}
func (evLeave) event()       {}
func (evSubmit) event()      {}
func (evRow) event()         {}
func (evRead) event()        {}
func (evLog) event()         {}
func (evStored) event()      {}
func (evSnapshotted) event() {}
func (evBus) event()         {}
func (evHead) event()        {}
func (evTimer) event()       {}
func (evDrain) event()       {}
func (evStay) event()        {}

// loaded is a document as the store rebuilds it.
type loaded struct {
	meta     Meta
	snapshot int64        // version of the snapshot it was rebuilt from
	content  *ot.Document // at meta.Version
	tail     []logged     // the newest operations, up to meta.Version; may be empty
}

// An effect is something that step wants done. The loop does them in order;
// those that ask the store answer with an event, later.
type effect interface{ effect() }

type (
	effLoad   struct{ tail int } // how many operations of the log to bring, where it has them
	effCreate struct{ typ ot.Type }
	effGreet  struct{ s *session }
	effRow    struct{ call *submission }
	effLog    struct {
		purpose  logPurpose
		from     int64
		limit    int
		maxBytes int
		after    time.Duration // wait so long first
	}
	effAppend struct {
		head int64
		ops  []Operation
	}
	effSnapshot struct {
		version int64
		content *ot.Document // a clone, the effect's own
	}
	effSend struct {
		s     *session
		frame []byte
	}
	effClose struct {
		s      *session
		last   []byte // frame that goes before the close code, or nil
		code   int
		reason string
	}
	effPublish struct{ msg []byte }
	effDo      struct{ do func() } // answers a call
	effUnload  struct{}
	effWarn    struct {
		msg string
		err error
	}
)

func (effLoad) effect()     {}
func (effCreate) effect()   {}
func (effGreet) effect()    {}
func (effRow) effect()      {}
func (effLog) effect()      {}
func (effAppend) effect()   {}
func (effSnapshot) effect() {}
func (effSend) effect()     {}
func (effClose) effect()    {}
func (effPublish) effect()  {}
func (effDo) effect()       {}
func (effUnload) effect()   {}
func (effWarn) effect()     {}

// logPurpose says for whom a part of the log was read.
type logPurpose struct {
	kind purposeKind
	s    *session    // toFeed, toGreet, toRebase
	call *submission // toRebase
}

type purposeKind uint8

const (
	toSync   purposeKind = iota // the document itself catches up with the store
	toGreet                     // a session's welcome
	toFeed                      // a session that is further behind than the tail
	toRebase                    // an operation whose version is older than the tail
)
