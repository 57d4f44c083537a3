package collab

// What simulations must reach, by how often it happens: simOften in each run of 300,
// simSeldom in each of 5,000, simRare in as many as it says.
var (
	simOften = []string{
		"bus dropped", "bus repeated", "bus reordered", "bus went down", "bus came back", "published while the bus was away",
		"a comparison of heads found it behind", "conflict", "store stalled", "store stalled for long", "a call of the store was given up",
		"store failed before the commit", "store failed after the commit", "store failed at something else",
		"vanished with an operation in flight", "came back on another node with an operation in flight", "sent twice", "reloaded",
		"an edit was lost before it was saved", "killed", "died between two effects", "died between the commit and its acknowledgement",
		"restarted", "drained", "drained to the end", "evicted", "held while it wanted to unload", "a client stopped reading", "window stayed shut", "session ended: slow",
		"snapshot raced an append", "log compacted", "log compacted under a client that was away", "an append between two calls of a reader",
		"content with unsent edits", "content without the operation in flight", "a tab was duplicated", "backup restored",
		"a copy pending on this node", "a copy pending on another node", "rebased over five or more", "compared otherwise",
		"token renewed", "a token allows reading alone", "a submission was answered", "a submission sent again was answered",
		"a submission was given up, to be sent again", "read", "refused: replaced", "refused: bad_version", "refused: rate_limited",
		"refused: forbidden", "refused: token_expired",
	}
	simSeldom = []string{}
	simRare   = map[string]int{}
)
