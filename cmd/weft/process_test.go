package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weft-collab/weft/collab/redis/redistest"
	"github.com/weft-collab/weft/persistence/postgres/postgrestest"
)

// binary builds weft once for all tests.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "weft-binary-")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "weft")
	out, err := exec.Command("go", "build", "-o", file, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building weft: %w\n%s", err, out)
	}
	return file, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if file, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(file))
	}
	os.Exit(code)
}

// process is a node in a process of its own.
type process struct {
	cmd  *exec.Cmd
	url  string
	addr string
	done chan struct{}
	log  *bytes.Buffer
	mu   *sync.Mutex
}

func freeAddr(t *testing.T) string {
	// Below the ports that the system gives to outgoing connections: one of those would be
	// in the way when the server starts again where it was.
	for {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000)))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().String()
	}
}

// command is weft with an environment of its own.
func command(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	file, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(file, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	cmd.Env = append(cmd.Env, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Dir = t.TempDir()
	return cmd
}

// startProcess starts `weft serve` and waits until it can take connections.
func startProcess(t *testing.T, addr string, env ...string) *process {
	t.Helper()
	p := &process{addr: addr, url: "http://" + addr, done: make(chan struct{}), log: &bytes.Buffer{}, mu: &sync.Mutex{}}
	p.cmd = command(t, append([]string{"WEFT_ADDR=" + addr, "WEFT_DRAIN_TIMEOUT=5s"}, env...), "serve")
	out, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			p.mu.Lock()
			fmt.Fprintln(p.log, lines.Text())
			p.mu.Unlock()
		}
		_ = p.cmd.Wait()
	}()
	t.Cleanup(p.kill)
	for deadline := time.Now().Add(time.Minute); ; {
		response, err := http.Get(p.url + "/readyz")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return p
			}
		}
		select {
		case <-p.done:
			t.Fatalf("weft ended: %s", p.logged())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("weft does not get ready: %s", p.logged())
		}
	}
}

func (p *process) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// kill ends the node as a crash does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// cluster is nodes over one PostgreSQL and one Redis.
func cluster(t *testing.T, nodes int, env ...string) (all []*process, database string, envs []string) {
	t.Helper()
	database = postgrestest.Start(t).NewDatabase(t)
	envs = append([]string{"WEFT_DATABASE_URL=" + database, "WEFT_REDIS_URL=" + redistest.Start(t).URL(), "WEFT_MAX_OPS_PER_SECOND=100000"}, env...)
	for i := range nodes {
		all = append(all, startProcess(t, freeAddr(t), append([]string{fmt.Sprint("WEFT_NODE=node", i)}, envs...)...))
	}
	return all, database, envs
}

// recordings are the large ones where they are, else the small ones.
func recordings(t *testing.T) []string {
	large, _ := filepath.Glob("../../../shared/traces/*e*e*.json.gz")
	var files []string
	for _, f := range large {
		if name := filepath.Base(f); name == "friendsforever.json.gz" || name == "sveltecomponent.json.gz" {
			files = append(files, f)
		}
	}
	if len(files) == 0 {
		t.Log("the large recordings are not here; the small ones stand in for them")
		files = []string{"testdata/one.json", "testdata/two.json"}
	}
	return files
}

func TestReplayThroughTwoNodesOverPostgresAndRedis(t *testing.T) {
	nodes, _, _ := cluster(t, 2, "WEFT_JWT_SECRET="+testSecret)
	for _, file := range recordings(t) {
		args := []string{"replay", file, "--quiet", "--url", nodes[0].url, "--url", nodes[1].url, "--jwt-secret", testSecret}
		if strings.HasSuffix(file, ".gz") && testing.Short() {
			args = append(args, "--batch", "20")
		}
		out, err := weft(t, args...)
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		t.Log(out)
	}
}

func TestReplayThroughOneNodeOnTheEmbeddedStore(t *testing.T) {
	node := startProcess(t, freeAddr(t), "WEFT_DATA_DIR="+t.TempDir(), "WEFT_DEV=1", "WEFT_MAX_OPS_PER_SECOND=100000")
	for _, file := range recordings(t) {
		out, err := weft(t, "replay", file, "--quiet", "--url", node.url)
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		t.Log(out)
	}
}

