package ot_test

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weft-collab/weft/ot"
)

var cases = flag.Int("ot.cases", 50_000, "random cases of each law")

// law calls f with random contents and a fresh generator for each case. The model says what a
// result must be; what the package makes of the same is held against it.
func law(t *testing.T, f func(t *testing.T, g gen, typ ot.Type, content ot.Delta)) {
	t.Parallel()
	seed := rand.Uint64()
	for i := range *cases {
		typ := []ot.Type{ot.Rich, ot.Rich, ot.Text}[i%3]
		g := seeded(seed, uint64(i))
		f(t, g, typ, g.content(typ, g.IntN(5)))
		if t.Failed() {
			t.Fatalf("seed %d, case %d", seed, i)
		}
	}
	t.Logf("%d cases, seed %d", *cases, seed)
}

// apply returns the content after edits that must all be taken, as the model has it. After each
// edit a Document must have the same, and no half pairs and the last newline must be in it.
func apply(t *testing.T, typ ot.Type, content ot.Delta, edits ...ot.Delta) []unit {
	t.Helper()
	model := modelOf(content)
	doc, err := ot.DocumentOf(typ, content)
	if err != nil {
		t.Fatalf("content %v: %v", content, err)
	}
	for _, d := range edits {
		if err := modelRefuses(typ, model, d); err != nil {
			t.Fatalf("%v on %v: %v", d, doc.Delta(), err)
		}
		if err := doc.Apply(d); err != nil {
			t.Fatalf("%v on %v: %v, which the model takes", d, doc.Delta(), err)
		}
		model = modelApply(model, d)
		if err := modelBroken(typ, model); err != nil {
			t.Fatalf("%v leaves %v: %v", d, deltaOf(model), err)
		}
		if got := doc.Delta(); !same(modelOf(got), model) || doc.Len() != len(model) {
			t.Fatalf("%v gives %v, and not %v", d, got, deltaOf(model))
		}
		if err := doc.Sound(); err != nil {
			t.Fatalf("%v: %v", d, err)
		}
	}
	return model
}

func equal(t *testing.T, got, want []unit, what string, args ...any) {
	t.Helper()
	if !same(got, want) {
		t.Errorf("%s: %v\n got %v\nwant %v", what, args, deltaOf(got), deltaOf(want))
	}
}

// inForm holds a result to the form in which alone a server takes it.
func inForm(t *testing.T, d ot.Delta) {
	t.Helper()
	text := d.AppendJSON(nil)
	again, err := ot.Decode(text)
	if err != nil {
		t.Errorf("out of form: %v: %v", d, err)
	} else if !bytes.Equal(again.AppendJSON(nil), text) {
		t.Errorf("%v comes back as %v", d, again)
	}
}

func TestConcurrentEditsConverge(t *testing.T) { law(t, converges) }

func converges(t *testing.T, g gen, typ ot.Type, content ot.Delta) {
	model := modelOf(content)
	a, b := g.edit(typ, model, g.IntN(5)), g.edit(typ, model, g.IntN(5))
	after, before := a.Transform(b, true), b.Transform(a, false)
	inForm(t, after)
	inForm(t, before)
	equal(t, apply(t, typ, content, a, after), apply(t, typ, content, b, before), "TP1", content, a, b)
}

// Two histories of one content, transformed one operation at a time and on both sides.
func TestSequencesConvergeOneAtATime(t *testing.T) { law(t, convergesInTurn) }

func convergesInTurn(t *testing.T, g gen, typ ot.Type, content ot.Delta) {
	sequence := func() (out []ot.Delta) {
		model := modelOf(content)
		for range 1 + g.IntN(3) {
			d := g.edit(typ, model, g.IntN(4))
			model = modelApply(model, d)
			out = append(out, d)
		}
		return out
	}
	as, bs := sequence(), sequence()
	behind, before := slices.Clone(bs), slices.Clone(as)
	for i, a := range as {
		for j := range behind {
			a, behind[j] = behind[j].Transform(a, false), a.Transform(behind[j], true)
		}
		before[i] = a
	}
	equal(t, apply(t, typ, content, append(as, behind...)...), apply(t, typ, content, append(bs, before...)...), "sequences", content, as, bs)
}

func TestComposeIsOneAfterTheOther(t *testing.T) { law(t, composes) }

func composes(t *testing.T, g gen, typ ot.Type, content ot.Delta) {
	a := g.edit(typ, modelOf(content), g.IntN(5))
	b := g.edit(typ, modelApply(modelOf(content), a), g.IntN(5))
	both := a.Compose(b)
	inForm(t, both)
	equal(t, apply(t, typ, content, both), apply(t, typ, content, a, b), "compose", content, a, b)
}

func TestComposeIsAssociative(t *testing.T) { law(t, associates) }

func associates(t *testing.T, g gen, typ ot.Type, content ot.Delta) {
	model := modelOf(content)
	var edits [3]ot.Delta
	for i := range edits {
		edits[i] = g.edit(typ, model, g.IntN(5))
		model = modelApply(model, edits[i])
	}
	a, b, c := edits[0], edits[1], edits[2]
	left, right := a.Compose(b).Compose(c), a.Compose(b.Compose(c))
	equal(t, apply(t, typ, content, left), model, "the first two first", content, a, b, c)
	equal(t, apply(t, typ, content, right), model, "the last two first", content, a, b, c)
	if l, r := left.Normal(), right.Normal(); !bytes.Equal(l.AppendJSON(nil), r.AppendJSON(nil)) {
		t.Errorf("%v, %v, %v compose to %v and to %v", a, b, c, l, r)
	}
}

