package ot

import "math"

// iterator walks a delta in pieces. Past the end it retains without end.
type iterator struct {
	delta Delta
	at    int
	left  int // units left of delta[at]
	byte  int // bytes taken of an inserted text
}

func iterate(d Delta) iterator {
	it := iterator{delta: d}
	it.measure()
	return it
}

// measure is called when a component begins.
func (it *iterator) measure() {
	it.byte = 0
	if it.at >= len(it.delta) {
		it.left = math.MaxInt
		return
	}
	switch c := &it.delta[it.at]; {
	case c.Insert != "":
		it.left = units(c.Insert)
	case c.Embed != nil:
		it.left = 1
	default:
		it.left = c.Retain + c.Delete
	}
}

func (it *iterator) more() bool { return it.at < len(it.delta) }

func (it *iterator) inserts() bool {
	return it.at < len(it.delta) && (it.delta[it.at].Insert != "" || it.delta[it.at].Embed != nil)
}

func (it *iterator) deletes() bool { return it.at < len(it.delta) && it.delta[it.at].Delete > 0 }

func (it *iterator) attributes() Attributes {
	if it.at < len(it.delta) {
		return it.delta[it.at].Attributes
	}
	return nil
}

// skip goes on by n units, at most left. A boundary inside a surrogate pair, which no
// delta in form has, is moved before the pair.
func (it *iterator) skip(n int) {
	switch {
	case !it.more():
	case n >= it.left:
		it.at++
		it.measure()
	default:
		if text := it.delta[it.at].Insert; text != "" {
			end, _ := offset(text[it.byte:], n)
			it.byte += end
		}
		it.left -= n
	}
}

// next takes n units, at most left.
func (it *iterator) next(n int) Component {
	if !it.more() {
		return Component{Retain: n}
	}
	c := it.delta[it.at]
	from := it.byte
	last := n >= it.left
	it.skip(n)
	switch {
	case c.Insert != "" && last:
		c.Insert = c.Insert[from:]
	case c.Insert != "":
		c.Insert = c.Insert[from:it.byte]
	case c.Retain > 0:
		c.Retain = n
	case c.Delete > 0:
		c.Delete = n
	}
	return c
}
