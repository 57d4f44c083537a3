package websocket

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

// witness is a session in order.
type witness struct {
	a     *arena
	conn  net.Conn
	m     *mutant
	edits int64
	over  sync.WaitGroup

	mu      sync.Mutex
	v, seq  int64
	content *ot.Document
	came    chan struct{} // has something when mu's fields have changed
	err     error
}

const witnessClient = "client-of-the-witness"

func (a *arena) witness(doc string) *witness {
	conn, in := a.dial(a.t, doc, "witness")
	w := &witness{a: a, conn: conn, m: &mutant{Rand: rand.New(rand.NewPCG(1, 1))}, came: make(chan struct{}, 1), v: -1}
	w.over.Go(func() {
		for {
			_, payload, err := readFrame(in)
			if err == nil {
				err = w.take(payload)
			}
			w.mu.Lock()
			w.err = err
			w.mu.Unlock()
			select {
			case w.came <- struct{}{}:
			default:
			}
			if err != nil {
				conn.Close()
				return
			}
		}
	})
	w.send(protocol.Hello{Client: witnessClient}.Append(nil))
	w.until(func() bool { return w.v >= 0 })
	return w
}

func (w *witness) send(message []byte) {
	if _, err := w.conn.Write(w.m.bytes(0x81, message)); err != nil {
		w.a.t.Errorf("the witness cannot send: %v", err)
	}
}

// take follows the stream, which has no hole.
func (w *witness) take(frame []byte) error {
	msg, err := protocol.DecodeServer(frame)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch msg := msg.(type) {
	case *protocol.Welcome:
		d, err := ot.Decode(msg.Doc)
		if err != nil {
			return err
		}
		w.v = msg.V
		w.content, err = ot.DocumentOf(msg.Type, d)
		return err
	case *protocol.Ops:
		if msg.V != w.v {
			return fmt.Errorf("operations from %d came at %d", msg.V, w.v)
		}
		for _, op := range msg.Ops {
			d, err := ot.Decode(op.Delta)
			if err == nil {
				err = w.content.Apply(d)
			}
			if err != nil {
				return err
			}
			if w.v++; op.Client == witnessClient {
				if op.Seq != w.seq+1 {
					return fmt.Errorf("seq %d came after %d", op.Seq, w.seq)
				}
				w.seq = op.Seq
			}
		}
	case *protocol.ErrorMessage:
		return &msg.Error
	}
	return nil
}

// until waits for what ok says of w's fields.
func (w *witness) until(ok func() bool) {
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for {
		w.mu.Lock()
		good, err := ok(), w.err
		w.mu.Unlock()
		switch {
		case good:
			return
		case err != nil:
			w.a.t.Fatalf("the witness's session ended: %v", err)
		}
		select {
		case <-w.came:
		case <-limit.C:
			w.a.t.Fatal("the witness waited for a minute")
		}
	}
}

// edit makes an edit and waits until it is stored.
func (w *witness) edit() {
	w.edits++
	w.mu.Lock()
	op := protocol.Op{V: w.v, Seq: w.edits, Delta: ot.Delta{{Insert: "w"}}}
	w.mu.Unlock()
	w.send(op.Append(nil))
	w.until(func() bool { return w.seq == w.edits })
}

func (w *witness) leave() {
	w.conn.Close()
	w.over.Wait()
}

// judge holds the witness's content to the log, and the log to the rules: each client's seq without a gap.
func (a *arena) judge(doc string, w *witness) {
	ops, err := a.store.Log(context.Background(), doc, 0, 1<<30, 0)
	if err != nil {
		a.t.Fatal(err)
	}
	content := ot.NewDocument(ot.Rich)
	seqs := map[string]int64{}
	for i, op := range ops {
		if seqs[op.Client]++; seqs[op.Client] != op.Seq {
			a.t.Errorf("version %d is %s/%d, after %d", i+1, op.Client, op.Seq, seqs[op.Client]-1)
		}
		if int64(i) >= w.v {
			break // the witness had gone
		}
		d, err := ot.Decode(op.Delta)
		if err == nil {
			err = content.Apply(d)
		}
		if err != nil {
			a.t.Fatalf("version %d: %v", i+1, err)
		}
	}
	if seqs[witnessClient] != w.edits {
		a.t.Errorf("%d edits of the witness are stored, of %d", seqs[witnessClient], w.edits)
	}
	if got, want := string(w.content.AppendJSON(nil)), string(content.AppendJSON(nil)); got != want {
		a.t.Errorf("the witness has %.200s, the log makes %.200s", got, want)
	}
}
