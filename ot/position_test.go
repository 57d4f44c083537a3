package ot_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/weft-collab/weft/ot"
)

func TestPositionsAreConverted(t *testing.T) {
	for seed := range uint64(16) {
		g := seeded(seed, 7)
		typ := []ot.Type{ot.Rich, ot.Text}[seed%2]
		doc := ot.NewDocument(typ)
		model := modelOf(doc.Delta())
		for range 40 {
			d := g.edit(typ, model, 1+g.IntN(6))
			if g.IntN(4) == 0 { // over several leaves
				d = ot.New().Retain(g.place(typ, model)).Insert(strings.Repeat(g.text()+"b😀", g.IntN(150)))
			}
			if err := doc.Apply(d); err != nil {
				t.Fatal(err)
			}
			model = modelApply(model, d)
		}
		converted(t, doc, model)
	}
}

// converted holds every position of a document to a count along its units.
func converted(t *testing.T, doc *ot.Document, model []unit) {
	point, byte := 0, 0
	text := doc.Text()
	for i := 0; i < len(model); {
		width, units := 0, 1
		if model[i].embed == "" {
			_, width = utf8.DecodeRuneInString(text[byte:])
			if width == 4 {
				units = 2
			}
		}
		for inside := range units {
			if got := [2]int{doc.PointAt(i + inside), doc.ByteAt(i + inside)}; got != [2]int{point, byte} {
				t.Fatalf("unit %d is point %d and byte %d, not %d and %d", i+inside, got[0], got[1], point, byte)
			}
		}
		if got := doc.UnitAt(point); got != i {
			t.Fatalf("point %d is unit %d, not %d", point, got, i)
		}
		for inside := range width {
			if got := doc.UnitAtByte(byte + inside); got != i {
				t.Fatalf("byte %d is unit %d, not %d", byte+inside, got, i)
			}
		}
		i, point, byte = i+units, point+1, byte+width
	}
	for _, past := range []int{0, 1, 1000} {
		got := [4]int{doc.UnitAt(point + past), doc.PointAt(len(model) + past), doc.ByteAt(len(model) + past), doc.UnitAtByte(byte + past)}
		if got != [4]int{len(model), point, byte, len(model)} {
			t.Fatalf("%d past the end: %v, not %v", past, got, [4]int{len(model), point, byte, len(model)})
		}
	}
	if got := [4]int{doc.UnitAt(-1), doc.PointAt(-1), doc.ByteAt(-1), doc.UnitAtByte(-1)}; got != [4]int{} {
		t.Fatalf("before the beginning: %v", got)
	}
}
