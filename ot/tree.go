package ot

import (
	"math"
	"slices"
	"unicode/utf8"
)

// The content of a document is a B-tree. Its leaves hold text as UTF-8 with the
// runs of equal attributes in it; inner nodes hold the length of each child. Every
// node belongs to one owner, which alone may alter it; everybody else copies it
// first. So a clone costs nothing until one side is edited.
const (
	leafBytes = 1024 // text of a leaf
	leafRuns  = 64   // runs of a leaf
	fanout    = 32   // children of an inner node
)

type owner struct{ _ byte }

type node struct {
	owner *owner
	units int // UTF-16 units below

	kids  []*node // of an inner node
	sizes []int   // units of each kid

	text []byte // of a leaf
	runs []run
}

// A run is text, or one embed, with one set of attributes.
type run struct {
	bytes, units int
	attrs        *format // nil for none
	embed        Embed   // of an embed: bytes is 0 and units is 1
}

// format is a set of attributes that runs share.
type format struct{ Attributes }

func formatOf(a Attributes) *format {
	if len(a) == 0 {
		return nil
	}
	return &format{a}
}

func (f *format) attributes() Attributes {
	if f == nil {
		return nil
	}
	return f.Attributes
}

func (r run) same(f *format) bool {
	return r.attrs == f || equalAttributes(r.attrs.attributes(), f.attributes())
}

// An edit is what happens to the units from one position to another: insert
// where they are the same, else format, or delete.
type edit struct {
	insert string
	run    run // of the insert
	delete bool
	attrs  Attributes // to compose onto what is there

	was, is *format // the last result of composing, for runs that share a format
}

// tree edits nodes on behalf of one owner.
type tree struct{ owner *owner }

func (t tree) own(n *node) *node {
	if n.owner == t.owner {
		return n
	}
	c := &node{owner: t.owner, units: n.units}
	if n.kids != nil {
		c.kids = append(make([]*node, 0, fanout+1), n.kids...)
		c.sizes = append(make([]int, 0, fanout+1), n.sizes...)
		return c
	}
	c.text = append(make([]byte, 0, len(n.text)+len(n.text)/8+32), n.text...)
	c.runs = slices.Clone(n.runs)
	return c
}

// root edits a whole tree.
func (t tree) root(n *node, from, to int, e *edit) *node {
	nodes := t.edit(n, from, to, e, nil)
	for len(nodes) > 1 {
		nodes = t.group(nodes)
	}
	if len(nodes) == 0 {
		return &node{owner: t.owner}
	}
	n = nodes[0]
	for len(n.kids) == 1 {
		n = n.kids[0]
	}
	return n
}

// group puts nodes under as few parents as can be.
func (t tree) group(nodes []*node) []*node {
	count := (len(nodes) + fanout - 1) / fanout
	parents := make([]*node, count)
	for i := range parents {
		kids := nodes[i*len(nodes)/count : (i+1)*len(nodes)/count]
		p := &node{owner: t.owner, kids: make([]*node, 0, fanout+1), sizes: make([]int, 0, fanout+1)}
		for _, k := range kids {
			p.kids, p.sizes, p.units = append(p.kids, k), append(p.sizes, k.units), p.units+k.units
		}
		parents[i] = p
	}
	return parents
}

// edit performs e between two positions in n, and appends what n has become: one
// node for the most part, none where all of it is deleted, several where it grew too large.
func (t tree) edit(n *node, from, to int, e *edit, out []*node) []*node {
	if e.delete && from <= 0 && to >= n.units {
		return out
	}
	n = t.own(n)
	if n.kids == nil {
		t.leaf(n, max(from, 0), min(to, n.units), e)
		return t.split(n, out)
	}
	var scratch [4]*node
	at := 0
	for i := 0; i < len(n.kids); {
		size := n.sizes[i]
		inside := from < at+size && to > at
		if from == to {
			inside = from <= at+size
		}
		if !inside {
			if at > to {
				break
			}
			at += size
			i++
			continue
		}
		became := t.edit(n.kids[i], from-at, to-at, e, scratch[:0])
		at += size
		if len(became) == 1 {
			n.kids[i], n.sizes[i] = became[0], became[0].units
			n.units += became[0].units - size
			i++
		} else {
			sizes := make([]int, len(became))
			n.units -= size
			for j, k := range became {
				sizes[j] = k.units
				n.units += k.units
			}
			n.kids = slices.Replace(n.kids, i, i+1, became...)
			n.sizes = slices.Replace(n.sizes, i, i+1, sizes...)
			i += len(became)
		}
		if from == to {
			break
		}
	}
	if e.delete {
		t.join(n)
	}
	switch {
	case len(n.kids) == 0:
		return out
	case len(n.kids) <= fanout:
		return append(out, n)
	}
	return append(out, t.group(n.kids)...)
}

