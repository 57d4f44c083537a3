package collab

import (
	"testing"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
)

// A snapshot that is written when its document was deleted is no failure: it tells the node of the deletion.
func TestASnapshotOfADeletedDocumentTellsOfTheDeletion(t *testing.T) {
	store := longStore(t, 50)
	s := newStage(t, store)
	s.answer()
	session := s.join("ada", Write, s.now.Add(time.Hour), protocol.Hello{})
	if err := store.Delete(t.Context(), simDoc, "boss", false); err != nil {
		t.Fatal(err)
	}
	err := store.PutSnapshot(t.Context(), simDoc, Snapshot{Version: 50})
	s.step(evSnapshotted{50, err})
	if s.ended[session] != string(protocol.Deleted) {
		t.Errorf("the session ends with %q", s.ended[session])
	}
}
