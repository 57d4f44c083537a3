package ot_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/weft-collab/weft/ot"
)

var vectors = flag.Int("ot.vectors", 50_000, "random cases held against npm's quill-delta and rich-text, and the client library")

// A vector is a random case, and what others make of it.
type vector struct {
	Type        ot.Type
	Doc         ot.Delta
	A, B        ot.Delta // edits of doc
	C           ot.Delta // an edit of doc after a
	Index       int
	Quill, Rich algebra
	After       string   // doc after a, in normal form
	Other, Diff ot.Delta // another content, and the client library's diff from doc to it
	Wild        json.RawMessage
	Formed      *ot.Delta // wild, brought into form; null where it holds half a pair
	Wanted      string    // doc after formed, in normal form
}

type algebra struct {
	First, Second      ot.Delta // b over a, with and without priority of a
	Composed, Inverted ot.Delta
	Before, Behind     int
}

// TestResultsAreThoseOfTheBrowsers holds the algebra against npm's quill-delta and rich-text, byte for byte
// in normal form, and contents, diffs and edits brought into form against those of the client library. Node.js makes the
// cases while the test runs. Everything that it sends must be in the form that Decode takes.
func TestResultsAreThoseOfTheBrowsers(t *testing.T) {
	if _, err := os.Stat("../frontend/node_modules/rich-text"); err != nil {
		t.Skip("npm's quill-delta and rich-text are not installed; `make test` installs them")
	}
	t.Parallel()
	seed := rand.Uint32()
	cmd := exec.Command("node", "testdata/vectors.mjs", strconv.FormatUint(uint64(seed), 10), strconv.Itoa(*vectors))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("Node.js does not start: %v", err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	n, formed := 0, 0
	for lines.Scan() {
		var v vector
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatalf("seed %d, case %d: %v\n%s", seed, n, err, lines.Bytes())
		}
		v.compare(t, "quill-delta", v.Quill)
		v.compare(t, "rich-text", v.Rich)
		v.results(t)
		if t.Failed() {
			t.Fatalf("seed %d, case %d:\n%s", seed, n, lines.Bytes())
		}
		n++
		if v.Formed != nil {
			formed++
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if n != *vectors || formed < n/2 {
		t.Fatalf("%d cases came, of %d, with %d edits brought into form", n, *vectors, formed)
	}
	t.Logf("%d cases, %d edits brought into form, seed %d", n, formed, seed)
}

// compare holds the algebra to another's.
func (v *vector) compare(t *testing.T, whose string, other algebra) {
	for _, c := range []struct {
		what      string
		got, want ot.Delta
	}{
		{"transform with priority", v.A.Transform(v.B, true), other.First},
		{"transform without priority", v.A.Transform(v.B, false), other.Second},
		{"compose", v.A.Compose(v.C), other.Composed},
		{"invert", v.A.Invert(v.Doc), other.Inverted},
	} {
		if got, want := c.got.Normal().AppendJSON(nil), c.want.Normal().AppendJSON(nil); !bytes.Equal(got, want) {
			t.Errorf("%s\n          gives %s\n%s %s", c.what, got, whose, want)
		}
		if whose != "quill-delta" {
			continue
		}
		// What a client has in flight must be what the server sends back, and not only mean the same.
		if got, want := c.got.AppendJSON(nil), c.want.AppendJSON(nil); !bytes.Equal(got, want) {
			t.Errorf("%s, as it is\n          gives %s\n%s %s", c.what, got, whose, want)
		}
	}
	if got := v.A.TransformPosition(v.Index, true); got != other.Before {
		t.Errorf("position %d goes to %d, %s %d", v.Index, got, whose, other.Before)
	}
	if got := v.A.TransformPosition(v.Index, false); got != other.Behind {
		t.Errorf("position %d goes to %d, %s %d", v.Index, got, whose, other.Behind)
	}
}

// results holds contents to those of the client library.
func (v *vector) results(t *testing.T) {
	if got := edited(t, v.Type, v.Doc, v.A); got != v.After {
		t.Errorf("content\n%s, the client library\n%s", got, v.After)
	}
	want := edited(t, v.Type, v.Other, nil)
	if got := edited(t, v.Type, v.Doc, v.Diff); got != want {
		t.Errorf("the client library's diff %v gives\n%s, not\n%s", v.Diff, got, want)
	}
	if got := edited(t, v.Type, v.Doc, ot.Diff(v.Type, v.Doc, v.Other)); got != want {
		t.Errorf("Diff gives\n%s, not\n%s", got, want)
	}
	if v.Formed != nil {
		if got := edited(t, v.Type, v.Doc, *v.Formed); got != v.Wanted {
			t.Errorf("%v, brought into form, gives\n%s, not\n%s", *v.Formed, got, v.Wanted)
		}
	}
}

// edited is a content after an edit, in normal form.
func edited(t *testing.T, typ ot.Type, content, d ot.Delta) string {
	t.Helper()
	doc, err := ot.DocumentOf(typ, content)
	if err == nil {
		err = doc.Apply(d)
	}
	if err != nil {
		t.Errorf("%v on %v: %v", d, content, err)
		return ""
	}
	return string(doc.AppendJSON(nil))
}
