package main

import (
	"go/parser"
	gotoken "go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/weft-collab/weft"

// imports are the project's packages, by folder, and what each imports: its tests apart, since they may use
// another package's servers and suites.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	root := filepath.Join("..", "..")
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if name == "testdata" || name == "node_modules" || path != root && strings.HasPrefix(name, ".") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(gotoken.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		folder = filepath.ToSlash(folder)
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if !slices.Contains(all[folder], imported) {
				all[folder] = append(all[folder], imported)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// law says what a package may import of the project, and whether anything besides that and the standard library.
// Adapters, which wrap a technology, share what they have in common through the engine: none imports another.
var law = map[string]struct {
	project  []string
	packages bool
}{
	"ot":                    {nil, true}, // a diff library, under Diff alone
	"collab/protocol":       {[]string{"ot"}, true},
	"collab":                {[]string{"ot", "collab/protocol"}, false},
	"collab/client":         {[]string{"ot", "collab/protocol"}, true},
	"collab/websocket":      {[]string{"ot", "collab", "collab/protocol"}, true},
	"collab/rest":           {[]string{"ot", "collab", "collab/protocol"}, true},
	"collab/jwt":            {[]string{"ot", "collab", "collab/protocol"}, true},
	"collab/prometheus":     {[]string{"collab"}, true},
	"collab/redis":          {[]string{"ot", "collab", "collab/protocol"}, true},
	"persistence/postgres":  {[]string{"ot", "collab", "collab/protocol", "migrations"}, true},
	"persistence/sqlite":    {[]string{"ot", "collab", "collab/protocol", "migrations"}, true},
	"persistence/storetest": {[]string{"ot", "collab", "collab/protocol"}, true},

	// Programs for `make bench`, and what they share.
	"ot/bench":               {[]string{"ot/bench/section"}, true},
	"ot/bench/section":       {nil, false},
	"collab/websocket/bench": {[]string{"collab", "collab/websocket", "persistence/sqlite", "ot/bench/section"}, true},
	"migrations":             {nil, true},
	"frontend":               {nil, false},

	// Servers that tests start.
	"collab/redis/redistest":            {nil, true},
	"persistence/postgres/postgrestest": {nil, true},
}

func TestPackagesImportOnlyWhatTheLawAllows(t *testing.T) {
	found := imports(t)
	for folder, imported := range found {
		rule, known := law[folder]
		if !known {
			if !strings.HasPrefix(folder, "cmd/") { // commands wire: they import what they like
				t.Errorf("%s is a new package: the law should say what it may import", folder)
			}
			continue
		}
		for _, path := range imported {
			inner, ours := strings.CutPrefix(path, module+"/")
			switch {
			case ours && !slices.Contains(rule.project, inner):
				t.Errorf("%s imports %s; of the project it may import %q", folder, inner, rule.project)
			case !ours && !rule.packages && strings.Contains(strings.Split(path, "/")[0], "."):
				t.Errorf("%s imports %s; it may import the standard library alone", folder, path)
			}
		}
	}
	for folder := range law {
		if _, there := found[folder]; !there {
			t.Errorf("the law speaks of %s, which is not there", folder)
		}
	}
}

// What makes the algebra slow, impure or bound to a library is kept out of all of ot but Diff.
func TestOnlyDiffUsesALibrary(t *testing.T) {
	files, err := filepath.Glob("../../ot/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			if strings.Contains(spec.Path.Value, ".") && filepath.Base(name) != "diff.go" {
				t.Errorf("%s imports %s", filepath.Base(name), spec.Path.Value)
			}
		}
	}
}
