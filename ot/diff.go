package ot

import (
	"slices"
	"unicode/utf8"

	"github.com/aymanbagabas/go-udiff/lcs"
)

// Diff is an edit that turns content a into content b, in the form of Check: on
// code point boundaries, and for Rich with both last newlines left in their place.
// Both are contents of that type, in normal form. The same contents give the same edit, in time that grows with
// their length and with the number of changes, not with the product.
func Diff(typ Type, a, b Delta) Delta {
	var lastA, lastB Attributes
	if typ == Rich {
		a, lastA = withoutNewline(a)
		b, lastB = withoutNewline(b)
	}
	var symbols symbols
	x, y := symbols.of(a), symbols.of(b)
	changes := changesOf(x, y)
	for gap := 1; ; gap *= 2 {
		d := assemble(a, b, x, y, changes)
		if typ == Rich {
			d = d.push(Component{Retain: 1, Attributes: diffAttributes(lastA, lastB)})
		}
		if len(d) <= MaxComponents || len(changes) <= 1 {
			return d.Chop()
		}
		changes = coarser(changes, gap)
	}
}

// assemble writes changes of a into b as a delta.
func assemble(a, b Delta, x, y []rune, changes []change) Delta {
	var out Delta
	was, is := cursor{content: a, symbols: x}, cursor{content: b, symbols: y}
	equal := func(n int) {
		for n > 0 {
			k := min(n, was.rest(), is.rest())
			before, after := was.take(k), is.take(k)
			out = out.push(Component{Retain: after.Len(), Attributes: diffAttributes(before.Attributes, after.Attributes)})
			n -= k
		}
	}
	at := 0
	for _, c := range changes {
		equal(c.from - at)
		for n := c.end - c.start; n > 0; {
			k := min(n, is.rest())
			out = out.push(is.take(k))
			n -= k
		}
		for n := c.to - c.from; n > 0; {
			k := min(n, was.rest())
			out = out.push(Component{Delete: was.take(k).Len()})
			n -= k
		}
		at = c.to
	}
	equal(len(x) - at)
	return out
}

// cursor takes a content by its symbols.
type cursor struct {
	content Delta
	symbols []rune // that are left
	left    int    // symbols of the component
	byte    int    // where they begin in its text
}

// rest is the number of symbols left in the component.
func (c *cursor) rest() int {
	if c.left == 0 {
		c.left = max(utf8.RuneCountInString(c.content[0].Insert), 1)
		c.byte = 0
	}
	return c.left
}

// take gives n symbols, no more than rest.
func (c *cursor) take(n int) Component {
	out := c.content[0]
	if out.Embed == nil {
		end := c.byte
		for _, r := range c.symbols[:n] {
			end += utf8.RuneLen(r)
		}
		out.Insert = out.Insert[c.byte:end]
		c.byte = end
	}
	c.symbols = c.symbols[n:]
	if c.left -= n; c.left == 0 {
		c.content = c.content[1:]
	}
	return out
}

// compare is what turns x into y, by the search that the Go tools use. That gives up after a number of
// changes and leaves one large one in the middle, which is searched again for as long as it gets smaller: so
// the time is in proportion to the length and to the changes.
func compare(x, y []rune) (out []change) {
	pending := []change{{0, len(x), 0, len(y)}}
	for len(pending) > 0 {
		block := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		if block.from == block.to || block.start == block.end {
			out = append(out, block)
			continue
		}
		found := lcs.DiffRunes(x[block.from:block.to], y[block.start:block.end])
		for _, d := range slices.Backward(found) {
			c := change{block.from + d.Start, block.from + d.End, block.start + d.ReplStart, block.start + d.ReplEnd}
			pending = append(pending, c)
		}
		if len(found) == 1 && pending[len(pending)-1] == block { // nothing in common
			pending = pending[:len(pending)-1]
			out = append(out, block)
		}
	}
	return slices.DeleteFunc(out, func(c change) bool { return c.from == c.to && c.start == c.end })
}

func diffAttributes(a, b Attributes) Attributes {
	if len(a) == 0 && len(b) == 0 {
		return nil
	}
	out := Attributes{}
	for k, v := range b {
		if was, ok := a[k]; !ok || !equalValues(was, v) {
			out[k] = v
		}
	}
	for k := range a {
		if _, ok := b[k]; !ok {
			out[k] = nil
		}
	}
	return some(out)
}

func withoutNewline(content Delta) (Delta, Attributes) {
	n := len(content)
	if n == 0 {
		return content, nil
	}
	last := content[n-1]
	out := slices.Clone(content)
	out[n-1].Insert = last.Insert[:max(len(last.Insert)-1, 0)]
	if out[n-1].Insert == "" {
		out = out[:n-1]
	}
	return out, last.Attributes
}

// symbols gives contents as sequences that can be compared: code points, and a negative number for each embed.
type symbols struct{ embeds map[string]rune }

func (s *symbols) of(content Delta) []rune {
	var out []rune
	for _, c := range content {
		if c.Embed == nil {
			for _, r := range c.Insert {
				out = append(out, r)
			}
			continue
		}
		if s.embeds == nil {
			s.embeds = map[string]rune{}
		}
		key := string(appendObject(nil, c.Embed))
		if s.embeds[key] == 0 {
			s.embeds[key] = rune(-1 - len(s.embeds))
		}
		out = append(out, s.embeds[key])
	}
	return out
}
