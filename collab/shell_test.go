package collab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a connection that notes when it was closed, and leaves then.
type clock struct {
	began  time.Time
	mu     sync.Mutex
	closed time.Duration
	code   int
	last   string
	end    chan struct{}
}

func newClock() *clock { return &clock{began: time.Now(), end: make(chan struct{})} }

func (c *clock) Send([]byte) {}

func (c *clock) Close(last []byte, code int, _ string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed, c.code, c.last = time.Since(c.began), code, string(last)
	close(c.end)
}

func TestADrainSpreadsItsByesOverTheTimeThatItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, nil)
		var clocks []*clock
		var work sync.WaitGroup
		for i := range 500 {
			conn := newClock()
			clocks = append(clocks, conn)
			s := c.hubs[0].Join(context.Background(), fmt.Sprintf("doc%d", i%7), user("ada", Write), hello(fmt.Sprintf("c%d", i)), conn)
			work.Go(func() { <-conn.end; s.Leave() })
		}
		synctest.Wait()
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := c.hubs[0].Drain(ctx); err != nil {
			t.Error(err)
		}
		work.Wait()
		window := 10 * time.Second // half of what the deadline leaves; the rest is for snapshots
		var at []time.Duration
		for _, conn := range clocks {
			if conn.code != 1012 || !strings.Contains(conn.last, `"bye"`) {
				t.Fatalf("closed with %d, %s", conn.code, conn.last)
			}
			at = append(at, conn.closed-began.Sub(conn.began))
		}
		slices.Sort(at)
		if spread := at[len(at)-1] - at[0]; spread < window*8/10 || at[len(at)-1] > window {
			t.Errorf("500 byes came from %v to %v, within %v", at[0], at[len(at)-1], window)
		}
		most, from := 0, 0
		for to := range at { // how many in any second
			for at[to]-at[from] > time.Second {
				from++
			}
			most = max(most, to-from+1)
		}
		if most > 2*500/10 {
			t.Errorf("%d of 500 byes came within one second", most)
		}
	})
}

func TestACallThatIsUnderWayIsAnsweredByADrainingNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowStore{memStore: newMemStore(), append: 3 * time.Second}
		c := newCluster(t, 1, func(c *Config) { c.Store = slow })
		if _, err := c.hubs[0].Create(t.Context(), user("ada", Write), "doc", ot.Rich, nil); err != nil {
			t.Fatal(err)
		}
		answered := make(chan error, 1)
		go func() {
			_, err := c.hubs[0].Submit(context.Background(), user("ada", Write), "doc", hello("bot").Client, insert(0, 1, "x"), true)
			answered <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := c.hubs[0].Drain(ctx); err != nil {
			t.Error(err)
		}
		if err := <-answered; err != nil {
			t.Errorf("it was taken before the drain, and answered: %v", err)
		}
		if s, _ := slow.Snapshot(t.Context(), "doc", 1); s.Version != 1 {
			t.Errorf("the snapshot is of version %d", s.Version)
		}
	})
}

// slowStore takes its time to append, and fails where it is told to.
type slowStore struct {
	*memStore
	append time.Duration
	err    error
}

func (s *slowStore) Append(ctx context.Context, doc string, head int64, ops []Operation) error {
	select {
	case <-time.After(s.append):
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.err != nil {
		return s.err
	}
	return s.memStore.Append(ctx, doc, head, ops)
}

func (s *slowStore) Log(ctx context.Context, doc string, from int64, limit, most int) ([]Operation, error) {
	if s.err != nil {
		return nil, s.err
	}
	return s.memStore.Log(ctx, doc, from, limit, most)
}

func TestRetriesEndWhenTheStoreStaysAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowStore{memStore: newMemStore()}
		c := newCluster(t, 1, func(c *Config) { c.Store, c.StoreAfter = slow, 30*time.Second })
		if _, err := c.hubs[0].Create(t.Context(), user("ada", Write), "doc", ot.Rich, nil); err != nil {
			t.Fatal(err)
		}
		conn := newClock()
		s := c.hubs[0].Join(t.Context(), "doc", user("ada", Write), hello("ada"), conn)
		synctest.Wait()
		slow.err = errors.New("away")
		s.Receive(t.Context(), insert(0, 1, "x"))
		<-conn.end
		if conn.code != 1013 || conn.closed < 30*time.Second || conn.closed > 40*time.Second {
			t.Errorf("closed with %d after %v", conn.code, conn.closed)
		}
		if stats := c.hubs[0].Stats(); stats.Failures < 5 || stats.Cut != 1 || stats.Warnings == 0 {
			t.Errorf("the counts do not tell it: %+v", stats)
		}
		s.Leave()
	})
}

