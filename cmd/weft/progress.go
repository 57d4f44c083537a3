package main

import (
	"fmt"
	"os"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far long work has come, on standard error: a bar on a terminal, and
// a line for each tenth elsewhere.
func progress(quiet bool, total int, what, unit string) func(int) {
	if quiet || total == 0 {
		return func(int) {}
	}
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		bar := progressbar.NewOptions(total, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString(unit), progressbar.OptionClearOnFinish())
		return func(n int) { _ = bar.Set(n) }
	}
	tenth := 0
	return func(n int) {
		if now := n * 10 / total; now > tenth {
			tenth = now
			fmt.Fprintf(os.Stderr, "%d %% of %d %s\n", tenth*10, total, unit)
		}
	}
}
