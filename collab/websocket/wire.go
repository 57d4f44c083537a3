package websocket

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// pieceBytes is how much is written under one deadline: a client that takes some of it
// within writeWait makes progress, however long the whole frame takes.
const pieceBytes = 32 << 10

// wire is a connection that writes long frames in pieces, and that when it is closed ends its
// own side first and goes on reading for a moment: closed with input unread, TCP would
// reset it, and the last frame would be lost.
type wire struct {
	*strict
	work     *sync.WaitGroup
	progress func() // some of a frame was written, and more is to come

	mu     sync.Mutex // of closed, and of the deadline after it
	closed bool
}

// Read takes bytes of a long message, which has a time of its own, for a sign of life: a client
// can answer no ping before it has sent the whole frame.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.strict.Read(p)
	if n > 0 && w.place.held > 0 {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.closed {
			_ = w.SetReadDeadline(time.Now().Add(pongWait))
		}
	}
	return n, err
}

// Write writes all of p.
func (w *wire) Write(p []byte) (written int, err error) {
	for {
		n, err := w.Conn.Write(p[written:min(len(p), written+pieceBytes)])
		written += n
		switch {
		case written == len(p):
			return written, nil
		case err != nil && (n == 0 || !errors.Is(err, os.ErrDeadlineExceeded)):
			return written, err
		case !w.goOn():
			return written, net.ErrClosed
		}
		w.progress()
	}
}

// goOn sets the deadlines for the next piece, unless the connection is being closed. Who takes
// a piece is alive; it is sent no ping to answer before the whole frame is written.
func (w *wire) goOn() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.closed && w.Conn.SetWriteDeadline(time.Now().Add(writeWait)) == nil && w.Conn.SetReadDeadline(time.Now().Add(pongWait)) == nil
}

func (w *wire) Close() error {
	if !w.shut() {
		return nil
	}
	half, ok := w.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		_ = w.Conn.Close()
		return nil
	}
	w.work.Add(1)
	go func() {
		defer w.work.Done()
		discard(w.Conn)
		_ = w.Conn.Close()
	}()
	return nil
}

// shut ends a write that hangs, after a moment, and reports whether it is the first to do so.
func (w *wire) shut() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.closed = true
	_ = w.SetDeadline(time.Now().Add(lingerWait))
	return true
}

func discard(c net.Conn) {
	var buffer [512]byte
	for {
		if _, err := c.Read(buffer[:]); err != nil {
			return
		}
	}
}
