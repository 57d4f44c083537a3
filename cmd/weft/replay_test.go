package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// weft runs a command in this process.
func weft(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := root()
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestReplayEndsAsTheRecordingDoes(t *testing.T) {
	s := startServer(t, func(c *config) { c.opsPerS = 100000 })
	for _, args := range [][]string{{"one.json"}, {"two.json"}, {"two.json", "--free"}, {"two.json", "--batch", "5"}, {"one.json", "--batch", "1000"}} {
		out, err := weft(t, append([]string{"replay", "testdata/" + args[0], "--quiet", "--url", s.URL, "--jwt-secret", testSecret}, args[1:]...)...)
		if err != nil || !strings.Contains(out, "every replica and the store agree") {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}

// One author's connection comes up late; nobody writes before everyone is there to see it.
func TestReplayWaitsForEveryAuthor(t *testing.T) {
	s := startServer(t, func(c *config) { c.opsPerS = 100000 })
	target, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/ws") {
			doc := strings.Split(r.URL.Path, "/")[3]
			for range 30 { // until the other one has written, or is seen not to
				if meta, err := s.node.store.Meta(r.Context(), doc); err != nil || meta.Version > 1 {
					break
				}
				<-time.After(10 * time.Millisecond)
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	defer slow.Close()
	out, err := weft(t, "replay", "testdata/two.json", "--quiet", "--url", slow.URL, "--url", s.URL, "--jwt-secret", testSecret)
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestReplayGoesOnWhereItIsSlowed(t *testing.T) {
	s := startServer(t, func(c *config) { c.opsPerS = 4 })
	out, err := weft(t, "replay", "testdata/two.json", "--quiet", "--batch", "10", "--url", s.URL, "--jwt-secret", testSecret)
	if err != nil || !strings.Contains(out, "--max-ops-per-second") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestReplayFindsADifferentEnd(t *testing.T) {
	s := startServer(t, func(c *config) { c.opsPerS = 100000 })
	data, err := os.ReadFile("testdata/one.json")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "another.json")
	end := bytes.LastIndex(data, []byte(`"endContent": "`)) + len(`"endContent": "`)
	if err := os.WriteFile(file, append(append(bytes.Clone(data[:end]), "?!"...), data[end:]...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := weft(t, "replay", file, "--quiet", "--url", s.URL, "--jwt-secret", testSecret); err == nil || !strings.Contains(err.Error(), "ends differently") {
		t.Errorf("%v", err)
	}
}

func TestReplaySaysWhatIsWrong(t *testing.T) {
	s := startServer(t, nil)
	text := filepath.Join(t.TempDir(), "text.json")
	if err := os.WriteFile(text, []byte(`{"txns":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"no file":               {[]string{}, "one file"},
		"a missing file":        {[]string{"none.json"}, "none.json"},
		"no recording":          {[]string{text}, "no recording"},
		"no development server": {[]string{"testdata/one.json", "--url", s.URL}, "no development server"},
		"a bad batch":           {[]string{"testdata/one.json", "--batch", "0"}, "at least 1"},
	} {
		if _, err := weft(t, append([]string{"replay"}, c.args...)...); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
