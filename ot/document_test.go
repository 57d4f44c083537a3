package ot_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/weft-collab/weft/ot"
)

func TestDocumentIsWhatThePlainModelSays(t *testing.T) {
	for seed := range uint64(60) {
		g := seeded(seed, 1)
		typ := []ot.Type{ot.Rich, ot.Text}[seed%2]
		doc := ot.NewDocument(typ)
		model := modelOf(doc.Delta())
		for i := range 250 {
			steps := 1 + g.IntN(6)
			d := g.edit(typ, model, steps)
			if seed%3 == 0 && i%10 == 0 { // some that split and join many leaves
				d = ot.New().Insert(strings.Repeat(g.text()+"ab", g.IntN(3000))).Concat(d)
			}
			if seed%3 == 0 && i%25 == 24 && doc.Len() > 10 {
				// whole code points only: from one newborn boundary to the end
				rest := doc.Len()
				if typ == ot.Rich {
					rest--
				}
				d = ot.New().Delete(rest)
			}
			before, kept := doc.Clone(), doc.AppendJSON(nil)
			if err := doc.Apply(d); err != nil {
				t.Fatalf("seed %d: %v: %v", seed, d, err)
			}
			model = modelApply(model, d)
			if !same(modelOf(doc.Delta()), model) || doc.Len() != len(model) {
				t.Fatalf("seed %d, edit %d: %v gives\n%v", seed, i, d, doc.Delta())
			}
			if !bytes.Equal(before.AppendJSON(nil), kept) {
				t.Fatalf("seed %d: an edit altered a clone", seed)
			}
			if !bytes.Equal(doc.AppendJSON(nil), doc.Delta().AppendJSON(nil)) {
				t.Fatalf("seed %d: JSON and Delta differ\n%s\n%s", seed, doc.AppendJSON(nil), doc.Delta().AppendJSON(nil))
			}
			again, err := ot.DocumentOf(typ, doc.Delta())
			if err != nil || !bytes.Equal(again.AppendJSON(nil), doc.AppendJSON(nil)) {
				t.Fatalf("seed %d: rebuilt from its content it differs: %v", seed, err)
			}
		}
	}
}

func TestDocumentRefusesAndStaysAsItWas(t *testing.T) {
	cases := []struct {
		typ           ot.Type
		content, edit string
	}{
		{ot.Rich, `+"ab\n"`, `=4`},
		{ot.Rich, `+"ab\n"`, `=1 -3`},
		{ot.Rich, `+"ab\n"`, `-3`},
		{ot.Rich, `+"ab\n"`, `=3 +"x"`},
		{ot.Rich, `+"ab\n"`, `+"x" =3 +"y"`},
		{ot.Rich, `+"ab\n"`, `=2 +{"image":"x"} -1`},
		{ot.Rich, `+"ab\n"`, `+"x\r\n"`},
		{ot.Rich, `+"😀\n"`, `=1 +"x"`},
		{ot.Rich, `+"😀\n"`, `-1`},
		{ot.Rich, `+"a😀b\n"`, `=1{"bold":true} =1 -1`},
		{ot.Rich, `+"a😀b\n"`, `+"y" =2{"bold":true}`},
		{ot.Text, `+"ab"`, `=3`},
		{ot.Text, `+"ab"`, `=2{"bold":true}`},
		{ot.Text, `+"ab"`, `+"x"{"bold":true}`},
		{ot.Text, `+"ab"`, `+{"image":"x"}`},
		{ot.Text, `+"a😀"`, `=2 -1`},
	}
	for _, c := range cases {
		content, err := ot.Parse(c.content)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := ot.DocumentOf(c.typ, content)
		if err != nil {
			t.Fatal(err)
		}
		edit, err := ot.Parse(c.edit)
		if err != nil {
			t.Fatalf("%s: %v", c.edit, err)
		}
		before := doc.AppendJSON(nil)
		var refused *ot.Error
		if err := doc.Apply(edit); !errors.As(err, &refused) {
			t.Errorf("%s on %s was taken: %v", c.edit, c.content, err)
		}
		if !bytes.Equal(doc.AppendJSON(nil), before) {
			t.Errorf("%s on %s: refused, and yet the content changed", c.edit, c.content)
		}
	}
}

