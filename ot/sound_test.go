package ot

import "fmt"

// Sound is an error where a node of the document's tree is not as large as what is below it, or larger than it
// may be, or not on the finger's path where it must be.
func (doc *Document) Sound() error {
	f := &doc.finger
	if f.leaf != nil {
		n, start, shared := doc.root, 0, doc.tree().lent
		for _, s := range f.path[:f.depth] {
			if s.node != n || n.owner != doc.mine.owner || n.epoch <= shared {
				return fmt.Errorf("the finger's path leaves the tree, or shares it")
			}
			for _, units := range n.units[:s.kid] {
				start += units
			}
			n = n.kids[s.kid]
		}
		if f.leaf != n || n.owner != doc.mine.owner || n.epoch <= shared || f.start != start {
			return fmt.Errorf("the finger is at %d of another leaf, not at %d", f.start, start)
		}
	}
	if len(doc.loans) > lentMost || len(doc.lent) > lentMost+1 {
		return fmt.Errorf("%d loans are remembered, and %d of others", len(doc.lent), len(doc.loans))
	}
	return doc.root.sound()
}

func (n *node) sound() error {
	var sum size
	if n.kids == nil {
		for i, r := range n.runs {
			text := n.text[sum.bytes : sum.bytes+r.bytes]
			if r.units != units(text) && (r.embed == nil || r.units != 1 || r.bytes != 0) || r.units == 0 {
				return fmt.Errorf("run %d has %d units and %q", i, r.units, text)
			}
			if i > 0 && r.embed == nil && n.runs[i-1].embed == nil && n.runs[i-1].same(r.attrs) {
				return fmt.Errorf("runs %d and %d have equal attributes", i-1, i)
			}
			sum.add(size{r.units, r.bytes, pairs(text)})
		}
		if sum != n.size || sum.bytes != len(n.text) {
			return fmt.Errorf("a leaf is %v, and says %v", sum, n.size)
		}
		if len(n.text) > leafBytes || len(n.runs) > leafRuns {
			return fmt.Errorf("a leaf of %d bytes and %d runs", len(n.text), len(n.runs))
		}
		return nil
	}
	for i, k := range n.kids {
		if k.size.units != n.units[i] || k.size.units == 0 {
			return fmt.Errorf("kid %d has %d units, not %d", i, k.size.units, n.units[i])
		}
		if err := k.sound(); err != nil {
			return err
		}
		sum.add(k.size)
	}
	if sum != n.size || len(n.kids) > fanout || len(n.units) != len(n.kids) {
		return fmt.Errorf("an inner node of %d kids is %v, and says %v", len(n.kids), sum, n.size)
	}
	return nil
}