func TestADocumentThatIsLetGoIsOpenedAnewWhileThoseTurnedAwayStillLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowStore{memStore: newMemStore()}
		c := newCluster(t, 1, func(c *Config) { c.Store, c.StoreAfter = slow, time.Second })
		if _, err := c.hubs[0].Create(t.Context(), user("ada", Write), "doc", ot.Rich, nil); err != nil {
			t.Fatal(err)
		}
		first := newClock()
		s := c.hubs[0].Join(t.Context(), "doc", user("ada", Write), hello("ada"), first)
		synctest.Wait()
		slow.err = errors.New("away")
		s.Receive(t.Context(), insert(0, 1, "x"))
		<-first.end
		slow.err = nil
		synctest.Wait()
		if _, err := c.hubs[0].Read(t.Context(), user("ada", Read), "doc", -1); err != nil {
			t.Errorf("somebody who was turned away has not left yet, and so nobody is served: %v", err)
		}
		s.Leave()
		time.Sleep(time.Minute)
		if n := c.hubs[0].Stats().Documents; n != 0 {
			t.Errorf("%d documents stay in memory", n)
		}
	})
}

func TestADrainDoesNotWaitForARetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowStore{memStore: newMemStore()}
		c := newCluster(t, 1, func(c *Config) { c.Store, c.StoreAfter = slow, time.Hour })
		if _, err := c.hubs[0].Create(t.Context(), user("ada", Manage), "doc", ot.Rich, nil); err != nil {
			t.Fatal(err)
		}
		conn := newClock()
		s := c.hubs[0].Join(t.Context(), "doc", user("ada", Write), hello("ada"), conn)
		synctest.Wait()
		slow.err = errors.New("away")
		s.Receive(t.Context(), insert(0, 1, "x"))
		time.Sleep(20 * time.Second) // by now two seconds lie between two tries
		if err := c.hubs[0].Delete(t.Context(), user("ada", Manage), "doc", false); err != nil {
			t.Fatal(err)
		}
		<-conn.end
		s.Leave()
		began := time.Now()
		if err := c.hubs[0].Drain(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %v", took)
		}
	})
}

func TestAnIdleDocumentLeavesMemoryAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, nil)
		s := c.hubs[0].Join(t.Context(), "doc", user("ada", Write), hello("ada"), newClock())
		synctest.Wait()
		s.Leave()
		time.Sleep(29 * time.Second)
		if n := c.hubs[0].Stats().Documents; n != 1 {
			t.Errorf("after 29 s there are %d documents", n)
		}
		time.Sleep(2 * time.Second)
		if n := c.hubs[0].Stats().Documents; n != 0 {
			t.Errorf("after 31 s there are %d documents", n)
		}
	})
}

func TestASessionEndsWithItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, nil)
		conn := newClock()
		id := user("ada", Read)
		id.Expires = time.Now().Add(10 * time.Second)
		s := c.hubs[0].Join(t.Context(), "doc", user("bob", Write), hello("bob"), newClock())
		synctest.Wait()
		defer s.Leave()
		reader := c.hubs[0].Join(t.Context(), "doc", id, hello("ada"), conn)
		<-conn.end
		reader.Leave()
		if conn.code != 4401 || conn.closed != 10*time.Second {
			t.Errorf("closed with %d after %v", conn.code, conn.closed)
		}
	})
}

// deafBus loses everything.
type deafBus struct{ Bus }

func (deafBus) Publish(string, []byte) {}

func TestWhatTheBusLosesIsFoundByComparingHeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, func(c *Config) { c.Bus = deafBus{c.Bus} })
		ada, a := c.join(0, user("ada", Write), hello("ada"))
		a.await(t, `"welcome"`)
		_, b := c.join(1, user("bob", Read), hello("bob"))
		b.await(t, `"welcome"`)
		began := time.Now()
		ada.Receive(t.Context(), insert(0, 1, "x"))
		b.await(t, `"ops"`)
		if late := time.Since(began); late > 3*time.Second {
			t.Errorf("it came after %v", late)
		}
	})
}

func TestADocumentTakesNoMoreOperationsThanItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, func(c *Config) { c.OpsPerDocument = 5 })
		taken, refused := 0, 0
		for i := range 20 { // each by a user of its own, who has done nothing yet
			_, err := c.hubs[0].Create(t.Context(), user("ada", Write), "doc", ot.Rich, nil)
			if i > 0 && code(err) != protocol.Exists {
				t.Fatal(err)
			}
			name := fmt.Sprintf("u%d", i)
			switch _, err = c.hubs[0].Submit(t.Context(), user(name, Write), "doc", hello(name).Client, insert(0, 1, "x"), true); {
			case err == nil:
				taken++
			case code(err) == protocol.RateLimited:
				refused++
			default:
				t.Fatal(err)
			}
		}
		if taken != 10 || refused != 10 { // two seconds' worth at once
			t.Errorf("%d were taken, %d refused", taken, refused)
		}
	})
}
