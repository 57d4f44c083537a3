package collab

import (
	"context"
	"sync"
)

// LocalBus joins several hubs in one process, as Redis joins nodes. With one
// node it is the bus of a node that is alone.
type LocalBus struct {
	mu    sync.Mutex
	nodes []*localNode
}

// NewLocalBus makes a bus without nodes.
func NewLocalBus() *LocalBus { return &LocalBus{} }

// Node adds a node to the bus.
func (b *LocalBus) Node(name string) Bus {
	n := &localNode{bus: b, name: name, docs: map[string]bool{}}
	b.mu.Lock()
	b.nodes = append(b.nodes, n)
	b.mu.Unlock()
	return n
}

type localNode struct {
	bus  *LocalBus
	name string

	mu   sync.Mutex
	docs map[string]bool
	to   Receiver
}

func (n *localNode) Subscribe(doc string) {
	n.mu.Lock()
	n.docs[doc] = true
	n.mu.Unlock()
}

func (n *localNode) Unsubscribe(doc string) {
	n.mu.Lock()
	delete(n.docs, doc)
	n.mu.Unlock()
}

func (n *localNode) Publish(doc string, msg []byte) {
	n.bus.mu.Lock()
	nodes := n.bus.nodes
	n.bus.mu.Unlock()
	for _, other := range nodes {
		if other != n {
			other.deliver(doc, msg)
		}
	}
}

func (n *localNode) deliver(doc string, msg []byte) {
	n.mu.Lock()
	to := n.to
	wanted := n.docs[doc]
	n.mu.Unlock()
	if to != nil && wanted {
		to.Message(doc, msg)
	}
}

func (n *localNode) Run(ctx context.Context, r Receiver) error {
	n.mu.Lock()
	n.to = r
	n.mu.Unlock()
	r.Gap()
	<-ctx.Done()
	n.mu.Lock()
	n.to = nil
	n.mu.Unlock()
	return nil
}
