package websocket

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	longMessage = 64 << 10         // bytes; of a longer one each byte is counted while it comes
	longWait    = 2 * time.Minute  // for all of it to come
	roomWait    = 10 * time.Second // for room
)

// errCrowded says that long messages of others left no room for one in time.
var errCrowded = errors.New("too many long messages are coming at a time")

// room is the memory that long messages may take while they come, on all connections of a node.
// A message has its place from the header that makes it long until it is whole. It never waits
// for more than it has: what waits in front of it might wait for its end.
type room struct {
	bytes   *semaphore.Weighted
	message int64 // the most that one takes
}

func newRoom(bytes, message int64) *room {
	message = min(bytes, message)
	return &room{semaphore.NewWeighted(bytes), message}
}

// place is what a connection holds of a room.
type place struct {
	*room // nil: without bounds
	size  uint64
	held  int64
	until time.Time
}

// grow notes that so many bytes more of the message are to come, the last ones or not, and
// waits for room once it is long.
func (p *place) grow(length uint64, last bool) error {
	if p.size += length; p.room == nil || p.size <= longMessage || p.held > 0 {
		return nil
	}
	want := p.message // more than that is refused anyway
	if last && p.size < uint64(want) {
		want = int64(p.size)
	}
	ctx, cancel := context.WithTimeout(context.Background(), roomWait)
	defer cancel()
	if p.bytes.Acquire(ctx, want) != nil {
		return errCrowded
	}
	p.held, p.until = want, time.Now().Add(longWait)
	return nil
}

// late reports whether the message had its time.
func (p *place) late() bool { return p.held > 0 && time.Now().After(p.until) }

// leave gives the place back: the message is whole, or its connection gone.
func (p *place) leave() {
	if p.size = 0; p.held > 0 {
		p.bytes.Release(p.held)
		p.held = 0
	}
}