func TestInvertUndoes(t *testing.T) { law(t, undoes) }

func undoes(t *testing.T, g gen, typ ot.Type, content ot.Delta) {
	a := g.edit(typ, modelOf(content), g.IntN(6))
	undo := a.Invert(content)
	inForm(t, undo)
	equal(t, apply(t, typ, content, a, undo), modelOf(content), "undo", content, a, undo)
	equal(t, apply(t, typ, content, a.Compose(undo)), modelOf(content), "undo, composed", content, a, undo)
}

// What one author undoes is taken after what others did meanwhile, and converges with it.
func TestATransformedUndoIsTaken(t *testing.T) {
	law(t, func(t *testing.T, g gen, typ ot.Type, content ot.Delta) {
		a := g.edit(typ, modelOf(content), g.IntN(6))
		undo := a.Invert(content)
		others := g.edit(typ, modelApply(modelOf(content), a), g.IntN(6))
		later, earlier := others.Transform(undo, true), undo.Transform(others, false)
		inForm(t, later)
		equal(t, apply(t, typ, content, a, others, later), apply(t, typ, content, a, undo, earlier), "undo", content, a, others)
	})
}

func TestDiffGivesWhatItsNameSays(t *testing.T) {
	law(t, func(t *testing.T, g gen, typ ot.Type, a ot.Delta) {
		b := g.content(typ, g.IntN(5))
		if g.IntN(2) == 0 { // something near
			model := modelOf(a)
			b = deltaOf(modelApply(model, g.edit(typ, model, g.IntN(4))))
		}
		d := ot.Diff(typ, a, b)
		inForm(t, d)
		equal(t, apply(t, typ, a, d), modelOf(b), "diff", a, b, d)
		if same(modelOf(a), modelOf(b)) != (len(d) == 0) {
			t.Errorf("%v and %v differ by %v", a, b, d)
		}
	})
}

// A position moves behind what is inserted before it and, without priority, at it; it
// moves forward with what goes; and of two positions the later stays the later.
func TestTransformedPositionsAreMonotone(t *testing.T) { law(t, movesPositions) }

func movesPositions(t *testing.T, g gen, typ ot.Type, content ot.Delta) {
	d := g.edit(typ, modelOf(content), g.IntN(6))
	size := len(modelOf(content))
	inserted, deleted := make([]int, size+1), make([]int, size+1) // by position of the content
	at := 0
	for _, c := range d {
		if c.Insert != "" || c.Embed != nil {
			inserted[at] += len(unitsOf(c))
		}
		for i := range c.Delete {
			deleted[at+i] = 1
		}
		at += c.Retain + c.Delete
	}
	last, want := 0, 0
	for i := range size + 1 {
		before, behind := d.TransformPosition(i, true), d.TransformPosition(i, false)
		if before != want || behind != want+inserted[i] || before < last {
			t.Errorf("%v on %v: %d goes to %d or %d, not to %d or %d", d, content, i, before, behind, want, want+inserted[i])
		}
		last, want = behind, want+inserted[i]+1-deleted[i]
	}
}

func TestWhatIsEncodedIsDecoded(t *testing.T) {
	law(t, func(t *testing.T, g gen, typ ot.Type, content ot.Delta) {
		d := g.edit(typ, modelOf(content), g.IntN(6))
		again, err := ot.Decode(d.AppendJSON(nil))
		if err != nil {
			t.Fatalf("%s: %v", d.AppendJSON(nil), err)
		}
		sameDelta(t, again, d)
		if again, err = ot.Parse(d.String()); err != nil {
			t.Fatalf("%s: %v", d, err)
		}
		sameDelta(t, again, d)
	})
}

// sameDelta compares component by component, without the encoder's word for it.
func sameDelta(t *testing.T, got, want ot.Delta) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%v is not %v", got, want)
	}
	for i, g := range got {
		w := want[i]
		if g.Insert != w.Insert || g.Retain != w.Retain || g.Delete != w.Delete || jsonOf(g.Embed) != jsonOf(w.Embed) || jsonOf(g.Attributes) != jsonOf(w.Attributes) {
			t.Fatalf("component %d of %v is not that of %v", i, got, want)
		}
	}
}

// Why operations are transformed over each other one at a time: over a composition the outcome
// is another one. The letter that a deletes is what tells an insert behind it from one before.
func TestTransformOverACompositionIsNotTheSame(t *testing.T) {
	content, first, second, other := notation(t, `+"a"`), notation(t, `-1`), notation(t, `+"x"`), notation(t, `=1 +"y"`)
	for _, c := range []struct {
		priority     bool
		turn, atOnce string
	}{
		{true, `+"xy"`, `+"xy"`},
		{false, `+"yx"`, `+"xy"`},
	} {
		inTurn := second.Transform(first.Transform(other, c.priority), c.priority)
		atOnce := first.Compose(second).Transform(other, c.priority)
		equal(t, apply(t, ot.Text, content, first, second, inTurn), modelOf(notation(t, c.turn)), "in turn", c.priority)
		equal(t, apply(t, ot.Text, content, first, second, atOnce), modelOf(notation(t, c.atOnce)), "at once", c.priority)
	}
}

// notation reads a delta in one line.
func notation(t *testing.T, s string) ot.Delta {
	t.Helper()
	d, err := ot.Parse(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return d
}
