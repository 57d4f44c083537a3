package collab

// WindowFrames and WindowBytes bound what a session may have unwritten: while
// it has this much, nothing more is queued for it, and when it has less again it
// gets all that it missed, merged. Errors and bye may come on top, three frames at most.
const (
	WindowFrames = 8
	WindowBytes  = 256 << 10
)

// frameBytes is the most that operations in one frame amount to, where there is more than one.
const frameBytes = 1 << 20

// Conn is a session's connection, as the engine sees it.
type Conn interface {
	// Send queues a text frame and never blocks. The frame is shared with other
	// sessions and is never altered. When it has been written, the connection
	// calls Session.Sent with its length.
	Send(frame []byte)

	// Close writes last, where it is not nil, then the close code, and ends the
	// connection. It never blocks; only the first call counts.
	Close(last []byte, code int, reason string)
}