// join merges small neighbours, after a deletion.
func (t tree) join(n *node) {
	for i := 0; i+1 < len(n.kids); {
		a, b := n.kids[i], n.kids[i+1]
		small := a.kids == nil && b.kids == nil && len(a.text)+len(b.text) <= leafBytes/2 && len(a.runs)+len(b.runs) <= leafRuns/2
		if !small && (a.kids == nil || b.kids == nil || len(a.kids)+len(b.kids) > fanout/2) {
			i++
			continue
		}
		a = t.own(a)
		a.units += b.units
		if small {
			a.text = append(a.text, b.text...)
			for _, r := range b.runs {
				a.runs = appendRun(a.runs, r)
			}
		} else {
			a.kids, a.sizes = append(a.kids, b.kids...), append(a.sizes, b.sizes...)
		}
		n.kids[i], n.sizes[i] = a, a.units
		n.kids, n.sizes = slices.Delete(n.kids, i+1, i+2), slices.Delete(n.sizes, i+1, i+2)
	}
}

func appendRun(runs []run, r run) []run {
	if n := len(runs); n > 0 && r.embed == nil && runs[n-1].embed == nil && runs[n-1].same(r.attrs) {
		runs[n-1].bytes += r.bytes
		runs[n-1].units += r.units
		return runs
	}
	return append(runs, r)
}

// split cuts a leaf that has grown too large, on code point boundaries.
func (t tree) split(n *node, out []*node) []*node {
	if len(n.text) <= leafBytes && len(n.runs) <= leafRuns {
		return append(out, n)
	}
	// Pieces of equal size, and room in each for what comes next.
	pieces := max((len(n.text)+leafBytes*3/4-1)/(leafBytes*3/4), 2)
	goal := len(n.text)/pieces + 1
	var leaf *node
	text := n.text
	for _, r := range n.runs {
		for {
			if leaf == nil || len(leaf.text) >= goal || len(leaf.runs) >= leafRuns/2 {
				if leaf != nil {
					out = append(out, leaf)
				}
				leaf = &node{owner: t.owner, text: make([]byte, 0, min(goal, len(text))+32)}
			}
			part := r
			if room := goal - len(leaf.text); r.bytes > room {
				for room < r.bytes && !utf8.RuneStart(text[room]) {
					room++
				}
				part.bytes = room
				if part.units = room; r.units != r.bytes {
					part.units = units(text[:room])
				}
			}
			leaf.text = append(leaf.text, text[:part.bytes]...)
			text = text[part.bytes:]
			leaf.runs = append(leaf.runs, part)
			leaf.units += part.units
			r.bytes -= part.bytes
			r.units -= part.units
			if r.units == 0 {
				break
			}
		}
	}
	return append(out, leaf)
}

// leaf performs e between two positions of a leaf.
func (t tree) leaf(n *node, from, to int, e *edit) {
	if from == to && !e.delete && e.attrs == nil {
		n.insert(from, e)
		return
	}
	if e.delete && len(n.runs) == 1 { // most text has one run
		r := &n.runs[0]
		i, j := r.offset(n.text, from), r.offset(n.text, to)
		n.text = slices.Delete(n.text, i, j)
		r.bytes, r.units, n.units = r.bytes-(j-i), r.units-(to-from), n.units-(to-from)
		return
	}
	first, last := n.cut(from), n.cut(to)
	if e.delete {
		i, j := n.textAt(first), n.textAt(last)
		n.text = slices.Delete(n.text, i, j)
		n.runs = slices.Delete(n.runs, first, last)
		n.units -= to - from
		n.heal(first, first)
		return
	}
	for i := first; i < last; i++ {
		r := &n.runs[i]
		if e.is == nil || r.attrs != e.was {
			e.was = r.attrs
			e.is = formatOf(composeAttributes(r.attrs.attributes(), e.attrs, false))
		}
		r.attrs = e.is
	}
	n.heal(first, last)
}

