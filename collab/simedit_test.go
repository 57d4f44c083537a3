package collab

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/weft-collab/weft/ot"
)

// firstMark is the first of the characters that stand for one edit each.
const firstMark = rune(0xF0000)

func (w *world) mark() rune {
	w.marks++
	return firstMark + rune(w.marks)
}

// marksOf lists the marks that deltas insert.
func marksOf(deltas ...ot.Delta) (marks []rune) {
	for _, d := range deltas {
		for _, part := range d {
			for _, r := range part.Insert {
				if r >= firstMark {
					marks = append(marks, r)
				}
			}
		}
	}
	return marks
}

// unsent lists the marks of the edits that the client has not seen stored.
func (c *simClient) unsent() []rune { return marksOf(c.inFlight, c.buffer) }

func (c *simClient) view() *ot.Document {
	d := c.content.Clone()
	for _, delta := range []ot.Delta{c.inFlight, c.buffer} {
		if delta == nil {
			continue
		}
		if err := d.Apply(delta); err != nil {
			c.w.fail("%s: its own edit does not apply: %v", c.name, err)
		}
	}
	return d
}

// edit makes a random edit: a mark that stands for it, filler around it, a deletion of filler.
func (c *simClient) edit() {
	if c.content == nil || c.reader || len(c.buffer) > 0 && (c.w.one(2) || len(marksOf(c.buffer)) > 1) {
		return
	}
	r := c.w.rng
	text := c.view().Text()
	if c.w.typ == ot.Rich {
		text = strings.TrimSuffix(text, "\n") // what is inserted goes before it
	}
	at := r.IntN(utf8.RuneCountInString(text) + 1)
	d := ot.New()
	units, rest := 0, text
	for range at {
		ch, n := utf8.DecodeRuneInString(rest)
		units, rest = units+utf16.RuneLen(ch), rest[n:]
	}
	if units > 0 {
		d = d.Retain(units)
	}
	mark := c.w.mark()
	d = d.Insert([]string{"", "", "x", "x\n"}[r.IntN(4)] + string(mark))
	// Deletions take filler alone, so that every mark must stay.
	n := 0
	for n < len(rest) && n < 3 && rest[n] == 'x' && r.IntN(2) == 0 {
		n++
	}
	if n > 0 {
		d = d.Delete(n)
	} else if c.w.typ == ot.Rich && rest != "" && unitsOf(rest) == 1 && r.IntN(3) == 0 {
		d = d.Retain(1, ot.Attributes{"bold": []any{true, nil}[r.IntN(2)]})
	}
	c.buffer = c.buffer.Compose(d)
	c.w.trace("%s edits: mark %x", c.name, mark)
	if !c.w.one(8) {
		c.save()
	}
}

// unitsOf is how many UTF-16 units the first character has.
func unitsOf(s string) int {
	ch, _ := utf8.DecodeRuneInString(s)
	return utf16.RuneLen(ch)
}
