package ot_test

import (
	"math/rand/v2"
	"testing"
	"unicode/utf8"

	"github.com/weft-collab/weft/ot"
)

// Each boundary between characters is counted along the plain content, and held against what Document says of it.
func TestPositionsAreConvertedBothWays(t *testing.T) {
	for seed := range uint64(20) {
		w := writer{Rand: rand.New(rand.NewPCG(seed, 4)), typ: ot.Rich}
		for range w.IntN(5000) {
			w.cells = append(w.cells, w.cell())
		}
		content := deltaOf(append(w.cells, cell{char: '\n'}))
		doc, err := ot.DocumentOf(ot.Rich, content)
		if err != nil {
			t.Fatal(err)
		}
		unit, point, byt := 0, 0, 0
		step := func(units, points, bytes int) {
			for inside := range units { // of a pair too
				if doc.PointAt(unit+inside) != point || doc.ByteAt(unit+inside) != byt {
					t.Fatalf("seed %d: unit %d is point %d and byte %d, not %d and %d", seed, unit+inside,
						doc.PointAt(unit+inside), doc.ByteAt(unit+inside), point, byt)
				}
			}
			if got := doc.UnitAt(point); got != unit {
				t.Fatalf("seed %d: point %d is unit %d, not %d", seed, point, got, unit)
			}
			for inside := range bytes {
				if got := doc.UnitAtByte(byt + inside); got != unit {
					t.Fatalf("seed %d: byte %d is unit %d, not %d", seed, byt+inside, got, unit)
				}
			}
			unit, point, byt = unit+units, point+points, byt+bytes
		}
		for _, c := range content {
			if c.Embed != nil {
				step(1, 1, 0)
			}
			for _, r := range c.Insert {
				step(ot.Units(string(r)), 1, utf8.RuneLen(r))
			}
		}
		if doc.Len() != unit || len(doc.Text()) != byt {
			t.Fatalf("seed %d: %d units and %d bytes, not %d and %d", seed, doc.Len(), len(doc.Text()), unit, byt)
		}
		for _, past := range []int{0, 1, 1000} {
			if doc.UnitAt(point+past) != unit || doc.UnitAtByte(byt+past) != unit || doc.PointAt(unit+past) != point || doc.ByteAt(unit+past) != byt {
				t.Fatalf("seed %d: %d past the end is not the end", seed, past)
			}
		}
		if doc.UnitAt(-1) != 0 || doc.UnitAtByte(-1) != 0 || doc.PointAt(-1) != 0 || doc.ByteAt(-1) != 0 {
			t.Fatalf("seed %d: before the beginning is not the beginning", seed)
		}
	}
}
