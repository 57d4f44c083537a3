package ot

import "math"

// Units is the length of text in UTF-16 code units.
func Units(text string) int { return units(text) }

func units[T string | []byte](text T) int {
	n := 0
	for i := 0; i < len(text); i++ {
		if b := text[i]; b < 0x80 || b >= 0xC0 {
			n++
			if b >= 0xF0 {
				n++
			}
		}
	}
	return n
}

// offset is the byte at which unit n of text begins; inside is true where that
// is the middle of a surrogate pair, and the byte then the pair's. Text is UTF-8.
func offset[T string | []byte](text T, n int) (at int, inside bool) {
	for at < len(text) && n > 0 {
		switch b := text[at]; {
		case b < 0x80:
			at++
		case b < 0xE0:
			at += 2
		case b < 0xF0:
			at += 3
		case n == 1:
			return at, true
		default:
			at += 4
			n--
		}
		n--
	}
	return at, false
}

// iterator walks a delta in pieces.
type iterator struct {
	delta Delta
	at    int
	used  int // units of delta[at] that were taken
	byte  int // the same in bytes, of an inserted text
}

func (it *iterator) more() bool { return it.at < len(it.delta) }

func (it *iterator) inserts() bool { return it.more() && it.delta[it.at].IsInsert() }

// rest is the length of what is left of the component, endless past the end.
func (it *iterator) rest() int {
	if !it.more() {
		return math.MaxInt
	}
	return it.delta[it.at].Len() - it.used
}

// next takes at most n units. Past the end it retains without end. A boundary
// inside a surrogate pair, which no delta in form has, is moved before the pair.
func (it *iterator) next(n int) Component {
	if !it.more() {
		return Component{Retain: n}
	}
	c := it.delta[it.at]
	whole := it.used == 0
	left := c.Len() - it.used
	if n >= left {
		text := c.Insert[min(it.byte, len(c.Insert)):]
		it.at, it.used, it.byte = it.at+1, 0, 0
		if whole {
			return c
		}
		return part(c, left, text)
	}
	text := ""
	if c.Insert != "" {
		end, _ := offset(c.Insert[it.byte:], n)
		text = c.Insert[it.byte : it.byte+end]
		it.byte += end
	}
	it.used += n
	return part(c, n, text)
}

func part(c Component, n int, text string) Component {
	switch {
	case c.Insert != "":
		return Component{Insert: text, Attributes: c.Attributes}
	case c.Retain > 0:
		return Component{Retain: n, Attributes: c.Attributes}
	case c.Delete > 0:
		return Component{Delete: n}
	}
	return c
}
