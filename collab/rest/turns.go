package rest

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/weft-collab/weft/collab/protocol"
)

const (
	turnWait  = 10 * time.Second // for a turn, before the caller is told to come again
	turnBytes = 4 << 20          // what a call that answers with content is taken to need, until its answer is known
)

// turns bounds what the calls under way hold in memory, however slowly their bodies come and
// their answers are read: each user has some calls at a time, and all together some bytes. Who comes
// beyond that waits.
type turns struct {
	each  int64 // calls of one user; 0: no bound
	most  int64 // bytes
	bytes *semaphore.Weighted

	mu    sync.Mutex
	users map[string]*line
}

// line is where the calls of one user stand.
type line struct {
	*semaphore.Weighted
	calls int // under way or waiting
}

func newTurns(each, most int) *turns {
	return &turns{each: int64(each), most: int64(most), bytes: semaphore.NewWeighted(int64(most)), users: map[string]*line{}}
}

// enter waits for a user's turn; leave gives it back.
func (t *turns) enter(ctx context.Context, user string) (leave func(), err error) {
	if t.each <= 0 {
		return func() {}, nil
	}
	t.mu.Lock()
	l := t.users[user]
	if l == nil {
		l = &line{Weighted: semaphore.NewWeighted(t.each)}
		t.users[user] = l
	}
	l.calls++
	t.mu.Unlock()
	gone := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if l.calls--; l.calls == 0 {
			delete(t.users, user)
		}
	}
	if !acquire(ctx, l.Weighted, 1) {
		gone()
		return nil, &protocol.Error{Code: protocol.RateLimited, Msg: "this user has as many calls under way as one may have", RetryMS: 1000}
	}
	return func() { l.Release(1); gone() }, nil
}

// hold waits until the calls of all users leave room for so many bytes.
func (t *turns) hold(ctx context.Context, bytes int64) (held int64, err error) {
	held = min(bytes, t.most)
	if !acquire(ctx, t.bytes, held) {
		return 0, &protocol.Error{Code: protocol.Unavailable, Msg: "this node has as many calls under way as it has room for; come again", RetryMS: 2000}
	}
	return held, nil
}

func acquire(ctx context.Context, s *semaphore.Weighted, n int64) bool {
	ctx, cancel := context.WithTimeout(ctx, turnWait)
	defer cancel()
	return s.Acquire(ctx, n) == nil
}
