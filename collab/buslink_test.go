package collab

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// heardBus notes what is subscribed to and who listens.
type heardBus struct {
	Bus
	mu   sync.Mutex
	docs map[string]bool
	to   Receiver
}

func (b *heardBus) Subscribe(doc string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.docs[doc] = true
	b.Bus.Subscribe(doc)
}

func (b *heardBus) Unsubscribe(doc string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.docs, doc)
	b.Bus.Unsubscribe(doc)
}

func (b *heardBus) Run(ctx context.Context, r Receiver) error {
	b.mu.Lock()
	b.to = r
	b.mu.Unlock()
	return b.Bus.Run(ctx, r)
}

func TestADocumentThatLeavesMemoryIsNoLongerSubscribedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &heardBus{docs: map[string]bool{}}
		c := newCluster(t, 1, func(c *Config) { bus.Bus = c.Bus; c.Bus = bus })
		s, a := c.join(0, user("ada", Write), hello("ada"))
		a.await(t, `"welcome"`)
		if !bus.docs["doc"] {
			t.Error("it is not subscribed to while somebody is there")
		}
		c.leave(s)
		time.Sleep(time.Minute)
		synctest.Wait()
		if bus.docs["doc"] {
			t.Error("it is still subscribed to")
		}
	})
}

// Heads are compared so seldom here that what is told comes by the bus, or by the link itself.
func TestADeletionIsToldOnEveryNodeWithoutAComparisonOfHeads(t *testing.T) {
	for _, purge := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 2, func(c *Config) { c.CheckEvery = 24 * time.Hour })
			for node := range c.hubs {
				_, conn := c.join(node, user("ada", Write), hello(string(rune('a'+node))))
				conn.await(t, `"welcome"`)
				defer conn.await(t, `"deleted"`)
			}
			synctest.Wait() // every node hears the bus
			if err := c.hubs[0].Delete(t.Context(), user("ada", Manage), "doc", purge); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestHeadsAreComparedAtOnceWhenTheBusComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var buses []*heardBus
		c := newCluster(t, 2, func(c *Config) {
			bus := &heardBus{Bus: c.Bus, docs: map[string]bool{}}
			buses = append(buses, bus)
			c.Bus, c.CheckEvery = deafBus{bus}, 24*time.Hour
		})
		ada, a := c.join(0, user("ada", Write), hello("ada"))
		a.await(t, `"welcome"`)
		_, b := c.join(1, user("bob", Read), hello("bob"))
		b.await(t, `"welcome"`)
		ada.Receive(t.Context(), insert(0, 1, "x"))
		a.await(t, `"ops"`)
		synctest.Wait()
		buses[1].to.Gap()
		b.await(t, `"ops"`)
	})
}

// absentBus is never there, and has not noticed that.
type absentBus struct{ Bus }

func (absentBus) Run(ctx context.Context, _ Receiver) error {
	<-ctx.Done()
	return nil
}

func TestUntilTheBusIsThereHeadsAreComparedAsWhenItIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, func(c *Config) { c.Bus, c.CheckEvery = absentBus{c.Bus}, 24*time.Hour })
		ada, a := c.join(0, user("ada", Write), hello("ada"))
		a.await(t, `"welcome"`)
		_, b := c.join(1, user("bob", Read), hello("bob"))
		b.await(t, `"welcome"`)
		began := time.Now()
		ada.Receive(t.Context(), insert(0, 1, "x"))
		b.await(t, `"ops"`)
		if late := time.Since(began); late > time.Second {
			t.Errorf("it came after %v", late)
		}
	})
}
