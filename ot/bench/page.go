package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/perf/benchunit"
)

// write writes the section: what and how, the ratios, and all figures.
func write(w io.Writer, m measured, machine string, benchstat []byte) {
	fmt.Fprintf(w, "## Package ot\n\n%s\n\n", machine)
	fmt.Fprintf(w, "`make bench` runs ours and the peers' benchmarks %d times in turn. A figure is the median, with the half of its 95%% confidence interval. "+
		"The recordings are played one edit at a time, each edit validated, from deltas that were made beforehand (the peers: from their own edits). "+
		"Two typing operations are those of two authors at different places, or one author's next key; results are kept, so that both sides pay for their garbage.\n\n", *rounds)
	fmt.Fprint(w, "| what | ot | B/op | allocs/op | beside | its figure | ratio | goal | |\n| --- | ---: | ---: | ---: | --- | ---: | ---: | --- | --- |\n")
	missing := false
	for _, g := range goals() {
		row, ok := g.row(m)
		if !ok {
			missing = true
			continue
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
	}
	if missing {
		fmt.Fprintf(w, "\nWhat is missing was not measured: there are no recordings in `%s`.\n", *traces)
	}
	fmt.Fprintf(w, "\nAll figures, by `benchstat`:\n\n```\n%s\n```\n", bytes.TrimSpace(benchstat))
}

// row is a goal in a table; false if it was not measured.
func (g goal) row(m measured) ([]string, bool) {
	unit := "sec/op"
	if g.unit != "" {
		unit = g.unit
	}
	ours, ok := m.median(g.ours, unit)
	if !ok {
		return nil, false
	}
	show := func(value float64) string { return benchunit.Scale(value, benchunit.ClassOf(unit)) }
	row := []string{g.what, show(ours.Center) + " " + ours.PctRangeString()}
	if g.unit != "" {
		row[1] = fmt.Sprintf("%.2f %s", ours.Center, g.unit)
	}
	for _, unit := range []string{"B/op", "allocs/op"} {
		figure := ""
		if s, ok := m.median(g.ours, unit); ok && g.unit == "" {
			figure = strconv.FormatFloat(s.Center, 'f', 0, 64)
		}
		row = append(row, figure)
	}
	if g.other == "" {
		return append(row, "", "", "", fmt.Sprintf("≤ %g", g.atMost), verdict(ours.Center <= g.atMost)), true
	}
	other, ok := m.median(g.other, unit)
	if !ok {
		return nil, false
	}
	row = append(row, g.peer, show(other.Center)+" "+other.PctRangeString())
	faster := other.Center / ours.Center
	switch {
	case g.atLeast > 0:
		return append(row, times(faster)+" faster", fmt.Sprintf("≥ %g", g.atLeast), verdict(faster >= g.atLeast)), true
	case g.atMost > 0:
		return append(row, times(1/faster)+" its cost", fmt.Sprintf("≤ %g", g.atMost), verdict(1/faster <= g.atMost)), true
	case faster >= 1:
		return append(row, times(faster)+" faster", "", ""), true
	}
	return append(row, times(1/faster)+" its cost", "", ""), true
}

func times(ratio float64) string {
	if ratio >= 100 {
		return fmt.Sprintf("%.0f ×", ratio)
	}
	return fmt.Sprintf("%.1f ×", ratio)
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "**missed**"
}

const introduction = "# Benchmarks\n\nEach section is written by a program between its marks; nothing in it is written by hand. Ratios are of figures taken in one run on one machine.\n"

// replaceSection puts text between the marks of a section, at the end of the page where it has none.
func replaceSection(page, name string, text []byte) error {
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
