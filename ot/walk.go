package ot

import "math"

// leafAt is the leaf that holds unit at, and its first unit.
func (n *node) leafAt(at int) (leaf *node, start int) {
	for n.kids != nil {
		i := 0
		for i+1 < len(n.kids) && at-start >= n.units[i] {
			start += n.units[i]
			i++
		}
		n = n.kids[i]
	}
	return n, start
}

// boundary reports whether unit at of the content begins a code point.
func (n *node) boundary(at int) bool {
	leaf, start := n.leafAt(at)
	return leaf.leafBoundary(at - start)
}

func (n *node) leafBoundary(at int) bool {
	if n.size.pairs == 0 {
		return true
	}
	start := 0
	for i := range n.runs {
		r := &n.runs[i]
		if at < r.units {
			if r.bytes <= r.units { // ASCII, or an embed
				return true
			}
			_, inside := offset(n.text[start:], at)
			return !inside
		}
		at -= r.units
		start += r.bytes
	}
	return true
}

// each calls f for the runs between two positions, with their text, until f returns false.
func (n *node) each(from, to int, f func(text []byte, r run) bool) bool {
	if n.kids != nil {
		at := 0
		for i, k := range n.kids {
			if from < at+n.units[i] && to > at && !k.each(from-at, to-at, f) {
				return false
			}
			at += n.units[i]
		}
		return true
	}
	at, start := 0, 0
	for _, r := range n.runs {
		if a, b := max(from-at, 0), min(to-at, r.units); a < b {
			i, j := r.offset(n.text[start:], a), r.offset(n.text[start:], b)
			if r.embed != nil {
				i, j = 0, 0
			}
			part := r
			part.units, part.bytes = b-a, j-i
			if !f(n.text[start+i:start+j], part) {
				return false
			}
		}
		at += r.units
		start += r.bytes
	}
	return true
}

func (n *node) all(f func(text []byte, r run) bool) { n.each(0, math.MaxInt, f) }
