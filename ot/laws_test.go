package ot_test

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"testing"

	"github.com/weft-collab/weft/ot"
)

var cases = flag.Int("ot.cases", 50_000, "random cases of each law")

// law calls f with random contents and a fresh generator for each case.
func law(t *testing.T, f func(t *testing.T, g gen, typ ot.Type, content ot.Delta)) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for i := range *cases {
		g := gen{rand.New(rand.NewPCG(seed, uint64(i)))}
		typ := []ot.Type{ot.Rich, ot.Rich, ot.Text}[i%3]
		f(t, g, typ, g.content(typ, g.IntN(5)))
		if t.Failed() {
			t.Fatalf("seed %d, case %d", seed, i)
		}
	}
}

// apply returns the content in normal form after edits that must all be taken.
func apply(t *testing.T, typ ot.Type, content ot.Delta, edits ...ot.Delta) []byte {
	t.Helper()
	doc, err := ot.DocumentOf(typ, content)
	if err != nil {
		t.Errorf("content %v: %v", content, err)
		return nil
	}
	for _, d := range edits {
		if err := doc.Apply(d); err != nil {
			t.Errorf("%v on %v: %v", d, doc.Delta(), err)
			return nil
		}
	}
	return doc.AppendJSON(nil)
}

func equal(t *testing.T, got, want []byte, what string, args ...any) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s: %v\n got %s\nwant %s", what, args, got, want)
	}
}

func TestConcurrentEditsConverge(t *testing.T) {
	law(t, func(t *testing.T, g gen, typ ot.Type, content ot.Delta) {
		a, b := g.edit(typ, content, g.IntN(5)), g.edit(typ, content, g.IntN(5))
		equal(t, apply(t, typ, content, a, a.Transform(b, true)), apply(t, typ, content, b, b.Transform(a, false)), "TP1", content, a, b)
	})
}

func TestSequencesConvergeOneAtATime(t *testing.T) {
	law(t, func(t *testing.T, g gen, typ ot.Type, content ot.Delta) {
		sequence := func() (out []ot.Delta) {
			doc, _ := ot.DocumentOf(typ, content)
			for range 1 + g.IntN(3) {
				d := g.edit(typ, doc.Delta(), g.IntN(4))
				if err := doc.Apply(d); err != nil {
					t.Fatal(err)
				}
				out = append(out, d)
			}
			return out
		}
		as, bs := sequence(), sequence()
		a2, b2 := append([]ot.Delta(nil), as...), append([]ot.Delta(nil), bs...)
		for i := range as {
			a := as[i]
			for j := range b2 {
				a, b2[j] = b2[j].Transform(a, false), a.Transform(b2[j], true)
			}
			a2[i] = a
		}
		equal(t, apply(t, typ, content, append(as, b2...)...), apply(t, typ, content, append(bs, a2...)...), "sequences", content, as, bs)
	})
}

func TestComposeIsOneAfterTheOther(t *testing.T) {
	law(t, func(t *testing.T, g gen, typ ot.Type, content ot.Delta) {
		a := g.edit(typ, content, g.IntN(5))
		doc, _ := ot.DocumentOf(typ, content)
		if err := doc.Apply(a); err != nil {
			t.Fatal(err)
		}
		b := g.edit(typ, doc.Delta(), g.IntN(5))
		equal(t, apply(t, typ, content, a.Compose(b)), apply(t, typ, content, a, b), "compose", content, a, b)
		if doc.Apply(b) != nil {
			t.Fatal("b")
		}
		c := g.edit(typ, doc.Delta(), g.IntN(5))
		equal(t, apply(t, typ, content, a.Compose(b).Compose(c)), apply(t, typ, content, a.Compose(b.Compose(c))), "associative", content, a, b, c)
	})
}

func TestInvertUndoes(t *testing.T) {
	law(t, func(t *testing.T, g gen, typ ot.Type, content ot.Delta) {
		a := g.edit(typ, content, g.IntN(6))
		undo := a.Invert(content)
		equal(t, apply(t, typ, content, a, undo), apply(t, typ, content), "invert", content, a, undo)
		// The undo of an edit still is an edit that is taken after what others did meanwhile.
		doc, _ := ot.DocumentOf(typ, content)
		if err := doc.Apply(a); err != nil {
			t.Fatal(err)
		}
		others := g.edit(typ, doc.Delta(), g.IntN(5))
		apply(t, typ, content, a, others, others.Transform(undo, true))
	})
}

func TestDiffGivesWhatItsNameSays(t *testing.T) {
	law(t, func(t *testing.T, g gen, typ ot.Type, a ot.Delta) {
		b := g.content(typ, g.IntN(5))
		if g.IntN(2) == 0 { // something near
			doc, _ := ot.DocumentOf(typ, a)
			if err := doc.Apply(g.edit(typ, a, g.IntN(4))); err != nil {
				t.Fatal(err)
			}
			b = doc.Delta()
		}
		d := ot.Diff(typ, a, b)
		equal(t, apply(t, typ, a, d), apply(t, typ, b), "diff", a, b, d)
		if _, err := ot.Decode(d.AppendJSON(nil)); err != nil {
			t.Errorf("the diff of %v and %v is out of form: %v", a, b, err)
		}
		if bytes.Equal(apply(t, typ, a), apply(t, typ, b)) && len(d) > 0 {
			t.Errorf("equal contents differ by %v", d)
		}
	})
}

func TestTransformedPositionsAreMonotone(t *testing.T) {
	law(t, func(t *testing.T, g gen, typ ot.Type, content ot.Delta) {
		d := g.edit(typ, content, g.IntN(6))
		last := -1
		for i := range content.Growth() + 1 {
			before, behind := d.TransformPosition(i, true), d.TransformPosition(i, false)
			if before > behind || before < last {
				t.Errorf("%v: %d goes to %d or %d, the one before it to %d", d, i, before, behind, last)
			}
			last = before
		}
	})
}

func TestWhatIsEncodedIsDecoded(t *testing.T) {
	law(t, func(t *testing.T, g gen, typ ot.Type, content ot.Delta) {
		d := g.edit(typ, content, g.IntN(6))
		text := d.AppendJSON(nil)
		again, err := ot.Decode(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		equal(t, again.AppendJSON(nil), text, "decode")
		if again, err = ot.Parse(d.String()); err != nil {
			t.Fatalf("%s: %v", d, err)
		}
		equal(t, again.AppendJSON(nil), text, "parse")
	})
}

// Why operations are transformed over each other one at a time: over a
// composition the outcome is another one.
func TestTransformOverACompositionIsNotTheSame(t *testing.T) {
	first, _ := ot.Parse(`-1`)
	second, _ := ot.Parse(`+"x"`)
	other, _ := ot.Parse(`=1 +"y"`)
	content, _ := ot.Parse(`+"a"`)
	inTurn := second.Transform(first.Transform(other, true), true)
	atOnce := first.Compose(second).Transform(other, true)
	one := apply(t, ot.Text, content, first, second, inTurn)
	two := apply(t, ot.Text, content, first, second, atOnce)
	t.Logf("in turn %s, at once %s", one, two)
	inTurn = second.Transform(first.Transform(other, false), false)
	atOnce = first.Compose(second).Transform(other, false)
	one = apply(t, ot.Text, content, first, second, inTurn)
	two = apply(t, ot.Text, content, first, second, atOnce)
	if bytes.Equal(one, two) {
		t.Errorf("both give %s; the counterexample is none", one)
	}
}
