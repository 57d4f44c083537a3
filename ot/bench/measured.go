package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"
)

// measured has the values of each benchmark, by its name and unit, and what the benchmarks say of the machine.
type measured struct {
	values map[string]map[string][]float64
	cpu    string
}

func read(r io.Reader) (measured, error) {
	m := measured{values: map[string]map[string][]float64{}}
	lines := benchfmt.NewReader(r, "benchmarks")
	for lines.Scan() {
		switch rec := lines.Result().(type) {
		case *benchfmt.SyntaxError:
			return m, rec
		case *benchfmt.Result:
			m.cpu = rec.GetConfig("cpu")
			base, parts := rec.Name.Parts()
			name := string(base)
			for _, part := range parts {
				if part[0] == '/' { // not the number of processors
					name += string(part)
				}
			}
			if m.values[name] == nil {
				m.values[name] = map[string][]float64{}
			}
			for _, v := range rec.Values {
				m.values[name][v.Unit] = append(m.values[name][v.Unit], v.Value)
			}
		}
	}
	return m, lines.Err()
}

// median of a benchmark, and how far it may be off; false if it was not measured.
func (m measured) median(name, unit string) (benchmath.Summary, bool) {
	values := m.values[name][unit]
	if len(values) == 0 {
		return benchmath.Summary{}, false
	}
	thresholds := benchmath.DefaultThresholds
	return benchmath.AssumeNothing.Summary(benchmath.NewSample(slices.Clone(values), &thresholds), 0.95), true
}

// least of the values of a benchmark that was measured.
func (m measured) least(name, unit string) float64 { return slices.Min(m.values[name][unit]) }

// describe says what was measured on, and when.
func describe(m measured, begun time.Time, load string) (string, error) {
	node, err := exec.Command("node", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("node: %w", err)
	}
	lock, err := os.ReadFile(filepath.Join(peers, "package-lock.json"))
	if err != nil {
		return "", err
	}
	var installed struct {
		Packages map[string]struct {
			Version      string
			Dependencies map[string]string
		}
	}
	if err := json.Unmarshal(lock, &installed); err != nil {
		return "", fmt.Errorf("%s: %w", peers, err)
	}
	var versions []string
	for name := range installed.Packages[""].Dependencies {
		versions = append(versions, name+" "+installed.Packages["node_modules/"+name].Version)
	}
	slices.Sort(versions)
	return fmt.Sprintf("%s, %d processors, %s/%s; %s with GOGC=%s; Node.js %s with %s. Begun %s, ended %s; load average %s before, %s after.",
		m.cpu, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, strings.Replace(runtime.Version(), "go", "Go ", 1), gogc,
		strings.TrimSpace(string(node)), strings.Join(versions, ", "),
		begun.UTC().Format("2006-01-02 15:04 MST"), time.Now().UTC().Format("15:04"), load, loadAverage()), nil
}

// loadAverage is that of the last minute, where the system tells.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	load, _, _ := strings.Cut(string(text), " ")
	return load
}
