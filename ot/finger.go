package ot

// A finger is at the leaf where the last edit was, so that the next one, most often beside
// it, need not look for its leaf. Every node of its path is the document's alone.
type finger struct {
	leaf  *node // nil for none
	start int   // the unit at which it begins
	path  [8]step
	depth int // of path
}

// A step goes from an inner node to one of its kids.
type step struct {
	node *node
	kid  int
}

// near performs d if that takes no more than one leaf and leaves it neither too large nor too
// small. Else, and where d is not to be taken, it does nothing and reports false.
func (doc *Document) near(d Delta) bool {
	at, rest := 0, d
	if len(d) > 0 && d[0].Retain > 0 && d[0].Attributes == nil {
		at, rest = d[0].Retain, d[1:]
	}
	length := doc.Len()
	if at > length {
		return false
	}
	last := -1 // where the last newline ends, which is not to be passed
	if doc.typ == Rich {
		last = length
	}
	base, deleted, inserted := 0, 0, 0 // units of the leaf that rest passes and deletes, and bytes that it inserts
	keys := true
	for i := range rest {
		c := &rest[i]
		n := c.Retain + c.Delete
		if n > length-at-base {
			return false
		}
		if !c.isKey() {
			if keys = false; doc.typ.check(i, at, *c) != nil {
				return false
			}
		}
		base, deleted, inserted = base+n, deleted+c.Delete, inserted+len(c.Insert)
		if at+base == last && c.Retain == 0 {
			return false
		}
	}
	if base > leafBytes || !doc.reach(at, at+base) {
		return false
	}
	f := &doc.finger
	leaf := f.leaf
	if len(leaf.text)+inserted > leafBytes || len(leaf.runs)+2*len(rest) > leafRuns ||
		f.depth > 0 && deleted > 0 && len(leaf.text)-3*deleted < leafBytes/4 && len(leaf.runs)-deleted < leafRuns/4 {
		return false
	}
	at -= f.start
	if leaf.size.pairs > 0 && !leaf.boundaries(at, rest) {
		return false
	}
	grown := leaf.size
	if keys && leaf.isTyped() {
		leaf.strike(at, rest)
	} else {
		leaf.perform(at, rest)
	}
	grown = leaf.size.minus(grown)
	for i := range f.path[:f.depth] {
		s := &f.path[i]
		s.node.units[s.kid] += grown.units
		s.node.size.add(grown)
	}
	return true
}

// reach moves the finger to a leaf that has all units between two positions, if there is one.
func (doc *Document) reach(from, to int) bool {
	f := &doc.finger
	if f.leaf != nil && from >= f.start && to <= f.start+f.leaf.size.units {
		return true
	}
	t := doc.tree()
	n := t.own(doc.root)
	doc.root = n
	f.leaf, f.start, f.depth = nil, 0, 0
	for n.kids != nil {
		if f.depth == len(f.path) {
			return false
		}
		i := 0
		for end := f.start + n.units[i]; i+1 < len(n.units) && (from > end || from == end && to > from); end += n.units[i] {
			f.start = end
			i++
		}
		kid := t.own(n.kids[i])
		n.kids[i] = kid
		f.path[f.depth] = step{n, i}
		f.depth++
		n = kid
	}
	f.leaf = n
	return to <= f.start+n.size.units
}

// boundaries reports whether every boundary of d, which begins at a unit of the leaf, is one of a code point.
func (n *node) boundaries(at int, d Delta) bool {
	if !n.leafBoundary(at) {
		return false
	}
	for i := range d {
		if c := &d[i]; c.Retain+c.Delete > 0 {
			at += c.Retain + c.Delete
			if !n.leafBoundary(at) {
				return false
			}
		}
	}
	return true
}
