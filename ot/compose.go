package ot

import "math"

// Compose is the edit that does d and then other:
//
//	apply(apply(x, d), other) = apply(x, d.Compose(other))
func (d Delta) Compose(other Delta) Delta {
	a, b := iterator{delta: d}, iterator{delta: other}
	out := make(Delta, 0, len(d)+len(other))
	for a.more() || b.more() {
		switch {
		case b.inserts():
			out = out.push(b.next(math.MaxInt))
		case a.more() && a.delta[a.at].Delete > 0:
			out = out.push(a.next(math.MaxInt))
		default:
			n := min(a.rest(), b.rest())
			mine, theirs := a.next(n), b.next(n)
			switch {
			case theirs.Retain > 0:
				mine.Attributes = composeAttributes(mine.Attributes, theirs.Attributes, mine.Retain > 0)
				out = out.push(mine)
			case mine.Retain > 0:
				out = out.push(Component{Delete: n})
			}
		}
	}
	return out.Chop()
}

// Transform is other as it applies after d, where both were made on the same
// content. Of two inserts at one place, d's stands first if priority is true, and of
// two values for one attribute d's stays. Together the sides converge (TP1):
//
//	apply(apply(x, a), a.Transform(b, true)) = apply(apply(x, b), b.Transform(a, false))
func (d Delta) Transform(other Delta, priority bool) Delta {
	a, b := iterator{delta: d}, iterator{delta: other}
	out := make(Delta, 0, len(d)+len(other))
	for a.more() || b.more() {
		switch {
		case a.inserts() && (priority || !b.inserts()):
			out = out.push(Component{Retain: a.next(math.MaxInt).Len()})
		case b.inserts():
			out = out.push(b.next(math.MaxInt))
		default:
			n := min(a.rest(), b.rest())
			mine, theirs := a.next(n), b.next(n)
			switch {
			case mine.Delete > 0: // what it deletes, the other can neither delete nor format
			case theirs.Delete > 0:
				out = out.push(theirs)
			default:
				out = out.push(Component{Retain: n, Attributes: transformAttributes(mine.Attributes, theirs.Attributes, priority)})
			}
		}
	}
	return out.Chop()
}

// TransformPosition is where position index, in UTF-16 units, is after d. What
// d inserts exactly there moves it unless priority is true.
func (d Delta) TransformPosition(index int, priority bool) int {
	at := 0
	for _, c := range d {
		if at > index {
			break
		}
		n := c.Len()
		switch {
		case c.Delete > 0:
			index -= min(n, index-at)
			continue
		case c.IsInsert() && (at < index || !priority):
			index += n
		}
		at += n
	}
	return index
}

// Invert is the edit that undoes d on the content that it was made on:
//
//	apply(apply(x, d), d.Invert(x)) = x
func (d Delta) Invert(base Delta) Delta {
	var out Delta
	at := 0
	for _, c := range d {
		n := c.Len()
		switch {
		case c.IsInsert():
			out = out.push(Component{Delete: n})
			continue
		case c.Retain > 0 && c.Attributes == nil:
			out = out.push(Component{Retain: n})
		default:
			for _, was := range base.Slice(at, at+n) {
				if c.Delete > 0 {
					out = out.push(was)
					continue
				}
				out = out.push(Component{Retain: was.Len(), Attributes: invertAttributes(c.Attributes, was.Attributes)})
			}
		}
		at += n
	}
	return out.Chop()
}
