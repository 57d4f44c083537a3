package main

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/perf/benchmath"
	"golang.org/x/perf/benchunit"
)

// write writes the section: what and how, the ratios, and all figures.
func write(w io.Writer, m measured, machine string, benchstat []byte) {
	fmt.Fprintf(w, "## Package ot\n\n%s\n\n", machine)
	fmt.Fprintf(w, "`make bench` runs ours and the peers' benchmarks %d times in turn. A figure is the median, with its 95%% confidence interval, "+
		"and so is the ratio; beside it is the ratio of both sides' fastest runs, which other work of the machine disturbs least. "+
		"The recordings are played one edit at a time, each edit validated, from deltas that were made beforehand (the peers: from their own edits). "+
		"Typing at two places is two operations of one key each, at random places of 10,000 characters; the next key is where the first one was. Results are kept, so that both sides pay for their garbage.\n\n", *rounds)
	fmt.Fprint(w, "| what | ot | B/op | allocs/op | beside | its figure | ratio | of the fastest | goal | |\n| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | --- | --- |\n")
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
	show := func(s benchmath.Summary) string {
		return benchunit.Scale(s.Center, benchunit.ClassOf(unit)) + "s ± " + s.PctRangeString()
	}
	row := []string{g.what, show(ours)}
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
		return append(row, "", "", "", "", fmt.Sprintf("≤ %g", g.atMost), verdict(ours.Center <= g.atMost)), true
	}
	other, ok := m.median(g.other, unit)
	if !ok {
		return nil, false
	}
	faster, fastest := other.Center/ours.Center, m.least(g.other, unit)/m.least(g.ours, unit)
	row = append(row, g.peer, show(other))
	switch {
	case g.atLeast > 0:
		return append(row, times(faster)+" faster", times(fastest), fmt.Sprintf("≥ %g", g.atLeast), verdict(faster >= g.atLeast)), true
	case g.atMost > 0:
		return append(row, times(1/faster)+" its cost", times(1/fastest), fmt.Sprintf("≤ %g", g.atMost), verdict(1/faster <= g.atMost)), true
	case faster >= 1:
		return append(row, times(faster)+" faster", times(fastest), "", ""), true
	}
	return append(row, times(1/faster)+" its cost", times(1/fastest), "", ""), true
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
