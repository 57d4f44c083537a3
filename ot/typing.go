package ot

import "unsafe"

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

// composeTyped is Compose of two edits of plain text, one change each. Either they touch different places, or the
// second goes on where the first one was: typing, deleting, typing over what was deleted, deleting what was typed.
func (d Delta) composeTyped(other Delta) (Delta, bool) {
	at, mine := d.lead()
	then, theirs := other.lead()
	if len(mine) != 1 || len(theirs) != 1 || !mine[0].isPlain() || !theirs[0].isPlain() {
		return nil, false
	}
	a, b := &mine[0], &theirs[0]
	end := at // of what a leaves in its place
	if len(a.Insert) == 1 {
		end++
	} else if a.Insert != "" {
		end += units(a.Insert)
	}
	switch {
	case then > end:
		return two(at, a, then-end, b), true
	case then+b.Delete < at:
		return two(then, b, at-then-b.Delete, a), true
	case a.Delete > 0 && b.Delete > 0: // then <= at <= then+b.Delete
		return one(then, Component{Delete: a.Delete + b.Delete}), true
	case a.Delete > 0:
		if then == at && at > 0 {
			return Delta{{Retain: at}, *b, *a}, true
		}
	case then >= at && then+b.Delete <= end:
		i, j := then-at, then-at+b.Delete
		if end-at < len(a.Insert) {
			i, _ = offset(a.Insert, i)
			j, _ = offset(a.Insert, j)
		}
		return typed(at, a.Insert[:i], b.Insert, a.Insert[j:]), true
	}
	return nil, false
}

// stroke is a delta and its text in one piece of memory: a keystroke costs one allocation.
type stroke struct {
	parts [2]Component
	text  [16]byte
}

// typed is a delta that passes n units and inserts a+b+c, if that is anything.
func typed(n int, a, b, c string) Delta {
	size := len(a) + len(b) + len(c)
	switch {
	case size == 0:
		return Delta{}
	case size > len(stroke{}.text):
		return one(n, Component{Insert: a + b + c})
	}
	s := new(stroke)
	if len(a) == 1 && len(b) == 1 && c == "" { // the next key, by far the most
		s.text[0], s.text[1] = a[0], b[0]
	} else {
		k := copy(s.text[:], a)
		k += copy(s.text[k:], b)
		copy(s.text[k:], c)
	}
	text := unsafe.String(&s.text[0], size) // nobody writes to it any more
	if n == 0 {
		s.parts[0].Insert = text
		return s.parts[:1:1]
	}
	s.parts[0].Retain, s.parts[1].Insert = n, text
	return s.parts[:2:2]
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

// two is a delta that passes n units and does a, passes gap units more, and does b; both are plain.
func two(n int, a *Component, gap int, b *Component) Delta {
	out := new([4]Component)
	out[0].Retain = n
	out[1].Insert, out[1].Delete = a.Insert, a.Delete
	out[2].Retain = gap
	out[3].Insert, out[3].Delete = b.Insert, b.Delete
	if n == 0 {
		return out[1:]
	}
	return out[:]
}

// one is a delta that passes n units and does c.
func one(n int, c Component) Delta {
	if n == 0 {
		return Delta{c}
	}
	return Delta{{Retain: n}, c}
}
