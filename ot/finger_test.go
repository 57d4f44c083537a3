package ot_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weft-collab/weft/ot"
)

// A cell is a character or an embed of a plain content.
type cell struct {
	char  rune // 0 for an embed
	color string
}

func (c cell) units() int {
	if c.char > 0xFFFF {
		return 2
	}
	return 1
}

func contentOf(cells []cell) ot.Delta {
	d := ot.New()
	var text strings.Builder
	for i, c := range cells {
		var attrs ot.Attributes
		if c.color != "" {
			attrs = ot.Attributes{"color": c.color}
		}
		if c.char == 0 {
			d = d.InsertEmbed(ot.Embed{"image": "x"}, attrs)
			continue
		}
		text.WriteRune(c.char)
		if i+1 == len(cells) || cells[i+1].char == 0 || cells[i+1].color != c.color {
			d = d.Insert(text.String(), attrs)
			text.Reset()
		}
	}
	return d
}

// A writer keeps a document and what it must hold.
type writer struct {
	*rand.Rand
	typ   ot.Type
	doc   *ot.Document
	cells []cell
	caret int // where the last edit was
}

func (w *writer) clone() *writer {
	c := *w
	c.doc, c.cells = w.doc.Clone(), append([]cell(nil), w.cells...)
	return &c
}

func (w *writer) cell() cell {
	c := cell{char: []rune("aaaaaaaaabcde \n\né日😀")[w.IntN(19)]}
	if w.typ == ot.Rich && w.IntN(8) == 0 {
		c.color = []string{"red", "blue"}[w.IntN(2)]
		if w.IntN(3) == 0 {
			c.char = 0
		}
	}
	return c
}

func (w *writer) unitsTo(n int) int {
	units := 0
	for _, c := range w.cells[:n] {
		units += c.units()
	}
	return units
}

// end is the number of cells that may be deleted and written before.
func (w *writer) end() int {
	if w.typ == ot.Rich {
		return len(w.cells) - 1
	}
	return len(w.cells)
}

// place is where an edit begins: most often at the caret or beside it.
func (w *writer) place() int {
	if w.IntN(10) < 8 {
		return max(0, min(w.caret-2+w.IntN(5), w.end()))
	}
	return w.IntN(w.end() + 1)
}

// edit makes an edit of one or two changes that is taken, and performs it.
func (w *writer) edit(t *testing.T) {
	at := w.place()
	units := w.unitsTo(at)
	d := ot.New().Retain(units)
	cells := append([]cell(nil), w.cells[:at]...)
	for range 1 + w.IntN(2) {
		switch rest := w.end() - at; w.IntN(4) {
		case 0, 1:
			put := make([]cell, 1+w.IntN(3))
			if w.IntN(60) == 0 {
				put = make([]cell, w.IntN(4000))
			}
			for i := range put {
				put[i] = w.cell()
			}
			d = d.Concat(contentOf(put))
			cells = append(cells, put...)
		case 2:
			n := min(rest, 1+w.IntN(4))
			if w.IntN(60) == 0 {
				n = w.IntN(rest + 1)
			}
			d = d.Delete(w.unitsTo(at+n) - w.unitsTo(at))
			at += n
		default:
			n := min(rest, w.IntN(6))
			color, attrs := "", ot.Attributes(nil)
			if w.typ == ot.Rich && w.IntN(2) == 0 {
				color = []string{"", "red"}[w.IntN(2)]
				attrs = ot.Attributes{"color": nil}
				if color != "" {
					attrs["color"] = color
				}
			}
			d = d.Retain(w.unitsTo(at+n)-w.unitsTo(at), attrs)
			for _, c := range w.cells[at : at+n] {
				if attrs != nil {
					c.color = color
				}
				cells = append(cells, c)
			}
			at += n
		}
	}
	w.caret = len(cells)
	w.cells = append(cells, w.cells[at:]...)
	if err := w.doc.Apply(d); err != nil {
		t.Fatalf("%v: %v", d, err)
	}
}

// fail makes an edit that begins well, beside the last one, and must not be taken.
func (w *writer) fail(t *testing.T) {
	at := w.unitsTo(w.place())
	before := w.doc.AppendJSON(nil)
	d := ot.New().Retain(at).Insert("x")
	length := w.unitsTo(len(w.cells))
	switch w.IntN(3) {
	case 0:
		d = d.Delete(length - at + 1)
	case 1:
		d = d.Retain(length - at).Concat(ot.Delta{{Delete: 1}})
	default:
		pair := -1
		for i, c := range w.cells {
			if c.char == '😀' && w.unitsTo(i) >= at && (pair < 0 || w.IntN(3) > 0) {
				pair = w.unitsTo(i)
			}
		}
		if pair < 0 {
			return
		}
		d = d.Retain(pair - at).Delete(1)
	}
	if err := w.doc.Apply(d); err == nil {
		t.Fatalf("%v was taken by %d units", d, length)
	}
	if !bytes.Equal(w.doc.AppendJSON(nil), before) {
		t.Fatalf("%v was refused, and yet the content changed", d)
	}
}

