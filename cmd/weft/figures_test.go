package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// figures are what a node holds, by its own word in /metrics and the system's.
type figures map[string]float64

// files are its descriptors but for those of the store and of Redis, whose pools keep some
// connections for the next time.
const files = "files"

// once is a client that keeps no connection, as that would count in what it measures.
var once = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}

// measure asks a node for its figures. Pooled are the addresses and the folder of what it
// keeps connections to.
func measure(n *process, pooled ...string) (figures, error) {
	response, err := once.Get(n.url + "/metrics")
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	all := figures{}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if n, err := strconv.ParseFloat(value, 64); ok && err == nil {
			all[name] = n
		}
	}
	count, err := descriptorsOf(n.cmd.Process.Pid, pooled)
	all[files] = all["process_open_fds"] - float64(count)
	return all, err
}

// descriptorsOf counts a process's TCP connections to loopback addresses, and its open files
// in a folder.
func descriptorsOf(pid int, pooled []string) (count int, err error) {
	ports, folder := map[string]bool{}, ""
	for _, at := range pooled {
		if filepath.IsAbs(at) {
			folder = at
			continue
		}
		_, port, err := net.SplitHostPort(at)
		if err != nil {
			return 0, err
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			return 0, err
		}
		ports[fmt.Sprintf("%04X", n)] = true
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return 0, err
	}
	sockets := map[string]bool{}
	for line := range strings.Lines(string(table)) {
		// sl local_address rem_address st … inode, of which the tenth is the inode
		if f := strings.Fields(line); len(f) > 9 && ports[f[2][strings.IndexByte(f[2], ':')+1:]] {
			sockets["socket:["+f[9]+"]"] = true
		}
	}
	open, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, fd := range open {
		if to, err := os.Readlink(fd); err == nil && (sockets[to] || folder != "" && strings.HasPrefix(to, folder)) {
			count++
		}
	}
	return count, err
}

// held are the figures that must come back to where they were.
var held = []string{"weft_sessions", "weft_documents", "go_goroutines", files}

func (f figures) String() string {
	var all []string
	for _, name := range held {
		all = append(all, fmt.Sprint(name, " ", f[name]))
	}
	return strings.Join(all, ", ")
}

// above names the held figures that are higher than before.
func (f figures) above(before figures) (names []string) {
	for _, name := range held {
		if f[name] > before[name] {
			names = append(names, name)
		}
	}
	return names
}

// comesToRest waits until a node holds no more than before: sessions, documents (and so
// their subscriptions), goroutines and descriptors. A node that does not shows its goroutines.
func comesToRest(ctx context.Context, t *testing.T, n *process, before figures, pooled ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	for {
		now, err := measure(n, pooled...)
		if err == nil && len(now.above(before)) == 0 {
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			t.Errorf("a node holds %v; before it was %v (%v)", now, before, err)
			_ = n.cmd.Process.Signal(syscall.SIGQUIT)
			<-n.done
			t.Log(n.logged())
			return
		}
	}
}

// calmly measures nodes that have just started, with this environment, and returns what waits
// until they hold no more than then, and Redis, where they have one, no subscription for them.
func calmly(t *testing.T, env []string, nodes ...*process) (again func(context.Context)) {
	t.Helper()
	var pooled []string
	bus := ""
	for _, setting := range env {
		name, value, _ := strings.Cut(setting, "=")
		switch name {
		case "WEFT_DATA_DIR":
			pooled = append(pooled, value)
		case "WEFT_DATABASE_URL", "WEFT_REDIS_URL":
			u, err := url.Parse(value)
			if err != nil {
				t.Fatal(err)
			}
			pooled = append(pooled, u.Host)
			if name == "WEFT_REDIS_URL" {
				bus = u.Host
			}
		}
	}
	var calm []figures
	for _, n := range nodes {
		f, err := measure(n, pooled...)
		if err != nil {
			t.Fatal(err)
		}
		calm = append(calm, f)
	}
	return func(ctx context.Context) {
		t.Helper()
		for i, n := range nodes {
			comesToRest(ctx, t, n, calm[i], pooled...)
		}
		if bus != "" {
			subscriptionsEnd(ctx, t, bus)
		}
	}
}

// subscriptionsEnd waits until Redis has no subscription left but each node's to the channel
// that shows that its link is up.
func subscriptionsEnd(ctx context.Context, t *testing.T, addr string) {
	t.Helper()
	server := redis.NewClient(&redis.Options{Addr: addr})
	defer server.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		channels, err := server.PubSubChannels(ctx, "*").Result()
		if err == nil && slices.Equal(channels, []string{"weft:doc:"}) {
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			t.Errorf("Redis has subscriptions to %q (%v)", channels, err)
			return
		}
	}
}
