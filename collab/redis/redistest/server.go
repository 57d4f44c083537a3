// Package redistest starts private Redis servers for tests: on a free loopback
// port, to be killed at will, and gone after the test.
package redistest

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Server is a Redis of the test's own. It keeps nothing.
type Server struct {
	port int
	dir  string
	cmd  *exec.Cmd
	done chan struct{}
}

// Start starts a server. The test is skipped where Redis is not installed.
func Start(tb testing.TB) *Server {
	tb.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		tb.Skip("Redis is not installed: `make test` installs it, or `apt-get install redis-server`")
	}
	s := &Server{port: freePort(tb), dir: tb.TempDir()}
	s.Restart(tb)
	tb.Cleanup(s.Kill)
	return s
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

// Addr is the server's host and port.
func (s *Server) Addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// URL is the server's URL.
func (s *Server) URL() string { return "redis://" + s.Addr() + "/0" }

// Restart starts the server, where it does not run, and waits until it answers.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	if s.cmd != nil {
		s.Kill()
	}
	s.cmd = exec.Command("redis-server", "--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", s.dir)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	s.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait()
		close(done)
	}(s.cmd, s.done)
	for deadline := time.Now().Add(time.Minute); ; {
		answer, err := s.command("PING")
		if err == nil && answer == "+PONG" {
			return
		}
		select {
		case <-s.done:
			tb.Fatal("redis-server ended")
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			tb.Fatalf("redis-server does not answer: %v", err)
		}
	}
}

// Kill ends the server as a crash does.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

// Pause stops the server without ending it, so that its links are half open; Resume lets it go on.
func (s *Server) Pause() { _ = s.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume lets a server that was paused go on.
func (s *Server) Resume() { _ = s.cmd.Process.Signal(syscall.SIGCONT) }

// Do runs one command without spaces in its words, such as FLUSHALL or CLIENT KILL TYPE pubsub.
func (s *Server) Do(tb testing.TB, command string) {
	tb.Helper()
	if answer, err := s.command(command); err != nil || strings.HasPrefix(answer, "-") {
		tb.Fatalf("%s: %s %v", command, answer, err)
	}
}

func (s *Server) command(line string) (string, error) {
	conn, err := net.DialTimeout("tcp", s.Addr(), time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := fmt.Fprintf(conn, "%s\r\n", line); err != nil {
		return "", err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(answer), err
}
