package websocket

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/semaphore"
)

// half is a frame's header and the first bytes of its payload.
func half(first byte, length, sent int) []byte {
	frame := binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, uint64(length))
	return append(frame, make([]byte, 4+sent)...)
}

// sender is one end of a connection whose other end reads strictly.
type sender struct {
	net.Conn
	ended chan error   // why the reader ended
	got   atomic.Int64 // bytes
}

func send(r *room) *sender {
	mine, theirs := net.Pipe()
	s := &sender{Conn: mine, ended: make(chan error, 1)}
	go func() {
		reader := &strict{Conn: theirs, place: place{room: r}}
		defer theirs.Close()
		defer reader.place.leave()
		buffer := make([]byte, 1024)
		for {
			n, err := reader.Read(buffer)
			if s.got.Add(int64(n)); err != nil {
				s.ended <- err
				return
			}
		}
	}()
	return s
}

// ends is why the connection has ended; nil where it has not.
func (s *sender) ends() error {
	synctest.Wait()
	select {
	case err := <-s.ended:
		return err
	default:
		return nil
	}
}

func TestLongMessagesThatAreComingShareABound(t *testing.T) {
	const size = 100 << 10
	synctest.Test(t, func(t *testing.T) {
		r := &room{semaphore.NewWeighted(2*size + size/2), size}
		var all []*sender
		begin := func(frame []byte) *sender {
			s := send(r)
			all = append(all, s)
			go func() { _, _ = s.Write(frame) }()
			synctest.Wait()
			return s
		}
		first, second := begin(half(0x81, size, 1000)), begin(half(0x01, size, size)) // the second is whole, but for its last fragment
		third := begin(half(0x81, size, 1000))
		if first.got.Load() == 0 || second.got.Load() < size || third.got.Load() > 0 {
			t.Errorf("%d, %d and %d bytes are taken, with room for two messages", first.got.Load(), second.got.Load(), third.got.Load())
		}
		short := begin(half(0x81, 65536, 65536))
		if short.got.Load() < 65536 {
			t.Errorf("a short message is kept waiting: %d bytes are taken", short.got.Load())
		}
		go func() { _, _ = first.Write(make([]byte, size-1000)) }()
		synctest.Wait()
		if third.got.Load() == 0 {
			t.Error("the third is not taken when the first is whole")
		}
		fourth, fifth := begin(half(0x81, size, 1000)), begin(half(0x81, size, 1000))
		second.Close()
		synctest.Wait()
		if (fourth.got.Load() > 0) == (fifth.got.Load() > 0) {
			t.Errorf("%d and %d bytes are taken, with room for one of them", fourth.got.Load(), fifth.got.Load())
		}
		time.Sleep(roomWait)
		if a, b := fourth.ends(), fifth.ends(); (a == nil) == (b == nil) || !errors.Is(errors.Join(a, b), errCrowded) {
			t.Errorf("after a while without room they end with %v and %v", a, b)
		}
		for _, s := range all {
			s.Close()
		}
		synctest.Wait()
		if !r.bytes.TryAcquire(2*size + size/2) {
			t.Error("not all room is given back")
		}
	})
}

// The end of a message is not kept waiting by one that waits for just this end.
func TestTheEndOfALongMessageFindsRoom(t *testing.T) {
	const size, part = 200 << 10, 100 << 10
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(size+part/2, size)
		first, second := send(r), send(r)
		defer first.Close()
		defer second.Close()
		_, _ = first.Write(half(0x01, part, part))
		go func() { _, _ = second.Write(half(0x81, size, 1000)) }()
		synctest.Wait()
		go func() { _, _ = first.Write(half(0x80, part, part)) }()
		synctest.Wait()
		if first.got.Load() < 2*part || second.got.Load() == 0 {
			t.Errorf("%d and %d bytes are taken: %v, %v", first.got.Load(), second.got.Load(), first.ends(), second.ends())
		}
	})
}

func TestALongMessageThatIsTooLargeTakesTheRoomOfTheLargest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(1<<20, 100<<10)
		s := send(r)
		defer s.Close()
		go func() { _, _ = s.Write(half(0x81, 1<<40, 1)) }()
		synctest.Wait()
		if s.got.Load() == 0 || s.ends() != nil || r.bytes.TryAcquire(1<<20-100<<10+1) || !r.bytes.TryAcquire(1<<20-100<<10) {
			t.Errorf("%d bytes are taken, and not the room of the largest message", s.got.Load())
		}
	})
}

func TestALongMessageHasItsTimeToCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := send(newRoom(1<<20, 1<<20))
		defer s.Close()
		go func() {
			_, _ = s.Write(half(0x81, 100<<10, 1))
			for range longWait/time.Second + 2 {
				time.Sleep(time.Second)
				if _, err := s.Write([]byte{0}); err != nil {
					return
				}
			}
		}()
		time.Sleep(longWait - time.Millisecond)
		if err := s.ends(); err != nil {
			t.Errorf("it ends within its time: %v", err)
		}
		time.Sleep(2 * time.Second)
		var wrong violation
		if err := s.ends(); !errors.As(err, &wrong) {
			t.Errorf("it goes on after its time: %v", err)
		}
		s.Close()
		time.Sleep(time.Second)
	})
}

// What is read through strict is what was sent, wherever room was waited for.
func TestLongMessagesComeAsTheyWereSent(t *testing.T) {
	var sent []byte
	for i := range 5 {
		frame := half(0x02, 70<<10, 70<<10)
		for k := range frame[14:] {
			frame[14+k] = byte(i + k)
		}
		sent = append(append(sent, frame...), 0x80, 0x80, 0, 0, 0, 0) // an empty last fragment
	}
	mine, theirs := net.Pipe()
	go func() {
		defer mine.Close()
		_, _ = mine.Write(sent)
	}()
	r := newRoom(100<<10, 100<<10)
	got, err := io.ReadAll(&strict{Conn: theirs, place: place{room: r}})
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes of %d, %v", len(got), len(sent), err)
	}
	if !r.bytes.TryAcquire(100 << 10) {
		t.Error("not all room is given back")
	}
}
