package collab

import "context"

// Bus carries hints between nodes: what was committed, who is where. It may
// lose, repeat and reorder messages, and be away; nothing worse than delay may
// follow, because the store's log is the truth. Delivery is at most once.
type Bus interface {
	// Subscribe asks for doc's messages; Unsubscribe ends that. Both return at
	// once and may be called from any goroutine; the bus keeps the wish across
	// reconnections.
	Subscribe(doc string)
	Unsubscribe(doc string)

	// Publish queues a message for doc's subscribers on other nodes. It never
	// blocks; what does not fit, or finds the link down, is lost. msg is not altered
	// and not kept by the caller.
	Publish(doc string, msg []byte)

	// Run delivers to r until ctx ends, and returns when nothing of the bus is
	// left running. It calls r from one goroutine; r's methods return at once.
	Run(ctx context.Context, r Receiver) error
}

// Receiver is told what a Bus brings.
type Receiver interface {
	// Message is one message of another node (a node's own are not delivered to it).
	Message(doc string, msg []byte)
	// Gap says that messages of every subscribed document may have been lost, up to now:
	// the link came (back) up, or a queue ran over.
	Gap()
	// Down says that the link is lost; a Gap follows when it is back.
	Down()
}
