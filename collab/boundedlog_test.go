package collab

import (
	"strings"
	"testing"

	"github.com/weft-collab/weft/ot"
)

// A reading of the log that its bound of bytes cuts short is not the end of the log.
func TestAReadingIsNotOlderThanWhatIsStoredHoweverLargeOperationsAre(t *testing.T) {
	for _, sizes := range [][]int{{400 << 10, 700 << 10}, {1, frameBytes}, {frameBytes, 1}, {frameBytes - 1, 1, 1}} {
		store := bornStore(t)
		s := newStage(t, store)
		s.answer()
		for i, n := range sizes {
			op := Operation{Client: "b", Seq: int64(i + 1), User: "bob", Delta: ot.New().Insert(strings.Repeat("b", n)).AppendJSON(nil)}
			if err := store.Append(t.Context(), simDoc, int64(i), []Operation{op}); err != nil {
				t.Fatal(err)
			}
		}
		version := int64(-1)
		s.step(evRead{func(d Document, _ error) { version = d.Version }})
		s.answer()
		if version != int64(len(sizes)) {
			t.Errorf("operations of %v bytes are stored; a reading brings version %d", sizes, version)
		}
	}
}
