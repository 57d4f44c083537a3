package collab

import (
	"context"
	"errors"
	"time"

	"github.com/weft-collab/weft/ot"
)

// Errors that a Store returns; adapters wrap them, callers use errors.Is.
// Every other error of Append means that its outcome is unknown.
var (
	ErrNotFound = errors.New("no such document")
	ErrExists   = errors.New("the document exists")
	ErrDeleted  = errors.New("the document was deleted")
	ErrConflict = errors.New("the head is not at the expected version")
	ErrGone     = errors.New("the log no longer reaches back to that version")

	// ErrNoSnapshot keeps a log from being folded where something could no longer be read.
	ErrNoSnapshot = errors.New("there is no whole snapshot at a version that has to stay readable")
)

// isVerdict reports whether err is what a working store says, and not that it failed.
func isVerdict(err error) bool {
	for _, verdict := range []error{ErrNotFound, ErrExists, ErrDeleted, ErrConflict, ErrGone} {
		if errors.Is(err, verdict) {
			return true
		}
	}
	return false
}

// Operation is one operation of a document's log.
type Operation struct {
	Client string
	Seq    int64     // 1, 2, 3, … for each (document, client)
	User   string    // the user's id, the token's sub
	At     time.Time // when it entered its batch; UTC, microseconds
	Delta  []byte    // JSON as it was committed, byte for byte
}

// Meta is what a store knows of a document besides log and content.
type Meta struct {
	ID      string
	Type    ot.Type
	Version int64 // the head: how many operations the document has taken
	Folded  int64 // the log begins after this version; 0 where nothing was folded
	Created time.Time
	Updated time.Time // of the last operation, or Created
}

// ClientRow is the last committed operation of one client in one document.
type ClientRow struct {
	User    string
	Seq     int64
	Version int64 // that the operation made
}

// Snapshot is the content of a document at a version, in normal form.
type Snapshot struct {
	Version int64
	Content []byte
}

// NamedVersion is a version that somebody gave a name.
type NamedVersion struct {
	Version int64
	Name    string
	User    string    // who named it
	At      time.Time // UTC, microseconds
}

// AuditEntry tells of a document that was deleted or purged.
type AuditEntry struct {
	At         time.Time // UTC
	Action     string    // "delete" or "purge"
	Doc        string
	User       string // who did it
	Operations int64  // that the document had taken
}

// Head is a document's version, as the store has it now.
type Head struct {
	Version int64
	Deleted bool
}

// Store keeps documents: an append-only log for each, the last seq of each
// client, and snapshots as a cache of the log. Its log is the only truth.
// Methods may be called from any goroutine, and by many nodes at once.
// Where a document was deleted, or purged, they return ErrDeleted; where it
// never was, ErrNotFound.
type Store interface {
	// Create makes a document whose log begins with ops (may be none), in one
	// transaction. ErrExists, ErrDeleted.
	Create(ctx context.Context, doc string, typ ot.Type, ops []Operation) (Meta, error)

	// Meta reads a document's head and dates.
	Meta(ctx context.Context, doc string) (Meta, error)

	// Append commits ops after version head, all or none, if the head is still
	// there: the operations, the new head (head+len(ops)) and each client's row,
	// in one durable transaction. ErrConflict when the head has moved, or when a
	// client's row does not stand right before its first seq in ops or is another
	// user's. After any other error the outcome is unknown: only Log tells.
	Append(ctx context.Context, doc string, head int64, ops []Operation) error

	// Log returns operations from the one that made version from+1 on, in order
	// and without a hole: at most limit operations, and none after those whose deltas
	// together have maxBytes (0: no bound). Where it returns fewer than limit, of fewer
	// bytes than that, there are no more. Past the head it returns none.
	// ErrGone where from lies before what is kept.
	Log(ctx context.Context, doc string, from int64, limit, maxBytes int) ([]Operation, error)

	// Operation finds the version that a client's operation made; ErrNotFound
	// where the log does not hold it.
	Operation(ctx context.Context, doc, client string, seq int64) (version int64, err error)

	// Client reads a client's row; the zero ClientRow where it has none.
	Client(ctx context.Context, doc, client string) (ClientRow, error)

	// Heads reads the heads of many documents in one query. Unknown ones are left out.
	Heads(ctx context.Context, docs []string) (map[string]Head, error)

	// Snapshot returns the newest snapshot at or below version at, and the zero
	// Snapshot (Content nil) where there is none. A damaged one is never returned.
	Snapshot(ctx context.Context, doc string, at int64) (Snapshot, error)

	// PutSnapshot keeps a snapshot of a committed version. An equal version is kept
	// once; one before what the log holds is let go.
	PutSnapshot(ctx context.Context, doc string, s Snapshot) error

	// Fold removes the operations up to version to, and the snapshots before it that
	// stand at no named version, in one transaction, and returns how many operations
	// that were: none where they are gone already. The rows of clients stay, and so
	// does the newest operation: to lies below the head. ErrNoSnapshot, and nothing
	// is removed, where there is no whole snapshot at to, or at a named version before it.
	Fold(ctx context.Context, doc string, to int64) (int64, error)

	// Foldable returns the ids of documents whose log, without its newest operation,
	// begins with one that was stored before a time: those greater than after, in
	// order, at most limit.
	Foldable(ctx context.Context, before time.Time, after string, limit int) ([]string, error)

	// NameVersion gives a version that can be read a name; the same name again
	// changes nothing. ErrGone where it was folded.
	NameVersion(ctx context.Context, doc string, v NamedVersion) error

	// Versions returns the named versions, in order.
	Versions(ctx context.Context, doc string) ([]NamedVersion, error)

	// Delete deletes a document: its id is never used again. With purge its log,
	// snapshots, names and client rows are removed for good, also where it was deleted
	// before. In the same transaction the audit is told that by, a user's id, did it.
	Delete(ctx context.Context, doc, by string, purge bool) error

	// Audit returns what was deleted and purged, the newest first, at most limit; of
	// one document, or of all where doc is "".
	Audit(ctx context.Context, doc string, limit int) ([]AuditEntry, error)

	// List returns documents that are not deleted whose id begins with prefix and
	// is greater than after (byte order), in order, at most limit.
	List(ctx context.Context, prefix, after string, limit int) ([]Meta, error)

	// Ping reports whether the store can be written now.
	Ping(ctx context.Context) error

	// Close frees what the store holds. Nothing may be called afterwards.
	Close() error
}
