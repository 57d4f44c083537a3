package ot_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/weft-collab/weft/ot"
)

// Each target has a corpus in testdata/fuzz, whose files are named by what is in them.

// FuzzDecode holds Decode to taken, another reader of the same rules, both ways: what the one takes
// the other takes too, and with the same values.
func FuzzDecode(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := ot.Decode(text)
		want, refusal := taken(text)
		if (err == nil) != (refusal == nil) {
			t.Fatalf("%q: Decode says %v, the rules %v", text, err, refusal)
		}
		if err != nil {
			filled(t, err, len(text))
			return
		}
		sameDelta(t, d, want)
		inForm(t, d)
		if again, err := ot.Parse(d.String()); err != nil {
			t.Fatalf("%v: %v", d, err)
		} else {
			sameDelta(t, again, d)
		}
		normal := d.Normal()
		inForm(t, normal)
		if twice := normal.Normal(); !bytes.Equal(twice.AppendJSON(nil), normal.AppendJSON(nil)) {
			t.Fatalf("the normal form of %v is %v, and of that %v", d, normal, twice)
		}
	})
}

// drawn is a content and a generator, out of a fuzzer's bytes.
func drawn(data []byte) (g gen, typ ot.Type, content ot.Delta) {
	g = gen{&program{data}}
	typ = []ot.Type{ot.Rich, ot.Text}[g.IntN(2)]
	return g, typ, g.content(typ, g.IntN(8))
}

func FuzzCompose(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		g, typ, content := drawn(data)
		composes(t, g, typ, content)
		associates(t, g, typ, content)
		undoes(t, g, typ, content)
	})
}

func FuzzTransform(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		g, typ, content := drawn(data)
		converges(t, g, typ, content)
		convergesInTurn(t, g, typ, content)
		movesPositions(t, g, typ, content)
	})
}

// FuzzApply edits a content, both in the notation of String, and then goes on with edits out of bytes, some of them
// of many kilobytes. A Document must take and make what the model does, and a clone must stay as it was.
func FuzzApply(f *testing.F) {
	f.Fuzz(func(t *testing.T, rich bool, content, edit string, more []byte) {
		typ := ot.Text
		if rich {
			typ = ot.Rich
		}
		base, err := ot.Parse(content)
		if err != nil {
			return
		}
		for _, c := range base {
			if !c.IsInsert() {
				return
			}
		}
		doc, err := ot.DocumentOf(typ, base)
		refusal := modelRefuses(ot.Text, nil, base)
		if typ == ot.Rich {
			refusal = modelBroken(typ, modelOf(base))
			if strings.Contains(string(base.AppendJSON(nil)), `\r`) {
				return
			}
		}
		if (err == nil) != (refusal == nil) {
			t.Fatalf("content %v: %v, and the model %v", base, err, refusal)
		}
		if err != nil {
			return
		}
		model := modelOf(base)
		perform := func(d ot.Delta) {
			before, kept := doc.Clone(), doc.AppendJSON(nil)
			err, refusal := doc.Apply(d), modelRefuses(typ, model, d)
			if (err == nil) != (refusal == nil) {
				t.Fatalf("%v on %v: %v, and the model %v", d, doc.Delta(), err, refusal)
			}
			if err == nil {
				model = modelApply(model, d)
			} else {
				filled(t, err, len(model))
			}
			if got := doc.Delta(); !same(modelOf(got), model) || doc.Len() != len(model) {
				t.Fatalf("%v gives %v, not %v", d, got, deltaOf(model))
			}
			if err := doc.Sound(); err != nil {
				t.Fatalf("after %v: %v", d, err)
			}
			if !bytes.Equal(doc.AppendJSON(nil), doc.Delta().AppendJSON(nil)) {
				t.Fatalf("after %v the JSON is %s", d, doc.AppendJSON(nil))
			}
			if !bytes.Equal(before.AppendJSON(nil), kept) {
				t.Fatalf("%v altered a clone", d)
			}
		}
		if d, err := ot.Parse(edit); err == nil {
			perform(d)
		}
		p := &program{more}
		g := gen{p}
		for n := 0; len(p.data) > 0 && n < 20; n++ {
			d := g.edit(typ, model, 1+g.IntN(6))
			if g.IntN(4) == 0 {
				d = ot.New().Retain(g.place(typ, model)).Insert(strings.Repeat(g.text()+"ab", 40*g.IntN(30)))
			}
			if g.IntN(4) == 0 {
				d = g.cut(typ, model)
			}
			perform(d)
		}
	})
}

// filled holds an error to saying where and what.
func filled(t *testing.T, err error, size int) {
	t.Helper()
	e, ok := err.(*ot.Error)
	if !ok || e.Want == "" || e.Offset < 0 || e.Offset > size || e.Component < -1 {
		t.Fatalf("an error that does not say where: %#v", err)
	}
}