func TestDocumentTakesWhatIsAllowedAtTheEnds(t *testing.T) {
	for _, c := range []struct {
		typ                 ot.Type
		content, edit, want string
	}{
		{ot.Rich, `+"\n"`, `=1{"header":1}`, `[{"insert":"\n","attributes":{"header":1}}]`},
		{ot.Rich, `+"ab\n"`, `-2`, `[{"insert":"\n"}]`},
		{ot.Rich, `+"ab\n"`, `=3`, `[{"insert":"ab\n"}]`},
		{ot.Rich, `+"ab\n"`, `=2 +"x"{"bold":null}`, `[{"insert":"abx\n"}]`},
		{ot.Text, `nothing`, `+"x\r\n"`, `[{"insert":"x\r\n"}]`},
		{ot.Text, `+"😀"`, `-2`, `[]`},
		{ot.Text, `+"😀"`, `=2 +"a"`, `[{"insert":"😀a"}]`},
		{ot.Rich, `+"a"{"x":1} +"b\n"`, `=1{"x":null}`, `[{"insert":"ab\n"}]`},
	} {
		content, _ := ot.Parse(c.content)
		doc, err := ot.DocumentOf(c.typ, content)
		if err != nil {
			t.Fatal(err)
		}
		edit, err := ot.Parse(c.edit)
		if err != nil {
			t.Fatalf("%s: %v", c.edit, err)
		}
		if err := doc.Apply(edit); err != nil {
			t.Errorf("%s on %s: %v", c.edit, c.content, err)
		}
		if got := string(doc.AppendJSON(nil)); got != c.want {
			t.Errorf("%s on %s gives %s, not %s", c.edit, c.content, got, c.want)
		}
	}
}

func TestContentOutOfFormIsRefused(t *testing.T) {
	for _, c := range []struct {
		typ     ot.Type
		content string
	}{
		{ot.Rich, `nothing`}, {ot.Rich, `+"a"`}, {ot.Rich, `+"a\n" +{"image":"x"}`}, {ot.Rich, `=1`}, {ot.Rich, `+"\r\n"`},
		{ot.Text, `-1`}, {ot.Text, `+"a"{"b":1}`}, {ot.Text, `+{"image":"x"}`},
	} {
		content, err := ot.Parse(c.content)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ot.DocumentOf(c.typ, content); err == nil {
			t.Errorf("%s was taken as content of type %s", c.content, c.typ)
		}
	}
}

// What Decode refuses must not get into a Document from a program that builds deltas by hand either.
func TestDocumentRefusesWhatNoDeltaIs(t *testing.T) {
	for name, c := range map[string]ot.Component{
		"nothing":                {},
		"two actions":            {Insert: "x", Delete: 1},
		"a negative retain":      {Retain: -1},
		"a negative delete":      {Delete: -1},
		"an embed without type":  {Embed: ot.Embed{}},
		"an embed of two types":  {Embed: ot.Embed{"a": 1.0, "b": 2.0}},
		"a formatted delete":     {Delete: 1, Attributes: ot.Attributes{"bold": true}},
		"bytes that are no text": {Insert: "\xff"},
		"half a surrogate pair":  {Insert: "\xed\xa0\xbd"},
	} {
		doc, err := ot.DocumentOf(ot.Rich, notation(t, `+"ab\n"`))
		if err != nil {
			t.Fatal(err)
		}
		err = doc.Apply(ot.Delta{{Retain: 1}, c})
		var refused *ot.Error
		if !errors.As(err, &refused) || refused.Component != 1 || refused.Offset != 1 {
			t.Errorf("%s: %v", name, err)
		}
		if got := doc.Text(); got != "ab\n" {
			t.Errorf("%s: refused, and yet the content is %q", name, got)
		}
	}
}
