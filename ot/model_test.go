package ot_test

import (
	"fmt"
	"math/rand/v2"
	"unicode/utf16"

	"github.com/weft-collab/weft/ot"
)

// A model is a content as an array of UTF-16 units, edited the slow and plain way.
type unit struct {
	code  uint16
	embed string
	attrs map[string]string // name to JSON
}

func jsonOf(v any) string {
	return string(ot.Delta{{Embed: ot.Embed{"v": v}}}.AppendJSON(nil))
}

func set(attrs map[string]string, with ot.Attributes) map[string]string {
	out := map[string]string{}
	for k, v := range attrs {
		out[k] = v
	}
	for k, v := range with {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = jsonOf(v)
		}
	}
	return out
}

func unitsOf(c ot.Component) (out []unit) {
	attrs := set(nil, c.Attributes)
	if c.Embed != nil {
		return []unit{{embed: jsonOf(map[string]any(c.Embed)), attrs: attrs}}
	}
	for _, u := range utf16.Encode([]rune(c.Insert)) {
		out = append(out, unit{code: u, attrs: attrs})
	}
	return out
}

func modelApply(content []unit, d ot.Delta) []unit {
	var out []unit
	at := 0
	for _, c := range d {
		switch {
		case c.IsInsert():
			out = append(out, unitsOf(c)...)
		case c.Delete > 0:
			at += c.Delete
		default:
			for _, u := range content[at : at+c.Retain] {
				u.attrs = set(u.attrs, c.Attributes)
				out = append(out, u)
			}
			at += c.Retain
		}
	}
	return append(out, content[at:]...)
}

func modelOf(content ot.Delta) []unit { return modelApply(nil, content) }

func same(a, b []unit) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

// gen makes random contents and edits that Document takes.
type gen struct{ *rand.Rand }

var texts = []string{"a", "bc", "\n", "é", "日本", "😀", "👩‍👩‍👧", "x\ny", "\x00", "\u2028", "lorem ipsum", "🏳️‍🌈z", "\ufffd", "\ue000"}

func (g gen) text() string { return texts[g.IntN(len(texts))] }

func (g gen) attrs(null bool) ot.Attributes {
	if g.IntN(2) == 0 {
		return nil
	}
	values := []any{true, "red", 2.0, map[string]any{"a": 1.0, "b": map[string]any{"c": nil}}, []any{"x", 1.5}, false}
	out := ot.Attributes{}
	for range 1 + g.IntN(2) {
		name := []string{"bold", "color", "link", "ü"}[g.IntN(4)]
		out[name] = values[g.IntN(len(values))]
		if null && g.IntN(3) == 0 {
			out[name] = nil
		}
	}
	return out
}

func (g gen) insert(d ot.Delta, typ ot.Type) ot.Delta {
	if typ == ot.Text {
		return d.Insert(g.text())
	}
	if g.IntN(5) == 0 {
		return d.InsertEmbed(ot.Embed{"image": g.text()}, g.attrs(true))
	}
	return d.Insert(g.text(), g.attrs(true))
}

func (g gen) content(typ ot.Type, n int) ot.Delta {
	doc := ot.NewDocument(typ)
	for range n {
		if err := doc.Apply(g.insert(nil, typ)); err != nil {
			panic(err)
		}
	}
	return doc.Delta()
}

// edit makes an edit of a content, on code point boundaries.
func (g gen) edit(typ ot.Type, content ot.Delta, steps int) ot.Delta {
	model := modelOf(content)
	end := len(model)
	if typ == ot.Rich {
		end--
	}
	var d ot.Delta
	at := 0
	for range steps {
		n := 0
		if at < end {
			n = 1 + g.IntN(min(end-at, 6))
			if at+n < len(model) && utf16.IsSurrogate(rune(model[at+n].code)) && model[at+n].code >= 0xDC00 {
				n++
			}
		}
		switch g.IntN(4) {
		case 0:
			d = g.insert(d, typ)
			continue
		case 1:
			d = d.Delete(n)
		case 2:
			d = d.Retain(n)
		default:
			if typ == ot.Text {
				d = d.Retain(n)
			} else {
				d = d.Retain(n, g.attrs(true))
			}
		}
		at += n
	}
	return d.Chop()
}
