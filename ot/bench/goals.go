package main

// A goal holds one of our figures against another one: how many times faster at least, or how many
// times its cost at most.
type goal struct {
	what, ours  string
	peer, other string // its name and benchmark
	unit        string
	atLeast     float64 // their figure over ours; else
	atMost      float64 // ours over theirs, or our figure itself where there is no other
}

func goals() []goal {
	var all []goal
	for _, trace := range []string{"seph-blog1", "sveltecomponent"} {
		of := "Trace/trace=" + trace + "/of="
		for _, peer := range []struct {
			name    string
			atLeast float64
		}{{"diamond-types-node", 6}, {"loro-crdt", 0}, {"yjs", 60}, {"rich-text", 80}} {
			all = append(all, goal{what: "recording " + trace, ours: of + "weft", peer: peer.name, other: of + peer.name, atLeast: peer.atLeast})
		}
		all = append(all, goal{what: "recording " + trace, ours: of + "weft", peer: "a bare gap buffer of bytes, Go", other: of + "gap-buffer", atMost: 10})
	}
	all = append(all, goal{what: "an edit of 10,000 formatted runs", ours: "Runs/of=weft", peer: "rich-text", other: "Runs/of=rich-text", atLeast: 500})
	for _, pairs := range []struct{ what, name string }{
		{"Transform, typing at two places", "Transform"}, {"Compose, typing at two places", "Compose/pairs=apart"}, {"Compose, the next key", "Compose/pairs=next"},
	} {
		all = append(all,
			goal{what: pairs.what, ours: pairs.name + "/of=weft", peer: "quill-delta", other: pairs.name + "/of=quill-delta", atLeast: 40},
			goal{what: pairs.what, ours: pairs.name + "/of=weft", peer: "ot-text-unicode", other: pairs.name + "/of=ot-text-unicode", atLeast: 2.5})
	}
	for _, wire := range []string{"Decode", "Encode"} {
		all = append(all, goal{what: wire + ", one character", ours: wire + "/of=weft", peer: "encoding/json", other: wire + "/of=encoding-json", atLeast: 5})
	}
	for _, at := range []struct {
		what, name string
		atMost     float64
	}{{"in the middle of 10 MB", "middle", 3}, {"anywhere in 10 MB", "anywhere", 0}, {"in 10 MB, a clone of it held, the first after the clone", "cloned", 0}} {
		all = append(all, goal{what: "one character " + at.what, ours: "Size/at=" + at.name + "/bytes=10000000",
			peer: "the same in 10 kB", other: "Size/at=" + at.name + "/bytes=10000", atMost: at.atMost})
	}
	for _, text := range []struct{ what, name string }{{"read", "read"}, {"typed", "typed"}, {"after a million edits all over it", "edited"}} {
		all = append(all, goal{what: "memory of plain text, " + text.what, ours: "Memory/text=" + text.name, unit: "B/byte", atMost: 1.5})
	}
	return all
}
