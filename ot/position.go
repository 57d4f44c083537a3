package ot

import "unicode/utf8"

// Positions are counted in UTF-16 units, and by others in bytes or in code points of the text; an embed is one unit,
// one code point, and no byte. A position inside a character is taken as the character's beginning, one past the end as
// the end. Each conversion takes time in proportion to the logarithm of the content.

// UnitAt is the UTF-16 unit at which code point n begins.
func (doc *Document) UnitAt(n int) int { return doc.root.find(n, points).units }

// UnitAtByte is the UTF-16 unit at which byte n of Text begins, behind the embeds that stand there.
func (doc *Document) UnitAtByte(n int) int { return doc.root.find(n, bytesOf).units }

// PointAt is the number of code points before a UTF-16 unit.
func (doc *Document) PointAt(unit int) int { return points(doc.root.find(unit, unitsIn)) }

// ByteAt is the number of bytes of Text before a UTF-16 unit.
func (doc *Document) ByteAt(unit int) int { return doc.root.find(unit, unitsIn).bytes }

func points(s size) int  { return s.units - s.pairs }
func bytesOf(s size) int { return s.bytes }
func unitsIn(s size) int { return s.units }

// find is the size of what lies before position n, counted by of.
func (n *node) find(at int, of func(size) int) (before size) {
	for n.kids != nil {
		i := 0
		for i < len(n.kids) && of(before)+of(n.kids[i].size) <= at {
			before.add(n.kids[i].size)
			i++
		}
		if i == len(n.kids) {
			return before
		}
		n = n.kids[i]
	}
	text := n.text
	for i := range n.runs {
		r := &n.runs[i]
		whole := size{units: r.units, bytes: r.bytes, pairs: pairs(text[:r.bytes])}
		if of(before)+of(whole) > at {
			before.add(r.find(text[:r.bytes], at-of(before), of))
			break
		}
		before.add(whole)
		text = text[r.bytes:]
	}
	return before
}

func (r *run) find(text []byte, at int, of func(size) int) (before size) {
	if r.bytes == r.units {
		at = max(at, 0)
		return size{units: at, bytes: at}
	}
	for len(text) > 0 {
		_, n := utf8.DecodeRune(text)
		next := before
		next.add(sizeOf(string(text[:n])))
		if of(next) > at {
			break
		}
		before, text = next, text[n:]
	}
	return before
}