// insert puts the text or embed of e at a position of a leaf.
func (n *node) insert(at int, e *edit) {
	i, start, from := 0, 0, 0 // run, its byte and its unit
	for i < len(n.runs) && at > from+n.runs[i].units {
		start += n.runs[i].bytes
		from += n.runs[i].units
		i++
	}
	n.units += e.run.units
	if i < len(n.runs) && e.run.embed == nil {
		r := &n.runs[i]
		if at == from+r.units && i+1 < len(n.runs) && (r.embed != nil || !r.same(e.run.attrs)) {
			start += r.bytes
			from += r.units
			i++
			r = &n.runs[i]
		}
		if r.embed == nil && r.same(e.run.attrs) {
			n.text = insertText(n.text, start+r.offset(n.text[start:], at-from), e.insert)
			r.bytes += e.run.bytes
			r.units += e.run.units
			return
		}
	}
	i = n.cut(at)
	n.text = insertText(n.text, n.textAt(i), e.insert)
	n.runs = slices.Insert(n.runs, i, e.run)
}

func insertText(text []byte, at int, s string) []byte {
	n := len(text)
	text = append(text, s...)
	if at < n {
		copy(text[at+len(s):], text[at:n])
		copy(text[at:], s)
	}
	return text
}

// cut makes a run begin at a position, and returns its index.
func (n *node) cut(at int) int {
	start := 0
	for i := range n.runs {
		if at == 0 {
			return i
		}
		r := n.runs[i]
		if at < r.units {
			k := r.offset(n.text[start:], at)
			left, right := r, r
			left.bytes, left.units = k, at
			right.bytes, right.units = r.bytes-k, r.units-at
			n.runs[i] = left
			n.runs = slices.Insert(n.runs, i+1, right)
			return i + 1
		}
		at -= r.units
		start += r.bytes
	}
	return len(n.runs)
}

// textAt is the byte at which run i begins.
func (n *node) textAt(i int) int {
	at := 0
	for _, r := range n.runs[:i] {
		at += r.bytes
	}
	return at
}

// heal merges equal neighbours among runs first-1 to last.
func (n *node) heal(first, last int) {
	for i := min(last, len(n.runs)-1); i >= max(first, 1); i-- {
		a, b := &n.runs[i-1], n.runs[i]
		if a.embed == nil && b.embed == nil && a.same(b.attrs) {
			a.bytes += b.bytes
			a.units += b.units
			n.runs = slices.Delete(n.runs, i, i+1)
		}
	}
}

// offset is the byte of unit at in the run, whose text begins text.
func (r *run) offset(text []byte, at int) int {
	if r.bytes == r.units || at == 0 {
		return at
	}
	if at == r.units {
		return r.bytes
	}
	i, _ := offset(text, at)
	return i
}

// leafAt is the leaf that holds unit at, and its first unit.
func (n *node) leafAt(at int) (leaf *node, start int) {
	for n.kids != nil {
		i := 0
		for i+1 < len(n.kids) && at-start >= n.sizes[i] {
			start += n.sizes[i]
			i++
		}
		n = n.kids[i]
	}
	return n, start
}

// boundary reports whether unit at begins a code point.
func (n *node) boundary(at int) bool {
	leaf, start := n.leafAt(at)
	if leaf.units == len(leaf.text) {
		return true
	}
	at -= start
	first := 0
	for _, r := range leaf.runs {
		if at < r.units {
			if r.bytes <= r.units { // ASCII, or an embed
				return true
			}
			_, inside := offset(leaf.text[first:], at)
			return !inside
		}
		at -= r.units
		first += r.bytes
	}
	return true
}

// each calls f for the runs between two positions, with their text, until f returns false.
func (n *node) each(from, to int, f func(text []byte, r run) bool) bool {
	if n.kids != nil {
		at := 0
		for i, k := range n.kids {
			if from < at+n.sizes[i] && to > at && !k.each(from-at, to-at, f) {
				return false
			}
			at += n.sizes[i]
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
