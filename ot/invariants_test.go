package ot

import "fmt"

// Broken says what is wrong inside a document, for the tests outside the package: lengths that are not those of
// what is below, runs that do not cover their text, are empty, or should have been one, and a finger that is elsewhere.
func (doc *Document) Broken() error {
	if err := doc.astray(); err != nil {
		return err
	}
	return doc.root.broken(true)
}

// astray says whether the finger is not at the leaf where its path leads, or at one that a clone may have.
func (doc *Document) astray() error {
	f := &doc.finger
	if f.leaf == nil {
		return nil
	}
	n, start := doc.root, 0
	for _, s := range f.path[:f.depth] {
		if s.node != n || n.owner != doc.owner {
			return fmt.Errorf("the finger's path leaves the tree, or what is the document's own")
		}
		for _, units := range n.units[:s.kid] {
			start += units
		}
		n = n.kids[s.kid]
	}
	if f.leaf != n || n.owner != doc.owner || f.start != start {
		return fmt.Errorf("the finger is at %d, and its path at %d of a leaf", f.start, start)
	}
	return nil
}

func (n *node) broken(root bool) error {
	var sum size
	if n.kids == nil {
		text := n.text
		for i, r := range n.runs {
			if r.bytes > len(text) || r.embed == nil && r.units != units(text[:r.bytes]) || r.embed != nil && (r.bytes != 0 || r.units != 1) {
				return fmt.Errorf("run %d of %q is %d bytes and %d units", i, n.text, r.bytes, r.units)
			}
			if r.units == 0 {
				return fmt.Errorf("an empty run in %q", n.text)
			}
			if last := i - 1; i > 0 && r.embed == nil && n.runs[last].embed == nil && n.runs[last].same(r.attrs) {
				return fmt.Errorf("runs %d and %d of %q have equal attributes", last, i, n.text)
			}
			text = text[r.bytes:]
			sum.units += r.units
		}
		sum.bytes, sum.pairs = len(n.text), pairs(n.text)
		if len(text) > 0 {
			return fmt.Errorf("%d bytes of %q belong to no run", len(text), n.text)
		}
		if len(n.text) > leafBytes+4 || len(n.runs) > leafRuns {
			return fmt.Errorf("a leaf of %d bytes in %d runs", len(n.text), len(n.runs))
		}
	}
	if len(n.kids) > fanout {
		return fmt.Errorf("a node of %d", len(n.kids))
	}
	for i, k := range n.kids {
		if err := k.broken(false); err != nil {
			return err
		}
		if n.units[i] != k.size.units {
			return fmt.Errorf("a kid of %d units is kept as %d", k.size.units, n.units[i])
		}
		sum.add(k.size)
	}
	if n.size != sum || sum.units == 0 && !root {
		return fmt.Errorf("%v is kept as %v", sum, n.size)
	}
	return nil
}
