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

var vectors = flag.Int("ot.vectors", 50_000, "random cases held against npm's quill-delta")

// TestResultsAreThoseOfQuillDelta holds the algebra against npm's quill-delta, on cases that
// Node.js makes while the test runs. Results are compared component by component.
func TestResultsAreThoseOfQuillDelta(t *testing.T) {
	if _, err := os.Stat("../frontend/node_modules/quill-delta"); err != nil {
		t.Skip("npm's quill-delta is not installed; `make test` installs it")
	}
	seed := rand.Uint32()
	t.Logf("seed %d", seed)
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
	n := 0
	for lines.Scan() {
		var v struct {
			Doc, A, B, C, First, Second, Composed, Inverted, After json.RawMessage
			Index, Before, Behind                                  int
		}
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		read := func(raw json.RawMessage) ot.Delta {
			d, err := ot.Decode(raw)
			if err != nil {
				t.Fatalf("case %d: %v: %s", n, err, raw)
			}
			return d
		}
		doc, a, b, c := read(v.Doc), read(v.A), read(v.B), read(v.C)
		for name, pair := range map[string][2][]byte{
			"transform with priority":    {a.Transform(b, true).AppendJSON(nil), read(v.First).AppendJSON(nil)},
			"transform without priority": {a.Transform(b, false).AppendJSON(nil), read(v.Second).AppendJSON(nil)},
			"compose":                    {a.Compose(c).AppendJSON(nil), read(v.Composed).AppendJSON(nil)},
			"invert":                     {a.Invert(doc).AppendJSON(nil), read(v.Inverted).AppendJSON(nil)},
		} {
			if !bytes.Equal(pair[0], pair[1]) {
				t.Fatalf("case %d, %s of\n%s\n%s\n%s\n%s\n got %s\nwant %s", n, name, v.Doc, v.A, v.B, v.C, pair[0], pair[1])
			}
		}
		if got := [2]int{a.TransformPosition(v.Index, true), a.TransformPosition(v.Index, false)}; got != [2]int{v.Before, v.Behind} {
			t.Fatalf("case %d: position %d over %s: got %v, want %d and %d", n, v.Index, v.A, got, v.Before, v.Behind)
		}
		n++
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if n != *vectors {
		t.Fatalf("%d cases came, of %d", n, *vectors)
	}
}
