package ot

import "unicode/utf8"

// Positions count UTF-16 units everywhere else. Text() is indexed by bytes in Go, and by code points in
// other places. An embed counts one unit and one code point, and has no byte in Text(). A position inside
// a character is moved before it, one past the end to the end. Each call takes logarithmic time.

// UnitAt is the UTF-16 unit at which code point n of the content begins.
func (doc *Document) UnitAt(n int) int { return doc.convert(n, size.points, size.inUnits) }

// PointAt is the code point that begins at a UTF-16 unit of the content.
func (doc *Document) PointAt(unit int) int { return doc.convert(unit, size.inUnits, size.points) }

// ByteAt is the byte of Text() at which what stands at a UTF-16 unit begins.
func (doc *Document) ByteAt(unit int) int { return doc.convert(unit, size.inUnits, size.inBytes) }

// UnitAtByte is the UTF-16 unit of what begins at a byte of Text(): the first, where embeds stand before it.
func (doc *Document) UnitAtByte(n int) int { return doc.convert(n, size.inBytes, size.inUnits) }

func (s size) inUnits() int { return s.units }
func (s size) inBytes() int { return s.bytes }
func (s size) points() int  { return s.units - s.pairs }

// convert is how long in one way of counting the content is up to position n in another.
func (doc *Document) convert(n int, from, to func(size) int) int {
	reached := 0
	passes := func(s size) bool {
		if n <= 0 || from(s) > n {
			return false
		}
		n -= from(s)
		reached += to(s)
		return true
	}
	at := doc.root
	for at.kids != nil {
		i := 0
		for i < len(at.kids)-1 && passes(at.kids[i].size) {
			i++
		}
		at = at.kids[i]
	}
	text := at.text
	for _, r := range at.runs {
		whole := size{units: r.units, bytes: r.bytes}
		if r.bytes > r.units {
			whole.pairs = pairs(text[:r.bytes])
		}
		if passes(whole) {
			text = text[r.bytes:]
			continue
		}
		for part := text[:r.bytes]; len(part) > 0; {
			_, width := utf8.DecodeRune(part)
			if !passes(size{units: 1 + width/4, bytes: width, pairs: width / 4}) {
				break
			}
			part = part[width:]
		}
		break
	}
	return reached
}
