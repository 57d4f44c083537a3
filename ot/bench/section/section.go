// Package section writes parts of docs/benchmarks.md, each by a program of its own.
package section

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

const introduction = "# Benchmarks\n\nEach section is written by a program between its marks; nothing in it is written by hand. Ratios are of figures taken in one run on one machine.\n"

// Replace puts text between the marks of a section, at the end of the page where it has none.
func Replace(page, name string, text []byte) error {
	old, err := os.ReadFile(page)
	if errors.Is(err, fs.ErrNotExist) {
		old = []byte(introduction)
	} else if err != nil {
		return err
	}
	begin, end := "<!-- "+name+":begin -->\n", "<!-- "+name+":end -->\n"
	before, rest, found := strings.Cut(string(old), begin)
	_, after, closed := strings.Cut(rest, end)
	switch {
	case !found:
		before += "\n"
	case !closed:
		return fmt.Errorf("%s: %q has no end", page, strings.TrimSpace(begin))
	}
	return os.WriteFile(page, []byte(before+begin+string(text)+end+after), 0o644)
}
