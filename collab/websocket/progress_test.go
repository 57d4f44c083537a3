package websocket

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

// A document that takes a client a minute to read arrives: only who makes no progress is cut off.
func TestALargeDocumentReachesAClientOnASlowLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newArena(t)
		text := strings.Repeat("0123456789", 100_000)
		op := collab.Operation{Client: "client-of-the-writer", Seq: 1, User: "writer", At: time.Now(), Delta: ot.New().Insert(text).AppendJSON(nil)}
		if _, err := a.store.Create(t.Context(), "doc", ot.Text, nil); err != nil {
			t.Fatal(err)
		}
		if err := a.store.Append(t.Context(), "doc", 0, []collab.Operation{op}); err != nil {
			t.Fatal(err)
		}
		conn, in := a.dial(t, "doc", "reader")
		defer conn.Close()
		m := &mutant{Rand: rand.New(rand.NewPCG(1, 1))}
		if _, err := conn.Write(m.bytes(0x81, protocol.Hello{Client: "client-of-the-reader"}.Append(nil))); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var got bytes.Buffer
		for got.Len() < len(text) {
			if _, err := io.CopyN(&got, in, 10_000); err != nil {
				t.Fatalf("cut off after %v and %d bytes: %v", time.Since(began), got.Len(), err)
			}
			time.Sleep(600 * time.Millisecond)
		}
		if took := time.Since(began); took < 3*writeWait || !strings.Contains(got.String(), `"t":"welcome"`) {
			t.Errorf("it took %v: this shows nothing", took)
		}
	})
}
