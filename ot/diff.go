package ot

import (
	"time"

	"github.com/sergi/go-diff/diffmatchpatch"
)

// diffTime bounds the search for a small edit. Past it Diff gives a larger one.
const diffTime = time.Second

// Diff is an edit that turns content a into content b, in the form of Check: on
// code point boundaries, and for Rich with both last newlines left in their place.
// Both are contents of that type, in normal form.
func Diff(typ Type, a, b Delta) Delta {
	var lastA, lastB Attributes
	if typ == Rich {
		a, lastA = withoutNewline(a)
		b, lastB = withoutNewline(b)
	}
	dmp := diffmatchpatch.New()
	dmp.DiffTimeout = diffTime
	var out Delta
	at, bt := 0, 0
	for _, part := range dmp.DiffMainRunes(runes(a), runes(b), false) {
		n := Units(part.Text)
		if n == 0 {
			continue // the library leaves empty parts behind
		}
		switch part.Type {
		case diffmatchpatch.DiffDelete:
			out = out.push(Component{Delete: n})
			at += n
		case diffmatchpatch.DiffInsert:
			for _, c := range b.Slice(bt, bt+n) {
				out = out.push(c)
			}
			bt += n
		default:
			out = diffEqual(out, a.Slice(at, at+n), b.Slice(bt, bt+n))
			at, bt = at+n, bt+n
		}
	}
	if typ == Rich {
		out = out.push(Component{Retain: 1, Attributes: diffAttributes(lastA, lastB)})
	}
	return out.Chop()
}

// diffEqual goes through two contents of the same text.
func diffEqual(out, a, b Delta) Delta {
	x, y := iterate(a), iterate(b)
	for x.more() && y.more() {
		n := min(x.left, y.left)
		was, is := x.next(n), y.next(n)
		if (was.Embed == nil) != (is.Embed == nil) || !equalAttributes(Attributes(was.Embed), Attributes(is.Embed)) {
			out = out.push(is).push(Component{Delete: n})
			continue
		}
		out = out.push(Component{Retain: n, Attributes: diffAttributes(was.Attributes, is.Attributes)})
	}
	return out
}

func diffAttributes(a, b Attributes) Attributes {
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
	return content.Slice(0, content.Growth()-1), last.Attributes
}

// runes is the text with U+E000 of the private use area for each embed: one unit long.
// Where the text has that character itself, diffEqual tells them apart.
func runes(content Delta) []rune {
	var out []rune
	for _, c := range content {
		if c.Embed != nil {
			out = append(out, '\uE000')
			continue
		}
		out = append(out, []rune(c.Insert)...)
	}
	return out
}
