package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// browsers runs the browser tests against nodes.
func browsers(t *testing.T, urls ...string) {
	t.Helper()
	frontend, err := filepath.Abs("../../frontend")
	if err != nil {
		t.Fatal(err)
	}
	for file, how := range map[string]string{
		filepath.Join(frontend, "node_modules/playwright-core"): "`make test` installs it",
		filepath.Join(frontend, "dist/document.html"):           "`make frontend` builds it",
	} {
		if _, err := os.Stat(file); err != nil {
			t.Skipf("%s is not there: %s", filepath.Base(file), how)
		}
	}
	chromium := os.Getenv("CHROMIUM")
	if chromium == "" {
		if chromium, err = exec.LookPath("chromium"); err != nil {
			t.Skip("Chromium is not installed: `make test` installs it, or `apt-get install chromium`, or CHROMIUM names it")
		}
	}
	cmd := exec.Command("npm", "run", "--silent", "e2e")
	cmd.Dir = frontend
	cmd.Env = append(os.Environ(), "WEFT_URLS="+strings.Join(urls, ","), "CHROMIUM="+chromium)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "ok ") || strings.HasPrefix(line, "# tests") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

func TestBrowsersOnOneNode(t *testing.T) {
	browsers(t, startProcess(t, freeAddr(t), "WEFT_DEV=1").url)
}

func TestBrowsersOnTwoNodesOverPostgresAndRedis(t *testing.T) {
	nodes, _, _ := cluster(t, 2, "WEFT_DEV=1", "WEFT_JWT_SECRET="+testSecret)
	browsers(t, nodes[0].url, nodes[1].url)
}
