// Package redis is a collab.Bus on Redis publish and subscribe, through go-redis.
// Redis is a hint: it may lose messages, be down, or be flushed, and documents only hear of changes later.
package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/weft-collab/weft/collab"
)

const (
	queueMost  = 4096            // messages that wait to be published
	queueBytes = 32 << 20        // and their bytes
	silence    = 3 * time.Second // after which the link is pinged, and after twice that given up
	timeout    = 5 * time.Second // of one command
)

// Bus carries messages between nodes over one Redis.
type Bus struct {
	client *redis.Client
	prefix string // of channel names
	sender []byte // what this node's messages begin with
	log    *slog.Logger
	wake   chan struct{}

	mu       sync.Mutex
	hears    *redis.PubSub   // the connection that listens; nil while there is none
	channels map[string]bool // to be subscribed to
	wishes   map[string]bool // channels whose subscription has changed since it was last written
	queue    []message
	bytes    int
	lost     int // messages that did not fit
}

type message struct {
	channel string
	payload []byte
}

// New makes a bus on the Redis at url, redis://user:password@host:6379/0, without
// connecting. Nodes of one installation have the same prefix; node is this one's
// name, like no other's. Errors say what to do, and hold no password.
func New(url, prefix, node string, log *slog.Logger) (*Bus, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("WEFT_REDIS_URL cannot be read; redis://user:password@host:6379/0 is the form")
	}
	options.ReadTimeout, options.WriteTimeout, options.DialTimeout = timeout, timeout, timeout
	options.MaxRetries = -1 // a message that is late is worth nothing
	return &Bus{
		client: redis.NewClient(options), prefix: prefix + ":doc:", sender: []byte(node + "\n"), log: log,
		wake: make(chan struct{}, 1), wishes: map[string]bool{}, channels: map[string]bool{},
	}, nil
}

// Ping reports whether Redis answers.
func (b *Bus) Ping(ctx context.Context) error {
	if err := b.client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("no answer from Redis at %s: %w; check that it runs and that WEFT_REDIS_URL names it", b.client.Options().Addr, err)
	}
	return nil
}

// Subscribe asks for a document's messages.
func (b *Bus) Subscribe(doc string) { b.wish(doc, true) }

// Unsubscribe ends that.
func (b *Bus) Unsubscribe(doc string) { b.wish(doc, false) }

func (b *Bus) wish(doc string, wanted bool) {
	b.mu.Lock()
	if channel := b.prefix + doc; wanted {
		b.channels[channel], b.wishes[channel] = true, true
	} else {
		delete(b.channels, channel)
		b.wishes[channel] = true
	}
	b.mu.Unlock()
	b.ring()
}

// Publish queues a message for other nodes.
func (b *Bus) Publish(doc string, msg []byte) {
	payload := append(append(make([]byte, 0, len(b.sender)+len(msg)), b.sender...), msg...)
	b.mu.Lock()
	if len(b.queue) < queueMost && b.bytes+len(payload) <= queueBytes {
		b.queue = append(b.queue, message{b.prefix + doc, payload})
		b.bytes += len(payload)
	} else {
		b.lost++
	}
	b.mu.Unlock()
	b.ring()
}

func (b *Bus) ring() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Run delivers messages to r until ctx ends.
func (b *Bus) Run(ctx context.Context, r collab.Receiver) error {
	var wg sync.WaitGroup
	wg.Go(func() { b.write(ctx) })
	failing := false
	for ctx.Err() == nil {
		up, err := b.listen(ctx, r, failing)
		if ctx.Err() != nil {
			break
		}
		if up || !failing {
			b.log.Warn("the link to Redis is down; documents are compared with the store instead", "error", err)
			r.Down()
		}
		failing = true
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	wg.Wait()
	return b.client.Close()
}

// listen is one connection that hears what others publish, from its subscription
// until it fails. It reports whether it was up.
func (b *Bus) listen(ctx context.Context, r collab.Receiver, again bool) (up bool, err error) {
	ps := b.client.Subscribe(ctx)
	b.mu.Lock()
	b.hears = ps
	clear(b.wishes)
	channels := slices.Collect(maps.Keys(b.channels))
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.hears = nil
		b.mu.Unlock()
		ps.Close()
	}()
	stop := context.AfterFunc(ctx, func() { ps.Close() }) // a read that waits does not see that ctx ends
	defer stop()
	// The bus's own channel is the last, so its confirmation shows that all are subscribed to.
	if err := ps.Subscribe(ctx, append(channels, b.prefix)...); err != nil {
		return false, err
	}
	for quiet := false; ; {
		got, err := ps.ReceiveTimeout(ctx, silence)
		var late net.Error
		switch {
		case err == nil:
			quiet = false
		case errors.As(err, &late) && late.Timeout() && !quiet:
			quiet = true // an answer to the ping must come, or the link is half open
			if err := ps.Ping(ctx); err != nil {
				return up, err
			}
			continue
		default:
			return up, err
		}
		switch m := got.(type) {
		case *redis.Subscription:
			if m.Channel == b.prefix {
				if up = true; again {
					b.log.Info("the link to Redis is up again")
				}
				r.Gap()
			}
		case *redis.Message:
			b.deliver(m, r)
		}
	}
}

// write does what is wished and queued: subscriptions first, as the answers to a message may come at once.
func (b *Bus) write(ctx context.Context) {
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.wake:
		}
		b.mu.Lock()
		queue, lost := b.queue, b.lost
		b.queue, b.bytes, b.lost = nil, 0, 0
		b.mu.Unlock()
		err := errors.Join(b.subscribe(ctx), b.publish(ctx, queue))
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			b.log.Warn("Redis does not take messages; other nodes hear of edits later", "error", err)
		case err == nil && failing && len(queue) > 0:
			b.log.Info("Redis takes messages again")
			failing = false
		}
		if failing = failing || err != nil; lost > 0 {
			b.log.Warn("messages to other nodes did not fit the queue; they hear of edits later", "messages", lost)
		}
	}
}

// subscribe joins and leaves channels on the connection that listens, where there is one;
// the next one has them from its beginning.
func (b *Bus) subscribe(ctx context.Context) error {
	b.mu.Lock()
	ps := b.hears
	var join, leave []string
	for channel := range b.wishes {
		if b.channels[channel] {
			join = append(join, channel)
		} else {
			leave = append(leave, channel)
		}
	}
	clear(b.wishes)
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var errs []error
	if ps != nil && len(join) > 0 {
		errs = append(errs, ps.Subscribe(ctx, join...))
	}
	if ps != nil && len(leave) > 0 {
		errs = append(errs, ps.Unsubscribe(ctx, leave...))
	}
	return errors.Join(errs...)
}

func (b *Bus) publish(ctx context.Context, queue []message) error {
	if len(queue) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := b.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, m := range queue {
			p.Publish(ctx, m.channel, m.payload)
		}
		return nil
	})
	return err
}

// deliver hands on a message of another node.
func (b *Bus) deliver(m *redis.Message, r collab.Receiver) {
	doc, ours := strings.CutPrefix(m.Channel, b.prefix)
	sender, payload, ok := bytes.Cut([]byte(m.Payload), []byte("\n"))
	if !ours || !ok || bytes.Equal(sender, b.sender[:len(b.sender)-1]) {
		return
	}
	r.Message(doc, payload)
}
