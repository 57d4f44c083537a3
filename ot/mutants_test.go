package ot_test

import (
	"bufio"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var mutants = flag.Bool("ot.mutants", false, "plant the bugs of testdata/mutants, and run the tests against each")

// A mutant is a bug to plant: the old text, which stands once in the file, is replaced.
type mutant struct{ name, file, old, new string }

// readMutants reads a list: a line "# file: name", the old text in lines that begin with -, the new in lines with +.
func readMutants(t *testing.T, path string) (out []mutant) {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "# "):
			file, name, _ := strings.Cut(line[2:], ": ")
			out = append(out, mutant{name: name, file: file})
		case strings.HasPrefix(line, "-"):
			out[len(out)-1].old += line[1:] + "\n"
		case strings.HasPrefix(line, "+"):
			out[len(out)-1].new += line[1:] + "\n"
		case line != "":
			t.Fatalf("%s: a line that begins with none of #, - and +: %q", path, line)
		}
	}
	return out
}

// TestEveryPlantedBugIsCaught plants one bug after the other, in what the compiler sees and not in the files, and
// runs the other tests, at lower counts, until one fails. A bug that no test catches is a hole in the tests.
func TestEveryPlantedBugIsCaught(t *testing.T) {
	if !*mutants {
		t.Skip("takes minutes: `make mutants` runs it")
	}
	all := readMutants(t, "testdata/mutants.txt")
	for _, m := range all {
		overlay := m.plant(t)
		// The laws first; what npm's libraries say and the model's way through large documents if these find nothing.
		for _, which := range [][]string{{"-skip", "Model|Browsers|Planted"}, {"-run", "Model|Browsers"}} {
			args := append([]string{"test", "-failfast", "-vet=off", "-overlay", overlay}, which...)
			args = append(args, ".", "-args", "-ot.cases", "3000", "-ot.vectors", "3000", "-ot.exhaustive", "1")
			out, err := exec.Command("go", args...).CombinedOutput()
			if strings.Contains(string(out), "[build failed]") {
				t.Fatalf("%s: it does not compile\n%s", m.name, out)
			}
			if err == nil {
				continue
			}
			by := "a panic"
			if found := regexp.MustCompile(`(?m)^ *--- FAIL: (\S+)`).FindAllStringSubmatch(string(out), -1); found != nil {
				by = found[len(found)-1][1]
			}
			t.Logf("%-58s caught by %s", m.name, by)
			overlay = ""
			break
		}
		if overlay != "" {
			t.Errorf("%s: not caught", m.name)
		}
	}
	t.Logf("%d planted bugs", len(all))
}

// plant writes the file with the bug, and the overlay that puts it in its place.
func (m mutant) plant(t *testing.T) (overlay string) {
	source, err := os.ReadFile(m.file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), m.old); n != 1 || m.old == "" {
		t.Fatalf("%s: its old text stands %d times in %s", m.name, n, m.file)
	}
	folder := t.TempDir()
	file := filepath.Join(folder, m.file)
	if err := os.WriteFile(file, []byte(strings.Replace(string(source), m.old, m.new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs(m.file)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(map[string]any{"Replace": map[string]string{here: file}})
	overlay = filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}
