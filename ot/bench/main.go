// Bench measures package ot beside its peers from npm, and writes what comes of it into docs/benchmarks.md.
// It is run from the root of the project, by `make bench`.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/weft-collab/weft/ot/bench/section"
)

const peers = "ot/testdata/peers" // a package of npm's

var (
	rounds = flag.Int("rounds", 10, "how often everything is measured, one round after the other")
	traces = flag.String("traces", "../shared/traces", "folder of recorded editing histories")
	page   = flag.String("page", "docs/benchmarks.md", "file to write into")
	raw    = flag.String("raw", "bin/benchmarks-ot.txt", "file for what the benchmarks print")
	took   = flag.String("benchtime", "200ms", "time for each of the benchmarks, each round")
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	begun := time.Now()
	load := loadAverage()
	output, err := measure()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(*raw), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(*raw, output, 0o644); err != nil {
		return err
	}
	m, err := read(bytes.NewReader(output))
	if err != nil {
		return err
	}
	benchstat, err := exec.Command("go", "tool", "benchstat", *raw).Output()
	if err != nil {
		return fmt.Errorf("benchstat: %w", err)
	}
	machine, err := describe(m, begun, load)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	write(&text, m, machine, benchstat)
	return section.Replace(*page, "ot", text.Bytes())
}

// measure runs all benchmarks, ours and the peers', in turn, so that what else the machine does meets both.
func measure() ([]byte, error) {
	folder, err := filepath.Abs(*traces)
	if err != nil {
		return nil, err
	}
	recordings, err := filepath.Glob(filepath.Join(folder, "s*.json.gz")) // those of one writer
	if err != nil {
		return nil, err
	}
	if len(recordings) == 0 {
		log.Printf("there are no recordings in %s: the rows of recordings will be missing", *traces)
	}
	temp, err := os.MkdirTemp("", "weft-bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)
	binary := filepath.Join(temp, "ot.test")
	if err := command(os.Stderr, ".", "go", "test", "-c", "-o", binary, "./ot").Run(); err != nil {
		return nil, fmt.Errorf("the benchmarks of ot do not build: %w", err)
	}
	var output bytes.Buffer
	for round := range *rounds {
		log.Printf("round %d of %d", round+1, *rounds)
		out := io.MultiWriter(&output, os.Stdout)
		ours := command(out, "ot", binary, "-test.run", "^$", "-test.bench", ".", "-test.benchmem", "-test.benchtime", *took, "-ot.traces", folder)
		ours.Env = append(os.Environ(), "GOGC="+gogc)
		if err := ours.Run(); err != nil {
			return nil, fmt.Errorf("the benchmarks of ot: %w", err)
		}
		if err := command(out, peers, "node", append([]string{"bench.mjs"}, recordings...)...).Run(); err != nil {
			return nil, fmt.Errorf("the benchmarks of the peers: %w", err)
		}
	}
	return output.Bytes(), nil
}

// gogc lets garbage gather to 16 MB at least before it is collected, as in the young generation of Node.js.
const gogc = "400"

func command(out io.Writer, folder, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = folder, out, os.Stderr
	return cmd
}
