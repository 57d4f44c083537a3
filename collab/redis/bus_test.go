package redis_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weft-collab/weft/collab/redis"
	"github.com/weft-collab/weft/collab/redis/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a bus and what it brought.
type node struct {
	*redis.Bus
	messages, events chan string
}

func (n *node) Message(doc string, msg []byte) { n.messages <- doc + " " + string(msg) }
func (n *node) Gap()                           { n.events <- "gap" }
func (n *node) Down()                          { n.events <- "down" }

func start(t *testing.T, url, prefix, name string) *node {
	t.Helper()
	bus, err := redis.New(url, prefix, name, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	n := &node{bus, make(chan string, 1000), make(chan string, 1000)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = bus.Run(ctx, n)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return n
}

func await(t *testing.T, from chan string, want string) {
	t.Helper()
	select {
	case got := <-from:
		if got != want {
			t.Fatalf("%q came, not %q", got, want)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("%q did not come", want)
	}
}

// reaches publishes until a message arrives: a subscription takes effect a moment after it is asked for.
func reaches(t *testing.T, from, to *node, doc string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		from.Publish(doc, []byte("probe"))
		select {
		case <-to.messages:
			for {
				select {
				case <-to.messages:
				case <-time.After(200 * time.Millisecond):
					return
				}
			}
		case <-time.After(50 * time.Millisecond):
		case <-deadline:
			t.Fatal("no message comes through")
		}
	}
}

func TestMessagesReachOtherNodesAndNotTheirOwn(t *testing.T) {
	server := redistest.Start(t)
	a, b := start(t, server.URL(), "weft", "a"), start(t, server.URL(), "weft", "b")
	await(t, a.events, "gap")
	await(t, b.events, "gap")
	for _, n := range []*node{a, b} {
		n.Subscribe("one")
		n.Subscribe("two")
	}
	reaches(t, a, b, "one")
	reaches(t, b, a, "one")
	a.Publish("one", []byte("line\nand \x00 another"))
	a.Publish("two", []byte("2"))
	await(t, b.messages, "one line\nand \x00 another")
	await(t, b.messages, "two 2")
	b.Publish("one", []byte("back"))
	await(t, a.messages, "one back")
}

func TestWhatIsNotSubscribedToIsNotDelivered(t *testing.T) {
	server := redistest.Start(t)
	a, b, other := start(t, server.URL(), "weft", "a"), start(t, server.URL(), "weft", "b"), start(t, server.URL(), "another", "c")
	b.Subscribe("one")
	b.Subscribe("two")
	other.Subscribe("one")
	reaches(t, a, b, "one")
	reaches(t, a, b, "two")
	b.Unsubscribe("one")
	deadline := time.After(30 * time.Second)
	for gone := false; !gone; { // until the wish has taken effect
		a.Publish("one", []byte("1"))
		a.Publish("two", []byte("2"))
		select {
		case m := <-b.messages:
			gone = m == "two 2"
		case <-deadline:
			t.Fatal("messages still come")
		}
	}
	if len(other.messages) > 0 {
		t.Errorf("an installation with another prefix heard %q", <-other.messages)
	}
}

func TestALostLinkIsToldAndComesBackWithItsSubscriptions(t *testing.T) {
	server := redistest.Start(t)
	a, b := start(t, server.URL(), "weft", "a"), start(t, server.URL(), "weft", "b")
	await(t, b.events, "gap")
	b.Subscribe("one")
	reaches(t, a, b, "one")

	server.Do(t, "CLIENT KILL TYPE pubsub")
	await(t, b.events, "down")
	await(t, b.events, "gap")
	reaches(t, a, b, "one")

	server.Kill()
	await(t, b.events, "down")
	b.Subscribe("two") // the wish is kept
	server.Restart(t)
	await(t, b.events, "gap")
	reaches(t, a, b, "one")
	reaches(t, a, b, "two")

	server.Do(t, "FLUSHALL")
	reaches(t, a, b, "one")

	server.Pause()
	await(t, b.events, "down")
	server.Resume()
	await(t, b.events, "gap")
	reaches(t, a, b, "one")
}

func TestANodeStartsWithoutRedisAndFindsItLater(t *testing.T) {
	server := redistest.Start(t)
	server.Kill()
	a, b := start(t, server.URL(), "weft", "a"), start(t, server.URL(), "weft", "b")
	b.Subscribe("one")
	await(t, b.events, "down")
	if err := a.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "WEFT_REDIS_URL") {
		t.Errorf("%v", err)
	}
	for range 10_000 {
		a.Publish("one", []byte("lost")) // never blocks
	}
	server.Restart(t)
	await(t, b.events, "gap")
	reaches(t, a, b, "one")
}

func TestABadURLSaysWhatToDoAndKeepsThePassword(t *testing.T) {
	_, err := redis.New("http://user:hunter2@host", "weft", "a", slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "redis://") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
}