// Writers go on while a node is killed, again and again; what came back to its author
// is in the store, once, and so is everything that they wrote.
func TestNothingIsLostWhenANodeIsKilled(t *testing.T) {
	nodes, database, envs := cluster(t, 2, "WEFT_JWT_SECRET="+testSecret, "WEFT_IDLE_AFTER=500ms")
	calm := calmly(t, envs, nodes...)
	const writers, edits = 6, 120
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	h := newHistory("doc")
	for i := range writers {
		h.open(ctx, t, fmt.Sprint("writer", i), nodes[i%2].url, nodes[(i+1)%2].url)
	}
	defer h.close()
	var work sync.WaitGroup
	for _, p := range h.clients {
		work.Go(func() { h.writeInTurn(ctx, t, p, func(n int) bool { return n < edits }) })
	}
	for round := 1; round <= 4; round++ {
		for h.acknowledged() < round*writers*edits/6 && ctx.Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
		n := nodes[round%2]
		n.kill()
		nodes[round%2] = startProcess(t, n.addr, append([]string{fmt.Sprint("WEFT_NODE=again", round)}, envs...)...)
	}
	work.Wait()
	if t.Failed() {
		return
	}
	if err := h.rest(ctx); err != nil {
		t.Fatal(err)
	}
	store := openPostgres(t, []string{"WEFT_DATABASE_URL=" + database})
	defer store.Close()
	h.check(ctx, t, store, nodes[0].url, nodes[1].url)
	h.close()
	calm(ctx)
	t.Logf("%d edits in %d operations, over 4 kills", len(h.made), len(h.acks))
}

// A node that is asked to end sends its clients elsewhere, and exits with 0.
func TestANodeDrains(t *testing.T) {
	nodes, database, env := cluster(t, 2, "WEFT_JWT_SECRET="+testSecret, "WEFT_IDLE_AFTER=500ms")
	calm := calmly(t, env, nodes[1])
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	h := newHistory("doc")
	p := h.open(ctx, t, "ada", nodes[0].url, nodes[1].url)
	defer h.close()
	if err := p.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	write := func() {
		if _, err := h.edit(p, 0); err != nil {
			t.Fatal(err)
		}
	}
	write()
	_ = nodes[0].cmd.Process.Signal(syscall.SIGTERM)
	write()
	<-nodes[0].done
	write()
	if err := h.rest(ctx); err != nil {
		t.Fatal(err)
	}
	if code := nodes[0].cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("it exits with %d: %s", code, nodes[0].logged())
	}
	if fmt.Sprint(p.nodes) != "[node0 node1]" {
		t.Errorf("it was served by %v", p.nodes)
	}
	store := openPostgres(t, []string{"WEFT_DATABASE_URL=" + database})
	defer store.Close()
	h.check(ctx, t, store, nodes[1].url)
	h.close()
	calm(ctx)
}

