package main

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/weft-collab/weft/collab/client"
	"github.com/weft-collab/weft/collab/protocol"
)

// Whoever opens a connection and does not say what for is not waited for, nor who says no hello.
func TestAHandshakeThatDoesNotComeIsGivenUp(t *testing.T) {
	node := startProcess(t, freeAddr(t), "WEFT_DATA_DIR="+t.TempDir(), "WEFT_JWT_SECRET="+testSecret)
	silent, err := client.Dial(t.Context(), node.url, "one", token(t, "ada", time.Hour, "one=write"))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	defer func() { // both wait at the same time
		var err error
		for err == nil {
			_, err = silent.Receive(2 * time.Minute)
		}
		var closed *client.Closed
		if !errors.As(err, &closed) || closed.Close != 4400 || closed.Code != protocol.BadMessage {
			t.Errorf("who says no hello is told %v", err)
		}
	}()
	for _, said := range []string{"", "GET /v1/docs/one/ws HTTP/1.1\r\nHost: x\r\nUpgrade: web"} {
		conn, err := net.Dial("tcp", node.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte(said)); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
		if answer, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after %q the server waits for ever (%q)", said, answer)
		}
	}
}

// Connections that are kept and not used are bounded as sockets are, whoever opens them.
func TestANodeTakesNoMoreConnectionsThanItsLimit(t *testing.T) {
	node := startProcess(t, freeAddr(t), "WEFT_DATA_DIR="+t.TempDir(), "WEFT_JWT_SECRET="+testSecret, "WEFT_MAX_CONNECTIONS=1")
	answered := func() (net.Conn, bool) {
		conn, err := net.Dial("tcp", node.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		got := make([]byte, 12)
		_, err = io.ReadFull(conn, got)
		return conn, err == nil && string(got) == "HTTP/1.1 200"
	}
	first, _ := answered()
	most := 1
	for ok := true; ok && most < 3000; most++ {
		_, ok = answered()
	}
	if most >= 3000 || most < 1000 {
		t.Fatalf("it takes %d connections", most)
	}
	first.Close()
	for limit := time.Now().Add(time.Minute); ; {
		if _, ok := answered(); ok {
			return
		}
		if time.Now().After(limit) {
			t.Fatal("it takes none when one has gone")
		}
	}
}
