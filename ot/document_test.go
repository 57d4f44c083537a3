package ot_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/weft-collab/weft/ot"
)

// Small documents, and some that grow over many leaves and fall back to one, edit after edit.
func TestDocumentIsWhatThePlainModelSays(t *testing.T) {
	for seed := range uint64(60) {
		followTheModel(t, seed, 250, 120*int(seed%3), 1)
	}
	followTheModel(t, 60, 200, 12_000, 20) // a tree of several levels
}

// followTheModel makes a document of random edits, of which each tenth inserts up to long repetitions of a
// text, and compares it with the model after each edit, and in every way after each so many.
func followTheModel(t *testing.T, seed uint64, edits, long, each int) {
	g := seeded(seed, 1)
	typ := []ot.Type{ot.Rich, ot.Text}[seed%2]
	doc := ot.NewDocument(typ)
	model := modelOf(doc.Delta())
	for i := range edits {
		d := g.edit(typ, model, 1+g.IntN(6))
		if long > 0 && i%10 == 0 {
			d = ot.New().Retain(g.place(typ, model)).Insert(strings.Repeat(g.text()+"ab", g.IntN(long))).Chop()
		}
		if long > 0 && i%25 == 24 {
			d = g.cut(typ, model)
		}
		before, kept := doc.Clone(), []byte(nil)
		if i%each == 0 {
			kept = doc.AppendJSON(nil)
		}
		if err := doc.Apply(d); err != nil {
			t.Fatalf("seed %d: %v: %v", seed, d, err)
		}
		model = modelApply(model, d)
		if err := doc.Sound(); err != nil {
			t.Fatalf("seed %d, edit %d: after %v: %v", seed, i, d, err)
		}
		if doc.Len() != len(model) {
			t.Fatalf("seed %d, edit %d: %v makes %d units, not %d", seed, i, d, doc.Len(), len(model))
		}
		if i%each != 0 {
			continue
		}
		content := doc.Delta()
		if !same(modelOf(content), model) {
			t.Fatalf("seed %d, edit %d: %v gives\n%v", seed, i, d, content)
		}
		if !bytes.Equal(before.AppendJSON(nil), kept) {
			t.Fatalf("seed %d: an edit altered a clone", seed)
		}
		text := doc.AppendJSON(nil)
		if !bytes.Equal(text, content.AppendJSON(nil)) || !bytes.Equal(text, content.Normal().AppendJSON(nil)) {
			t.Fatalf("seed %d: JSON and Delta differ\n%s\n%s", seed, text, content)
		}
		again, err := ot.DocumentOf(typ, content)
		if err != nil || !bytes.Equal(again.AppendJSON(nil), text) {
			t.Fatalf("seed %d: rebuilt from its content it differs: %v", seed, err)
		}
		from := g.IntN(len(model) + 1)
		to := min(from+g.IntN(40), len(model))
		for to < len(model) && model[to].trails() {
			to++
		}
		for from < to && model[from].trails() {
			from++
		}
		if got := doc.Slice(from, to); !same(modelOf(got), model[from:to]) {
			t.Fatalf("seed %d: from %d to %d it is %v, not %v", seed, from, to, got, deltaOf(model[from:to]))
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