func TestBadConfigurationSaysWhatToDo(t *testing.T) {
	dead := freeAddr(t)
	db := "WEFT_DATABASE_URL=postgres://weft:hunter2@" + dead + "/weft?connect_timeout=2"
	key := "WEFT_JWT_SECRET=" + testSecret
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	used := t.TempDir()
	startProcess(t, freeAddr(t), "WEFT_DATA_DIR="+used, key)
	for name, c := range map[string]struct {
		env  []string
		args []string
		code int
		says string
	}{
		"no key":                         {nil, nil, 2, "WEFT_JWT_SECRET"},
		"a short secret":                 {[]string{"WEFT_JWT_SECRET=short"}, nil, 2, "at least 32"},
		"two keys":                       {[]string{key, "WEFT_JWKS_URL=http://" + dead}, nil, 2, "one of"},
		"a key file that is not there":   {[]string{"WEFT_JWT_PUBLIC_KEY=/nowhere.pem"}, nil, 2, "WEFT_JWT_PUBLIC_KEY"},
		"the embedded store with Redis":  {[]string{key, "WEFT_REDIS_URL=redis://" + dead}, nil, 2, "WEFT_DATABASE_URL"},
		"PostgreSQL out of reach":        {[]string{key, db}, nil, 1, "cannot be reached"},
		"a database URL that is none":    {[]string{key, "WEFT_DATABASE_URL=mysql://x"}, nil, 1, "postgres://"},
		"a Redis URL that is none":       {[]string{key, db, "WEFT_REDIS_URL=http://x"}, nil, 2, "redis://"},
		"an old schema":                  {[]string{key, "WEFT_MIGRATE=false", "WEFT_DATA_DIR=" + t.TempDir()}, nil, 1, "weft migrate"},
		"a folder in use":                {[]string{key, "WEFT_DATA_DIR=" + used, "WEFT_ADDR=127.0.0.1:0"}, nil, 1, "in use by another weft"},
		"a folder that cannot be made":   {[]string{key, "WEFT_DATA_DIR=/dev/null/x"}, nil, 1, "WEFT_DATA_DIR"},
		"a port that is taken":           {[]string{key, "WEFT_ADDR=" + taken.Addr().String(), "WEFT_DATA_DIR=" + t.TempDir()}, nil, 2, "--addr"},
		"development for everybody":      {[]string{"WEFT_DEV=1", "WEFT_ADDR=0.0.0.0:0"}, nil, 2, "WEFT_DEV=public"},
		"an origin with a path":          {[]string{key, "WEFT_ALLOWED_ORIGINS=https://x.example/"}, nil, 2, "not an origin"},
		"an echo for everybody":          {[]string{key, "WEFT_ECHO_TEST=1"}, nil, 2, "--dev"},
		"too many components":            {[]string{key, "WEFT_MAX_COMPONENTS=20000"}, nil, 2, "at most 10000"},
		"a limit that is no number":      {[]string{key, "WEFT_MAX_MESSAGE=big"}, nil, 2, "WEFT_MAX_MESSAGE"},
		"an unknown flag":                {[]string{key}, []string{"serve", "--databse-url", "x"}, 2, "databse-url"},
		"an unknown command":             {nil, []string{"sevre"}, 2, "sevre"},
		"too many arguments":             {[]string{key}, []string{"serve", "now"}, 2, "now"},
		"a token without a user":         {[]string{key}, []string{"token"}, 2, "sub"},
		"a token that opens nothing":     {[]string{key}, []string{"token", "--sub", "a"}, 2, "--doc"},
		"a token that has expired":       {[]string{key}, []string{"token", "--sub", "a", "--doc", "x=read", "--ttl", "-1s"}, 2, "--ttl"},
		"a token with an unknown role":   {[]string{key}, []string{"token", "--sub", "a", "--doc", "x=owner"}, 2, "id=role"},
		"health of nobody":               {[]string{"WEFT_ADDR=" + dead}, []string{"health"}, 1, "refused"},
		"a log level that is none":       {[]string{key, "WEFT_LOG_LEVEL=loud"}, nil, 2, "--log-level"},
		"migrating what cannot be found": {[]string{db}, []string{"migrate"}, 1, "cannot be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			args := c.args
			if args == nil {
				args = []string{"serve"}
			}
			cmd := command(t, c.env, args...)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != c.code || !bytes.Contains(out, []byte(c.says)) {
				t.Errorf("%v, not %d: %s", err, c.code, out)
			}
			if bytes.Contains(out, []byte("hunter2")) || bytes.Contains(out, []byte(testSecret)) {
				t.Errorf("it tells a secret: %s", out)
			}
		})
	}
}

func TestHelpShowsEveryFlagWithItsVariable(t *testing.T) {
	out, err := command(t, nil, "serve", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"ADDR", "DATA_DIR", "DATABASE_URL", "REDIS_URL", "JWT_SECRET", "JWT_PUBLIC_KEY", "JWKS_URL", "JWT_ISSUER", "JWT_AUDIENCE", "ALLOWED_ORIGINS", "DEV",
	} {
		if !regexp.MustCompile(`--[a-z-]+ .*\[WEFT_` + name + `\]`).Match(out) {
			t.Errorf("WEFT_%s is not in the help", name)
		}
	}
}
