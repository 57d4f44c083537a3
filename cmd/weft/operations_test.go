package main

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weft-collab/weft/persistence/postgres/postgrestest"
)

func operationsPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// recipe runs the commands of a block of docs/operations.md that has this name.
func recipe(t *testing.T, name string, env ...string) {
	t.Helper()
	found := regexp.MustCompile("(?ms)^```sh name=" + name + "\n(.*?)^```$").FindStringSubmatch(operationsPage(t))
	if found == nil {
		t.Fatalf("docs/operations.md has no commands named %s", name)
	}
	file, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", found[1])
	cmd.WaitDelay = time.Second
	cmd.Env = append([]string{"PATH=" + filepath.Dir(file) + ":" + postgrestest.Programs() + ":" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// What the page for operators names is there: settings, commands and what the log says.
func TestThePageForOperatorsIsTrue(t *testing.T) {
	page := operationsPage(t)
	for _, name := range regexp.MustCompile(`WEFT_[A-Z_]+`).FindAllString(page, -1) {
		flag := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "WEFT_"), "_", "-"))
		if name != "WEFT_" && serveCommand().Flags().Lookup(flag) == nil {
			t.Errorf("there is no setting %s", name)
		}
	}
	for _, words := range regexp.MustCompile("(?m)[` ]weft ((?:[a-z]+ ?)+)").FindAllStringSubmatch(page, -1) {
		cmd, left, err := root().Find(strings.Fields(words[1]))
		if err != nil || cmd.HasSubCommands() && len(left) > 0 {
			t.Errorf("there is no command %q", words[1])
		}
	}
	for _, flag := range regexp.MustCompile("weft [^`\n]*(--[a-z-]+)").FindAllStringSubmatch(page, -1) {
		known := false
		for _, words := range [][]string{{"serve"}, {"doc", "compact"}, {"doc", "list"}, {"doc", "export"}, {"doc", "delete"}, {"restore"}, {"health"}} {
			cmd, _, err := root().Find(words)
			if err != nil {
				t.Fatal(err)
			}
			known = known || cmd.Flags().Lookup(strings.TrimPrefix(flag[1], "--")) != nil
		}
		if !known && flag[1] != "--help" {
			t.Errorf("there is no flag %s", flag[1])
		}
	}
	source := goSource(t)
	for _, said := range regexp.MustCompile("(?m)^\\| log: `([^`]+)`").FindAllStringSubmatch(page, -1) {
		if !strings.Contains(source, said[1]) {
			t.Errorf("nothing logs %q", said[1])
		}
	}
	for _, metric := range regexp.MustCompile("`weft_([a-z_]+_total)`").FindAllStringSubmatch(page, -1) {
		if !strings.Contains(source, `"`+metric[1]+`"`) {
			t.Errorf("nothing counts %q", metric[1])
		}
	}
	var recipes []string
	for _, block := range regexp.MustCompile("(?m)^```sh name=(.*)$").FindAllStringSubmatch(page, -1) {
		recipes = append(recipes, block[1])
	}
	slices.Sort(recipes)
	if run := "archive archive-now backup base base-restore base-wait dump dump-restore restore"; strings.Join(recipes, " ") != run {
		t.Errorf("the commands of the page are %v, and %s are tested", recipes, run)
	}
}

// goSource is all of the project's Go but its tests.
func goSource(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, folder := range []string{"../../cmd", "../../collab", "../../persistence"} {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			data, err := os.ReadFile(path)
			all.Write(data)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}