func (w *writer) check(t *testing.T) {
	if err := w.doc.Sound(); err != nil {
		t.Fatal(err)
	}
	if got, want := w.doc.AppendJSON(nil), contentOf(w.cells).AppendJSON(nil); !bytes.Equal(got, want) {
		t.Fatalf("the content is\n%s, not\n%s", got, want)
	}
}

// Writers go on beside their last edit, most often; they part into two by a clone, now and then, and one of them is
// let go. What one writes the others do not see, and an edit that fails is as if it had not been.
func TestEditsBesideTheLastOneAreWhatThePlainModelSays(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 7))
		first := &writer{Rand: r, typ: []ot.Type{ot.Rich, ot.Text}[seed%2]}
		for range r.IntN([]int{3, 300, 4000}[seed%3]) {
			first.cells = append(first.cells, first.cell())
		}
		if first.typ == ot.Rich {
			first.cells = append(first.cells, cell{char: '\n'})
		}
		doc, err := ot.DocumentOf(first.typ, contentOf(first.cells))
		if err != nil {
			t.Fatal(err)
		}
		first.doc = doc
		writers := []*writer{first}
		for i := range 400 {
			w := writers[r.IntN(len(writers))]
			switch {
			case i%20 == 19 && len(writers) < 5:
				writers = append(writers, w.clone())
			case i%25 == 24 && len(writers) > 1:
				n := r.IntN(len(writers))
				if writers[n] != w && r.IntN(3) > 0 {
					writers[n].doc.Release()
				}
				writers = append(writers[:n], writers[n+1:]...)
			case r.IntN(25) == 0:
				w.fail(t)
			default:
				w.edit(t)
			}
			if err := w.doc.Sound(); err != nil {
				t.Fatalf("seed %d, edit %d: %v", seed, i, err)
			}
			if i%20 == 0 {
				w.check(t)
			}
		}
		for _, w := range writers {
			w.check(t)
		}
	}
}

// Under the race detector this says that an edit alters nothing that a clone still has.
func TestACloneIsReadWhileTheOriginalIsEdited(t *testing.T) {
	doc, err := ot.DocumentOf(ot.Text, ot.New().Insert(string(bytes.Repeat([]byte("a😀"), 5000))))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		clone := doc.Clone()
		want := doc.AppendJSON(nil)
		done := make(chan bool)
		go func() {
			ok := bytes.Equal(clone.AppendJSON(nil), want) && clone.Check(ot.New().Retain(i*3).Delete(1)) == nil
			if i%3 > 0 {
				clone.Release()
			}
			done <- ok
		}()
		for j := range 20 {
			if err := doc.Apply(ot.New().Retain(i * 3 * (j % 3 * 7)).Insert("bbb")); err != nil {
				t.Error(err)
			}
		}
		if !<-done {
			t.Fatalf("clone %d is not what it was", i)
		}
	}
}

func TestNothingIsCopiedForClonesThatWereReleased(t *testing.T) {
	doc, err := ot.DocumentOf(ot.Text, ot.New().Insert(strings.Repeat("0123456789", 10_000)))
	if err != nil {
		t.Fatal(err)
	}
	key := ot.New().Retain(50_000).Insert("x")
	edit := func() {
		if err := doc.Apply(key); err != nil {
			t.Fatal(err)
		}
	}
	edit()
	nothing := testing.AllocsPerRun(50, func() { doc.Clone().Release() })
	released := testing.AllocsPerRun(50, func() {
		doc.Clone().Release()
		edit()
	})
	ofAClone := testing.AllocsPerRun(50, func() {
		clone := doc.Clone()
		clone.Clone().Release()
		clone.Release()
		edit()
	})
	held := testing.AllocsPerRun(50, func() {
		clone := doc.Clone()
		edit()
		clone.Release()
	})
	var keeps *ot.Document // a clone of a clone
	heldByAnother := testing.AllocsPerRun(50, func() {
		clone := doc.Clone()
		keeps = clone.Clone()
		clone.Release()
		edit()
	})
	if released > nothing || ofAClone > 3*nothing {
		t.Errorf("an edit after a clone that was released takes %v allocations, and after a clone of one %v; a clone takes %v", released, ofAClone, nothing)
	}
	if held < nothing+3 || heldByAnother < 2*nothing+3 {
		t.Errorf("an edit while a clone is held takes %v allocations, and while a clone of one is held %v: nothing is copied", held, heldByAnother)
	}
	keeps.Release()

	// Of many clones no more is remembered than of a few.
	for range 100 {
		doc.Clone()
		doc = doc.Clone()
	}
	if err := doc.Sound(); err != nil {
		t.Error(err)
	}
	for range 100 {
		doc.Clone()
	}
	if err := doc.Sound(); err != nil {
		t.Error(err)
	}
}
