package ot_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weft-collab/weft/ot"
)

// differ holds Diff to its name on plain text, and returns how many units it writes and removes.
func differ(t *testing.T, a, b string) (d ot.Delta, changed int) {
	t.Helper()
	from := ot.New().Insert(a)
	d = ot.Diff(ot.Text, from, ot.New().Insert(b))
	inForm(t, d)
	doc, err := ot.DocumentOf(ot.Text, from)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Apply(d); err != nil {
		t.Fatal(err)
	}
	if doc.Text() != b {
		t.Fatal("the diff does not give the other content")
	}
	for _, c := range d {
		changed += ot.Units(c.Insert) + c.Delete
	}
	return d, changed
}

// scattered is a text of many lines, and the same with edits here and there.
func scattered(size, edits int) (a, b string) {
	r := rand.New(rand.NewPCG(1, 2))
	var text []rune
	for range size {
		text = append(text, []rune("abcdefghijklmno é日😀\n")[r.IntN(20)])
	}
	a = string(text)
	var out strings.Builder
	each := size / edits
	for i := range edits {
		at := i*each + r.IntN(each)
		text[at] = 'X'
		out.WriteString(string(text[i*each:at]) + "new " + string(text[at:(i+1)*each]))
	}
	return a, out.String() + string(text[edits*each:])
}

func TestDiffFindsEditsInALongText(t *testing.T) {
	a, b := scattered(200_000, 1000)
	d, changed := differ(t, a, b)
	if changed > 3*1000*7 {
		t.Errorf("1000 edits of 7 units differ by %d units", changed)
	}
	if again, _ := differ(t, a, b); again.String() != d.String() {
		t.Error("the same contents have two diffs")
	}
}

// A search that compares every place with every other does not end here within hours.
func TestDiffEndsWhereEverythingLooksAlike(t *testing.T) {
	const n = 1_000_000
	for _, c := range [][2]string{
		{"b" + strings.Repeat("a", n), strings.Repeat("a", n/2) + "c"},
		{"b" + strings.Repeat("ab", n/2) + "y", strings.Repeat("ab", n/2) + "c"},
		{strings.Repeat("ab\n", n/3), strings.Repeat("ba\n", n/3)},
		{strings.Repeat("x", n), strings.Repeat("y", n)},
	} {
		differ(t, c[0], c[1])
	}
}

func TestDiffFitsIntoOneDelta(t *testing.T) {
	a, b := scattered(200_000, 20_000)
	if d, _ := differ(t, a, b); len(d) > ot.MaxComponents {
		t.Errorf("%d components", len(d))
	}
}

func TestDiffKeepsWhatStays(t *testing.T) {
	for _, c := range []struct {
		typ        ot.Type
		a, b, want string
	}{
		{ot.Text, `+"abc"`, `+"axc"`, `=1 +"x" -1`},
		{ot.Text, `+"😀"`, `+"😁"`, `+"😁" -2`}, // the halves before are equal
		{ot.Text, `+"😀x"`, `+"😂x"`, `+"😂" -2`},
		{ot.Rich, `+"ab\n"`, `+"ab\n"`, `nothing`},
		{ot.Rich, `+"ab\n"`, `+"\n"`, `-2`},
		{ot.Rich, `+"a\n"`, `+"a\nb\n"`, `=1 +"\nb"`}, // not behind the last newline
		{ot.Rich, `+"a\n"`, `+"a" +"\n"{"header":1}`, `=1 =1{"header":1}`},
		{ot.Rich, `+"a\n"`, `+"a"{"bold":true} +"\n"`, `=1{"bold":true}`},
		{ot.Rich, `+"a"{"bold":true} +"\n"`, `+"a\n"`, `=1{"bold":null}`},
		{ot.Rich, `+{"image":"x"} +"\n"`, `+{"image":"y"} +"\n"`, `+{"image":"y"} -1`},
		{ot.Rich, `+{"image":"x"} +"\n"`, `+{"image":"x"}{"alt":"z"} +"\n"`, `=1{"alt":"z"}`},
		{ot.Rich, `+"\ue000\n"`, `+{"image":"x"} +"\n"`, `+{"image":"x"} -1`},
		{ot.Rich, `+"one\ntwo\n"`, `+"one\nnone\ntwo\n"`, `=4 +"none\n"`}, // a line, and not letters of two
	} {
		if got := ot.Diff(c.typ, notation(t, c.a), notation(t, c.b)).String(); got != c.want {
			t.Errorf("from %s to %s: %s, not %s", c.a, c.b, got, c.want)
		}
	}
}
