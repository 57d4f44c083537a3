package ot

// Most edits are typed: one change at one place. Two of them most often touch different places, or one goes on
// where the other ended. What comes of these is known without walking both.

// lead parts a delta into the units that it passes first, and the rest.
func (d Delta) lead() (int, Delta) {
	if len(d) > 0 && d[0].Retain > 0 && d[0].Attributes == nil {
		return d[0].Retain, d[1:]
	}
	return 0, d
}

// behind is a delta that passes n units and then does what d does, if anything.
func (d Delta) behind(n int) Delta {
	switch {
	case len(d) == 1 && n > 0: // by far the most
		return Delta{{Retain: n}, d[0]}
	case n > 0 && len(d) > 0:
		out := make(Delta, len(d)+1)
		out[0].Retain = n
		copy(out[1:], d)
		return out
	}
	return d.fitted()
}

// transformApart is Transform of two edits that touch different places: other stays, or moves by what d adds
// before it.
func (d Delta) transformApart(other Delta, priority bool) (Delta, bool) {
	mine, _ := d.lead()
	theirs, rest := other.lead()
	rest = rest.Chop()
	if n := theirs + rest.BaseLen(); n < mine || n == mine && !priority {
		return rest.behind(theirs), true
	}
	if n := d.BaseLen(); n < theirs || n == theirs && priority {
		return rest.behind(theirs + d.Growth()), true
	}
	return nil, false
}

// composeTyped is Compose of two edits of plain text, one change each, of which the second goes on where the
// first one was: typing, deleting, typing over what was deleted, deleting what was typed.
func (d Delta) composeTyped(other Delta) (Delta, bool) {
	at, mine := d.lead()
	then, theirs := other.lead()
	if len(mine) != 1 || len(theirs) != 1 || !mine[0].isPlain() || !theirs[0].isPlain() {
		return nil, false
	}
	a, b := &mine[0], &theirs[0]
	switch {
	case a.Delete > 0 && b.Delete > 0:
		if then <= at && at <= then+b.Delete {
			return one(then, Component{Delete: a.Delete + b.Delete}), true
		}
	case a.Delete > 0:
		if then == at && at > 0 {
			return Delta{{Retain: at}, *b, *a}, true
		}
	case then >= at:
		i, j := then-at, then-at+b.Delete
		if n := units(a.Insert); j > n {
			return nil, false
		} else if n < len(a.Insert) {
			i, _ = offset(a.Insert, i)
			j, _ = offset(a.Insert, j)
		}
		if text := join(a.Insert[:i], b.Insert, a.Insert[j:]); text != "" {
			return one(at, Component{Insert: text}), true
		}
		return Delta{}, true
	}
	return nil, false
}

// join is a+b+c, in less time where it is short.
func join(a, b, c string) string {
	var space [64]byte
	if len(a)+len(b)+len(c) > len(space) {
		return a + b + c
	}
	return string(append(append(append(space[:0], a...), b...), c...))
}

// isKey reports whether the component is what a key of a keyboard does, which every type of document takes.
func (c *Component) isKey() bool {
	if c.Embed != nil || c.Attributes != nil || len(c.Insert) > 8 {
		return false
	}
	if c.Insert == "" {
		return c.Retain == 0 && c.Delete > 0
	}
	for i := range len(c.Insert) {
		if c.Insert[i] >= 0x80 || c.Insert[i] == '\r' {
			return false
		}
	}
	return c.Retain|c.Delete == 0
}

// isPlain reports whether the component inserts text without attributes, or deletes.
func (c *Component) isPlain() bool {
	return c.Attributes == nil && (c.Insert != "" || c.Delete > 0)
}

// one is a delta that passes n units and does c.
func one(n int, c Component) Delta {
	if n == 0 {
		return Delta{c}
	}
	return Delta{{Retain: n}, c}
}
