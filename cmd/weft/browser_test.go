package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// embedding is somebody's application, on an origin of its own: the page is the one that the README shows, and the
// backend signs tokens. Its nodes are named by at, once they are known.
func embedding(t *testing.T) (page *httptest.Server, at func(node string)) {
	t.Helper()
	var html []string
	for _, e := range examples(t, "../../README.md") {
		if e.kind == "html" {
			html = e.lines
		}
	}
	if len(html) == 0 || len(html) > 10 {
		t.Fatalf("the README's page has %d lines, not ten at most", len(html))
	}
	var node atomic.Value // it is named while browsers may ask already
	node.Store("")
	page = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/my-weft-token" {
			_, _ = io.WriteString(w, token(t, "ada", time.Hour, "handbook=write"))
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!doctype html>\n"+strings.ReplaceAll(strings.Join(html, "\n"), "https://weft.example.com", node.Load().(string)))
	}))
	t.Cleanup(page.Close)
	return page, func(url string) { node.Store(url) }
}

// browsers runs the browser tests against nodes.
func browsers(t *testing.T, embed string, urls ...string) {
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
	cmd.Env = append(os.Environ(), "WEFT_URLS="+strings.Join(urls, ","), "WEFT_EMBED="+embed, "CHROMIUM="+chromium)
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
	page, at := embedding(t)
	node := startProcess(t, freeAddr(t), "WEFT_DEV=1", "WEFT_JWT_SECRET="+testSecret, "WEFT_ALLOWED_ORIGINS="+page.URL)
	at(node.url)
	browsers(t, page.URL, node.url)
}

func TestBrowsersOnTwoNodesOverPostgresAndRedis(t *testing.T) {
	page, at := embedding(t)
	nodes, _, _ := cluster(t, 2, "WEFT_DEV=1", "WEFT_JWT_SECRET="+testSecret, "WEFT_ALLOWED_ORIGINS="+page.URL)
	at(nodes[0].url)
	browsers(t, page.URL, nodes[0].url, nodes[1].url)
}
