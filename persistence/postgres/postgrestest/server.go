// Package postgrestest starts private PostgreSQL servers for tests: on a free loopback
// port, as a user that is not root, to be killed at will, and gone after the test.
package postgrestest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a PostgreSQL of the test's own.
type Server struct {
	Options []string // more of postgres's command line, from the next Restart on

	bin, data string
	port      int
	user      *syscall.Credential // nil: the process's own
	cmd       *exec.Cmd
	done      chan struct{}
	log       *bytes.Buffer
}

var databases atomic.Int64

// Start makes a new database cluster and starts it. The test is skipped where PostgreSQL is not installed.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{bin: binaries(), port: freePort(tb), log: &bytes.Buffer{}}
	if s.bin == "" {
		tb.Skip("PostgreSQL is not installed: `make test` installs it, or `apt-get install postgresql`")
	}
	dir, err := os.MkdirTemp("", "weft-postgres-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	if os.Geteuid() == 0 {
		s.user = unprivileged(tb)
		if err := os.Chown(dir, int(s.user.Uid), int(s.user.Gid)); err != nil {
			tb.Fatal(err)
		}
	}
	s.data = filepath.Join(dir, "data")
	initdb := s.command("initdb", "-D", s.data, "-U", "weft", "--auth=trust", "--no-locale", "-E", "UTF8", "-N")
	if out, err := initdb.CombinedOutput(); err != nil {
		tb.Fatalf("initdb: %v\n%s", err, out)
	}
	s.Restart(tb)
	tb.Cleanup(s.Kill)
	return s
}

// binaries finds the folder of PostgreSQL's programs: the newest of Debian's, or that of the path.
func binaries() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	for _, dir := range found {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil {
			return dir
		}
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	return ""
}

func version(dir string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	return n
}

func freePort(tb testing.TB) int {
	// Below the ports that the system gives to outgoing connections: one of those would be
	// in the way when the server starts again where it was.
	for {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000)))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			tb.Fatal(err)
		}
		defer l.Close()
		return l.Addr().(*net.TCPAddr).Port
	}
}

// unprivileged is the user that a server started by root runs as: PostgreSQL refuses root.
func unprivileged(tb testing.TB) *syscall.Credential {
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, _ := strconv.Atoi(u.Uid)
			gid, _ := strconv.Atoi(u.Gid)
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	tb.Skip("PostgreSQL does not run as root, and there is no user postgres or nobody")
	return nil
}

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = filepath.Dir(s.data)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.user, Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return cmd
}

// URL is that of the server's first database.
func (s *Server) URL() string { return s.url("postgres") }

func (s *Server) url(database string) string {
	return fmt.Sprintf("postgres://weft@127.0.0.1:%d/%s?sslmode=disable", s.port, database)
}

// Addr is the server's host and port.
func (s *Server) Addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// NewDatabase makes an empty database and returns its URL.
func (s *Server) NewDatabase(tb testing.TB) string {
	tb.Helper()
	name := fmt.Sprint("test", databases.Add(1))
	s.Exec(tb, s.URL(), "CREATE DATABASE "+name)
	return s.url(name)
}

// Exec runs one statement in a database.
func (s *Server) Exec(tb testing.TB, url, statement string, args ...any) {
	tb.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement, args...); err != nil {
		tb.Fatal(err)
	}
}

// Restart starts the server, where it does not run, and waits until it answers.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	if s.cmd != nil {
		s.Kill()
	}
	os.Remove(filepath.Join(s.data, "postmaster.pid")) // it is ours, and dead
	args := []string{"-D", s.data, "-p", strconv.Itoa(s.port), "-k", "", "-c", "listen_addresses=127.0.0.1",
		"-c", "shared_buffers=32MB", "-c", "max_connections=200", "-c", "fsync=on"}
	s.cmd = s.command("postgres", append(args, s.Options...)...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	s.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait()
		close(done)
	}(s.cmd, s.done)
	for deadline := time.Now().Add(time.Minute); ; {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		conn, err := pgx.Connect(ctx, s.URL())
		if err == nil {
			conn.Close(ctx)
			cancel()
			return
		}
		cancel()
		select {
		case <-s.done:
			tb.Fatalf("PostgreSQL ended: %s", s.log)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			tb.Fatalf("PostgreSQL does not answer: %v\n%s", err, s.log)
		}
	}
}

// Kill ends the postmaster and its children as a crash does.
func (s *Server) Kill() {
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	<-s.done
}

// Stop ends the server: immediately, without a checkpoint, or after one.
func (s *Server) Stop(immediate bool) {
	signal := os.Interrupt
	if immediate {
		signal = syscall.SIGQUIT
	}
	_ = s.cmd.Process.Signal(signal)
	<-s.done
}
