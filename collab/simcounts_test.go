package collab

// What simulations must reach: simOften and simDeleted in each run of 300, and simSeldom, which
// happens in one of a hundred simulations or fewer, in each of 5,000.
var (
	simOften = []string{
		"bus dropped", "operations went by the bus", "bus repeated", "bus reordered", "bus went down", "bus came back", "published while the bus was away",
		"a comparison of heads found it behind", "conflict", "store stalled", "store stalled for long", "a call of the store was given up",
		"store failed before the commit", "store failed after the commit", "store failed at something else",
		"vanished with an operation in flight", "came back on another node with an operation in flight", "sent twice", "reloaded",
		"an edit was lost before it was saved", "killed", "died between two effects", "died between the commit and its acknowledgement",
		"restarted", "drained", "drained to the end", "evicted", "held while it wanted to unload", "a client stopped reading", "window stayed shut", "session ended: slow",
		"snapshot raced an append", "log compacted", "log compacted under a client that was away", "an append between two calls of a reader",
		"content with unsent edits", "content without the operation in flight", "a tab was duplicated", "backup restored",
		"a copy pending on this node", "a copy pending on another node", "rebased over five or more",
		"content that has the operation in flight", "an operation given up was stored after all", "an append that was given up was carried out",
		"an append that was given up came too late", "log compacted between two calls", "a restored backup had grown past a client", "set on top of another lineage",
		"token renewed", "a token allows reading alone", "a submission was answered", "a submission sent again was answered",
		"a submission was given up, to be sent again", "a submission named its version", "a submission named a version that is folded", "read", "a cursor was carried", "the bus lost the last message of all", "refused: replaced", "refused: bad_version", "refused: rate_limited",
		"refused: forbidden", "refused: token_expired", "a welcome waited until others were read", "a welcome waited for the node's other documents",
		"a part of the log was cut short by its bytes", "a frame ended early for its bytes", "a welcome stopped early for its bytes",
		"the tail was cut by its operations", "the tail was cut by its bytes", "an old operation waited for its turn",
	}
	// These are reached in the small worlds whose document is deleted.
	simDeleted = []string{
		"deleted by boss", "deleted by operator", "purged", "deleted under sessions of several nodes", "deleted while it was opened",
		"deleted while an operation was in flight", "deleted while an append was under way", "deleted while a snapshot was written",
		"deleted while a session was greeted", "deleted while the log was read", "deleted while a submission was under way",
		"deleted while a reading was under way", "deleted between two calls of a reader", "a fold met the deletion",
		"a deletion failed before its commit", "a deletion failed after its commit", "a node died before it told of a deletion",
		"a session was told of the deletion", "a submission was refused: deleted", "a reading was refused: deleted",
	}
	simSeldom = []string{
		"compared otherwise", "came back after bad_version under the same id", "lost state", "somebody came while it unloaded",
	}
)
