package ot

// few is how many components go through a space on the stack, so that the result of an everyday
// edit is one allocation of exactly its size.
const few = 4

// Compose is the edit that does d and then other:
//
//	apply(apply(x, d), other) = apply(x, d.Compose(other))
func (d Delta) Compose(other Delta) Delta {
	if out, ok := d.composeTyped(other); ok {
		return out
	}
	if n := len(d) + len(other); n > few {
		return d.compose(other, make(Delta, 0, n))
	}
	var space [few]Component
	return d.compose(other, space[:0]).fitted()
}

// compose appends the composition to out, which is empty.
func (d Delta) compose(other, out Delta) Delta {
	a, b := iterate(d), iterate(other)
	for a.more() || b.more() {
		switch {
		case b.inserts():
			out = out.push(b.next(b.left))
		case a.deletes():
			out = out.push(a.next(a.left))
		default:
			n := min(a.left, b.left)
			if b.deletes() {
				if !a.inserts() {
					out = out.push(Component{Delete: n})
				}
				a.skip(n)
				b.skip(n)
				continue
			}
			mine := a.next(n)
			if attrs := b.attributes(); attrs != nil {
				mine.Attributes = composeAttributes(mine.Attributes, attrs, mine.Retain > 0)
			}
			b.skip(n)
			out = out.push(mine)
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
	if out, ok := d.transformApart(other, priority); ok {
		return out
	}
	if n := len(d) + len(other); n > few {
		return d.transform(other, priority, make(Delta, 0, n))
	}
	var space [few]Component
	return d.transform(other, priority, space[:0]).fitted()
}

// transform appends what other becomes to out, which is empty.
func (d Delta) transform(other Delta, priority bool, out Delta) Delta {
	a, b := iterate(d), iterate(other)
	for b.more() {
		switch {
		case a.inserts() && (priority || !b.inserts()):
			out = out.push(Component{Retain: a.left})
			a.skip(a.left)
		case b.inserts():
			out = out.push(b.next(b.left))
		default:
			n := min(a.left, b.left)
			switch {
			case a.deletes(): // what it deletes, the other can neither delete nor format
			case b.deletes():
				out = out.push(Component{Delete: n})
			default:
				out = out.push(Component{Retain: n, Attributes: transformAttributes(a.attributes(), b.attributes(), priority)})
			}
			a.skip(n)
			b.skip(n)
		}
	}
	return out.Chop()
}

// fitted is a copy of d of exactly its size.
func (d Delta) fitted() Delta {
	out := make(Delta, len(d))
	copy(out, d)
	return out
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
	content := iterate(base)
	for _, c := range d {
		n := c.Len()
		if c.IsInsert() {
			out = out.push(Component{Delete: n})
			continue
		}
		for n > 0 && content.more() {
			k := min(n, content.left)
			was := content.next(k)
			n -= k
			switch {
			case c.Delete > 0:
				out = out.push(was)
			case c.Attributes == nil:
				out = out.push(Component{Retain: k})
			default:
				out = out.push(Component{Retain: k, Attributes: invertAttributes(c.Attributes, was.Attributes)})
			}
		}
	}
	return out.Chop()
}
