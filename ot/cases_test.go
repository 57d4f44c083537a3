package ot_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/weft-collab/weft/ot"
)

// TestNamedCasesAreThoseOfTypeScript reads the cases to which the client library is held as well: pairs of edits with
// the results of npm's quill-delta, and what is refused here and never sent there.
func TestNamedCasesAreThoseOfTypeScript(t *testing.T) {
	text, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Pairs []struct {
			Name                              string
			Type                              ot.Type
			Doc, A, B                         ot.Delta
			First, Second, Composed, Inverted ot.Delta
			After, Both                       ot.Delta
			Positions                         [][2]int
		}
		Refused []struct {
			Name string
			Type ot.Type
			Doc  ot.Delta
			Edit json.RawMessage
		}
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Pairs) < 400 || len(all.Refused) < 25 {
		t.Fatalf("%d pairs and %d refused", len(all.Pairs), len(all.Refused))
	}
	for _, c := range all.Pairs {
		for what, pair := range map[string][2]ot.Delta{
			"transform with priority":    {c.A.Transform(c.B, true), c.First},
			"transform without priority": {c.A.Transform(c.B, false), c.Second},
			"compose":                    {c.A.Compose(c.First), c.Composed},
			"invert":                     {c.A.Invert(c.Doc), c.Inverted},
		} {
			if got, want := pair[0].AppendJSON(nil), pair[1].AppendJSON(nil); !bytes.Equal(got, want) {
				t.Errorf("%s: %s gives\n%s, not\n%s", c.Name, what, got, want)
			}
		}
		after, both := string(c.After.AppendJSON(nil)), string(c.Both.AppendJSON(nil))
		if got := edited(t, c.Type, c.Doc, c.A); got != after {
			t.Errorf("%s: the first gives\n%s, not\n%s", c.Name, got, after)
		}
		if got := edited(t, c.Type, c.Doc, c.Composed); got != both {
			t.Errorf("%s: both give\n%s, not\n%s", c.Name, got, both)
		}
		if got := edited(t, c.Type, c.Doc, ot.Diff(c.Type, c.Doc, c.Both)); got != both {
			t.Errorf("%s: the diff gives\n%s, not\n%s", c.Name, got, both)
		}
		for i, want := range c.Positions {
			if got := [2]int{c.A.TransformPosition(i, true), c.A.TransformPosition(i, false)}; got != want {
				t.Errorf("%s: position %d goes to %v, not %v", c.Name, i, got, want)
			}
		}
	}
	for _, c := range all.Refused {
		d, err := ot.Decode(c.Edit)
		if err == nil {
			doc, made := ot.DocumentOf(c.Type, c.Doc)
			if made != nil {
				t.Fatal(made)
			}
			err = doc.Apply(d)
		}
		if err == nil {
			t.Errorf("%s: %s was taken", c.Name, c.Edit)
		}
	}
	t.Logf("%d pairs, %d refused", len(all.Pairs), len(all.Refused))
}
