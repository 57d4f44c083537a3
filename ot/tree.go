package ot

import (
	"slices"
	"sync/atomic"
	"unicode/utf8"
)

// The content of a document is a B-tree. Its leaves hold text as UTF-8 with the
// runs of equal attributes in it; inner nodes hold the length of each child. Every
// node belongs to one document, which alone may alter it, and not while a clone has it too;
// everybody else copies it first. So a clone costs nothing until one side is edited.
const (
	leafBytes = 1536 // text of a leaf
	leafGoal  = 1248 // text of a leaf that is written in order
	slack     = 32   // room for more text in a new leaf
	leafRuns  = 64   // runs of a leaf
	fanout    = 32   // children of an inner node
)

// ownership says which document made a node, and after how many clones.
type ownership struct {
	owner *owner
	epoch int
}

type owner struct{ _ byte }

func newOwnership() ownership { return ownership{new(owner), 1} }

// A loan is of all nodes of a document up to an epoch, to a clone and to the clones of that.
type loan struct {
	epoch int
	held  *atomic.Int64 // by so many of them
}

const lentMost = 4 // loans that a document keeps count of, either way

type node struct {
	ownership
	size size // of all that is below

	kids  []*node // of an inner node
	units []int   // of each kid

	text []byte // of a leaf
	runs []run
}

// An edit is a component as it is performed on the units from one position to
// another, which are the same where it inserts.
type edit struct {
	*Component
	units  int     // of an insert
	format *format // of an insert

	was, is *format // the last result of formatting, for runs that share a format
}

func editOf(c *Component) edit {
	if !c.IsInsert() {
		return edit{Component: c}
	}
	e := edit{Component: c, units: 1}
	if c.Embed == nil {
		e.units = units(c.Insert)
	}
	if c.Attributes != nil {
		e.format = formatOf(composeAttributes(nil, c.Attributes, false))
	}
	return e
}

// run is what an insert adds to a leaf.
func (e *edit) run() run {
	return run{bytes: len(e.Insert), units: e.units, attrs: e.format, embed: e.Embed}
}

// tree edits nodes on behalf of one document.
type tree struct {
	mine ownership
	lent int // the document's nodes up to this epoch are others' too; 0 for none
}

func (t tree) own(n *node) *node {
	if n.owner == t.mine.owner && n.epoch > t.lent {
		return n
	}
	c := &node{ownership: t.mine, size: n.size}
	if n.kids != nil {
		c.kids = append(make([]*node, 0, fanout+1), n.kids...)
		c.units = append(make([]int, 0, fanout+1), n.units...)
		return c
	}
	c.text = append(room(len(n.text)+slack), n.text...)
	c.runs = slices.Clone(n.runs)
	return c
}

// apply performs d, which Check has taken, and returns what root has become.
func (t tree) apply(root *node, d Delta) *node {
	at := 0
	for i := range d {
		if c := &d[i]; c.Retain == 0 || c.Attributes != nil {
			e := editOf(c)
			root = t.root(root, at, at+c.Retain+c.Delete, &e)
			at += e.units
		}
		at += d[i].Retain
	}
	return root
}

// root edits a whole tree.
func (t tree) root(n *node, from, to int, e *edit) *node {
	nodes := t.edit(n, from, to, e, nil)
	for len(nodes) > 1 {
		nodes = t.group(nodes)
	}
	if len(nodes) == 0 {
		return &node{ownership: t.mine}
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
		p := &node{ownership: t.mine, kids: make([]*node, 0, fanout+1), units: make([]int, 0, fanout+1)}
		for _, k := range kids {
			p.kids, p.units = append(p.kids, k), append(p.units, k.size.units)
			p.size.add(k.size)
		}
		parents[i] = p
	}
	return parents
}

// edit performs e between two positions in n, and appends what n has become: one
// node for the most part, none where all of it is deleted, several where it grew too large.
func (t tree) edit(n *node, from, to int, e *edit, out []*node) []*node {
	if e.Delete > 0 && from <= 0 && to >= n.size.units {
		return out
	}
	n = t.own(n)
	if n.kids == nil {
		n.edit(max(from, 0), min(to, n.size.units), e)
		return t.split(n, e.IsInsert() && from+e.units == n.size.units, out)
	}
	var scratch [4]*node
	at := 0
	for i := 0; i < len(n.kids); {
		units := n.units[i]
		inside := from < at+units && to > at
		if from == to {
			inside = from <= at+units
		}
		if !inside {
			if at > to {
				break
			}
			at += units
			i++
			continue
		}
		was := n.kids[i].size
		became := t.edit(n.kids[i], from-at, to-at, e, scratch[:0])
		at += units
		n.size.sub(was)
		for _, k := range became {
			n.size.add(k.size)
		}
		if len(became) == 1 {
			n.kids[i], n.units[i] = became[0], became[0].size.units
			i++
		} else {
			n.kids = slices.Replace(n.kids, i, i+1, became...)
			n.units = slices.Replace(n.units, i, i+1, unitsOf(became)...)
			i += len(became)
		}
		if from == to {
			break
		}
	}
	if e.Delete > 0 {
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

func unitsOf(nodes []*node) []int {
	units := make([]int, len(nodes))
	for i, n := range nodes {
		units[i] = n.size.units
	}
	return units
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
		a.size.add(b.size)
		if small {
			a.text = append(a.text, b.text...)
			for _, r := range b.runs {
				a.runs = appendRun(a.runs, r)
			}
		} else {
			a.kids, a.units = append(a.kids, b.kids...), append(a.units, b.units...)
		}
		n.kids[i], n.units[i] = a, a.size.units
		n.kids, n.units = slices.Delete(n.kids, i+1, i+2), slices.Delete(n.units, i+1, i+2)
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
func (t tree) split(n *node, appended bool, out []*node) []*node {
	if len(n.text) <= leafBytes && len(n.runs) <= leafRuns {
		return append(out, n)
	}
	// Pieces of equal size, with room in each for what comes next. Where text is appended that comes behind
	// them: full ones, and a rest.
	pieces := max((len(n.text)+leafGoal-1)/leafGoal, 2)
	goal := len(n.text)/pieces + 1
	if appended {
		goal = leafGoal
	}
	var leaf *node
	text := n.text
	for _, r := range n.runs {
		for {
			if leaf == nil || len(leaf.text) >= goal || len(leaf.runs) >= leafRuns/2 {
				if leaf != nil {
					out = append(out, leaf)
				}
				leaf = &node{ownership: t.mine, text: room(min(goal, len(text)) + slack)}
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
			leaf.size.bytes += part.bytes
			if n.size.pairs > 0 {
				leaf.size.pairs += pairs(text[:part.bytes])
			}
			text = text[part.bytes:]
			leaf.runs = append(leaf.runs, part)
			leaf.size.units += part.units
			r.bytes -= part.bytes
			r.units -= part.units
			if r.units == 0 {
				break
			}
		}
	}
	return append(out, leaf)
}
