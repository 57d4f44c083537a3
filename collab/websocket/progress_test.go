package websocket

import (
	"bytes"
	"io"
	"math/rand/v2"
	"slices"
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

// A message that takes a client more than a minute to send arrives, though the client answers no ping before its end.
func TestALargeMessageArrivesFromAClientOnASlowLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newArena(t)
		conn, in := a.dial(t, "doc", "writer")
		defer conn.Close()
		answered := make(chan bool, 1)
		go func() {
			for {
				_, payload, err := readFrame(in)
				if err != nil || string(payload) == `{"t":"pong"}` {
					answered <- err == nil
					return
				}
			}
		}()
		m := &mutant{Rand: rand.New(rand.NewPCG(1, 1))}
		frames := append(m.bytes(0x81, protocol.Hello{Client: "client-of-the-writer"}.Append(nil)),
			m.bytes(0x81, []byte(`{"t":"ping"`+strings.Repeat(" ", 1_000_000)+`}`))...)
		began := time.Now()
		for piece := range slices.Chunk(frames, 10_000) {
			if _, err := conn.Write(piece); err != nil {
				t.Fatalf("cut off after %v: %v", time.Since(began), err)
			}
			time.Sleep(time.Second)
		}
		if took := time.Since(began); took < 2*pongWait || !<-answered {
			t.Errorf("it is not answered, or took no more than %v", took)
		}
	})
}
