package ot_test

import (
	"math/rand/v2"

	"github.com/weft-collab/weft/ot"
)

// gen makes contents and edits that a Document takes, out of chance or out of a fuzzer's bytes.
type gen struct {
	chance interface{ IntN(n int) int }
}

func seeded(a, b uint64) gen { return gen{rand.New(rand.NewPCG(a, b))} }

// program draws from bytes, and zeros when they are used up.
type program struct{ data []byte }

func (p *program) IntN(n int) int {
	v := 0
	for size := 1; size < n; size <<= 8 {
		if len(p.data) == 0 {
			return 0
		}
		v = v<<8 | int(p.data[0])
		p.data = p.data[1:]
	}
	return v % n
}

func (g gen) IntN(n int) int { return g.chance.IntN(n) }

// Characters of 1 to 4 bytes, sequences of several code points, and neighbours of what a
// mistake would confuse them with: the ends of the surrogate range, the replacement character, private use.
var texts = []string{
	"a", "bc", "\n", "é", "日本", "😀", "👩‍👩‍👧", "x\ny", "\x00", "\u2028", "lorem ipsum", "🏳️‍🌈z", "\ufffd", "\ue000", "\ud7ff", "\U00010000", "\U0010ffff", "\"\\\u007f",
}

var (
	names  = []string{"bold", "color", "link", "ü", "\U00010000", "\ufb01"}
	values = []any{
		true, "red", 2.0, map[string]any{"a": 1.0, "b": map[string]any{"c": nil}}, []any{"x", 1.5}, false,
		map[string]any{"a": 1.0}, []any{}, -1e-7, 1e21, "😀", "",
	}
)

func (g gen) text() string { return texts[g.IntN(len(texts))] }

// attrs are none, one or two attributes; some are null, if null is true.
func (g gen) attrs(null bool) ot.Attributes {
	if g.IntN(2) == 0 {
		return nil
	}
	out := ot.Attributes{}
	for range 1 + g.IntN(2) {
		name := names[g.IntN(len(names))]
		if g.IntN(2) == 0 {
			name = "bold" // so that edits meet
		}
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
		return d.InsertEmbed(g.embed(), g.attrs(true))
	}
	return d.Insert(g.text(), g.attrs(true))
}

func (g gen) embed() ot.Embed {
	return ot.Embed{[]string{"image", "video"}[g.IntN(2)]: []any{g.text(), nil, map[string]any{"y": 1.0}}[g.IntN(3)]}
}

// content is a content in normal form of n inserts.
func (g gen) content(typ ot.Type, n int) ot.Delta {
	var units []unit
	for range n {
		units = append(modelOf(g.insert(nil, typ)), units...)
	}
	if typ == ot.Rich {
		units = append(units, unit{code: '\n'})
	}
	return deltaOf(units)
}

// edit is an edit of a content, in the form that the protocol takes.
func (g gen) edit(typ ot.Type, content []unit, steps int) ot.Delta {
	end := len(content)
	if typ == ot.Rich {
		end--
	}
	var d ot.Delta
	at := 0
	for range steps {
		n := 0
		if at < end {
			n = 1 + g.IntN(min(end-at, 6))
			if at+n < len(content) && content[at+n].trails() {
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
	if typ == ot.Rich && at == end && g.IntN(8) == 0 {
		d = d.Retain(1, g.attrs(true)) // the last newline's attributes may change
	}
	return d.Chop()
}

// place is a position at which something may be inserted.
func (g gen) place(typ ot.Type, content []unit) int {
	end := len(content)
	if typ == ot.Rich {
		end--
	}
	at := g.IntN(end + 1)
	for at < end && content[at].trails() {
		at++
	}
	return at
}

// cut is an edit that deletes much at once.
func (g gen) cut(typ ot.Type, content []unit) ot.Delta {
	from, to := g.place(typ, content), g.place(typ, content)
	return ot.New().Retain(min(from, to)).Delete(max(from, to) - min(from, to)).Chop()
}
