package ot_test

import (
	"errors"
	"testing"

	"github.com/weft-collab/weft/ot"
)

func TestErrorsSayWhichComponentAndWhere(t *testing.T) {
	decode := func(text string) error { _, err := ot.Decode([]byte(text)); return err }
	parse := func(text string) error { _, err := ot.Parse(text); return err }
	apply := func(typ ot.Type, content, edit string) error {
		doc, err := ot.DocumentOf(typ, notation(t, content))
		if err != nil {
			t.Fatal(err)
		}
		return doc.Apply(notation(t, edit))
	}
	for _, c := range []struct {
		err               error
		component, offset int
		want              string
	}{
		{decode(`{}`), -1, 0, "an array of components"},
		{decode(`[{"retain":1},{"insert":"a"}`), 1, 28, "a comma or the end of the array"},
		{decode(`[{"insert":"a"},{"retain":0}]`), 1, 26, "retain as an integer of at least 1"},
		{decode(`[{"insert":"a","attributes":{"b":1,"b":2}}]`), 0, 39, "each key once"},
		{decode(`[{"delete":1},{"delete":2}]`), 1, 26, "neighbours that can be one component to be one"},
		{decode(`[]]`), -1, 2, "nothing after the array"},
		{parse(`=1 *2`), 1, 3, "=, + or -"},
		{apply(ot.Rich, `+"abc\n"`, `+"x" =9`), 1, 0, "at most 4 more units, not 9: the content has 4"},
		{apply(ot.Rich, `+"abc\n"`, `=2 +"x" -2`), 2, 2, "the last newline to stay"},
		{apply(ot.Rich, `+"abc\n"`, `=4 +"x"`), 1, 4, "nothing after the last newline"},
		{apply(ot.Rich, `+"a😀\n"`, `=1 +"x" -1`), 2, 2, "no boundary inside a surrogate pair"},
		{apply(ot.Rich, `+"a\n"`, `=1 +"\r"`), 1, 1, "newlines as U+000A, without U+000D"},
		{apply(ot.Text, `+"abc"`, `=1 =1{"bold":true}`), 1, 1, "no attributes in a document of type text"},
		{apply(ot.Text, `+"abc"`, `-1 =1 +{"image":"x"}`), 2, 2, "no embeds in a document of type text"},
	} {
		var e *ot.Error
		if !errors.As(c.err, &e) {
			t.Errorf("%s: no such error: %v", c.want, c.err)
		} else if e.Component != c.component || e.Offset != c.offset || e.Want != c.want {
			t.Errorf("component %d, at %d: %s; not component %d, at %d: %s", e.Component, e.Offset, e.Want, c.component, c.offset, c.want)
		}
	}
	for want, err := range map[string]error{
		"delta, at 2: expected nothing after the array":   decode(`[]]`),
		"delta, component 1, at 3: expected =, + or -":    parse(`=1 *2`),
		"delta, component 0, at 0: expected an array":     &ot.Error{Want: "an array"},
		"delta, at 7: expected a newline at the very end": &ot.Error{Component: -1, Offset: 7, Want: "a newline at the very end"},
	} {
		if err.Error() != want {
			t.Errorf("%q, not %q", err, want)
		}
	}
}
