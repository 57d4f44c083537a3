package websocket_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// raw is a WebSocket whose bytes the test writes itself.
type raw struct {
	net.Conn
	t    testing.TB
	r    *bufio.Reader
	chop int // bytes that are written at a time
}

// open makes the handshake of RFC 6455 by hand, with more header lines if need be.
func open(t testing.TB, addr, path, user string, lines ...string) *raw {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(5 * time.Minute))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: weft.v1\r\nAuthorization: Bearer %s\r\n%s\r\n", path, addr, user, strings.Join(append(lines, ""), "\r\n"))
	c := &raw{conn, t, bufio.NewReader(conn), math.MaxInt}
	response, err := http.ReadResponse(c.r, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the handshake: %v %v", response, err)
	}
	if extensions := response.Header.Values("Sec-WebSocket-Extensions"); len(extensions) > 0 {
		t.Fatalf("it agrees upon %q", extensions)
	}
	if accept := response.Header.Get("Sec-WebSocket-Accept"); accept != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" { // of RFC 6455, 1.3
		t.Fatalf("Sec-WebSocket-Accept is %s", accept)
	}
	return c
}

// A frame, as a test writes it.
type frame struct {
	first   byte // FIN, reserved bits and opcode
	payload string
	unmask  bool
	length  []byte // in place of the length's own bytes, the mask bit not among them
}

const (
	fin                      = 0x80
	more, text, bin          = 0, 1, 2
	closing, ping, pong byte = 8, 9, 10
)

func (f frame) bytes() []byte {
	out := []byte{f.first}
	n := len(f.payload)
	switch {
	case f.length != nil:
		out = append(out, f.length...)
	case n < 126:
		out = append(out, byte(n))
	case n < 1<<16:
		out = binary.BigEndian.AppendUint16(append(out, 126), uint16(n))
	default:
		out = binary.BigEndian.AppendUint64(append(out, 127), uint64(n))
	}
	if f.unmask {
		return append(out, f.payload...)
	}
	out[1] |= 0x80
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	out = append(out, mask[:]...)
	for i := range n {
		out = append(out, f.payload[i]^mask[i%4])
	}
	return out
}

func (c *raw) write(frames ...frame) {
	var all []byte
	for _, f := range frames {
		all = append(all, f.bytes()...)
	}
	for piece := range slices.Chunk(all, c.chop) {
		_, _ = c.Write(piece) // it may be closed already: what is read tells
	}
}

// read returns the next frame of the server: its opcode, and its payload.
func (c *raw) read() (byte, string, error) {
	var head [2]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return 0, "", err
	}
	if head[0]&0x70 != 0 || head[0]&fin == 0 || head[1]&0x80 != 0 {
		return 0, "", fmt.Errorf("the server's frame begins with % x", head)
	}
	n := uint64(head[1])
	extended := map[uint64]int{126: 2, 127: 8}[n]
	if extended > 0 {
		var b [8]byte
		if _, err := io.ReadFull(c.r, b[8-extended:]); err != nil {
			return 0, "", err
		}
		n = binary.BigEndian.Uint64(b[:])
	}
	payload := make([]byte, n)
	_, err := io.ReadFull(c.r, payload)
	return head[0] & 0x0f, string(payload), err
}

// answers reads what the server says: as much as want has, and on until it ends the
// connection, or answers a last ping.
func (c *raw) answers(want string) string {
	var all []string
	for n := strings.Count(want, "|") + 1; want != "" && len(all) < n; {
		if all = append(all, c.answer()); all[len(all)-1] == "end" {
			return strings.Join(all, "|")
		}
	}
	c.write(frame{first: fin | ping, payload: "last"})
	for {
		switch a := c.answer(); a {
		case "pong last":
			return strings.Join(all, "|")
		case "end":
			return strings.Join(append(all, a), "|")
		default:
			all = append(all, a)
		}
	}
}

// answer is the next thing that the server says, in a word or two. Its pings are answered.
func (c *raw) answer() string {
	op, payload, err := c.read()
	for ; err == nil && op == ping; op, payload, err = c.read() {
		c.write(frame{first: fin | pong, payload: payload})
	}
	switch {
	case errors.Is(err, io.EOF):
		return "end"
	case err != nil:
		c.t.Errorf("the connection broke: %v", err)
		return "end"
	case op == closing && len(payload) >= 2:
		c.write(closeFrame(1000, "")) // as a client should
		return fmt.Sprint("close ", binary.BigEndian.Uint16([]byte(payload)))
	case op == closing:
		return "close"
	case op == pong:
		return "pong " + payload
	case op == text:
		return "text " + short(payload)
	case op == bin:
		return "binary " + short(payload)
	}
	return fmt.Sprint("opcode ", op)
}

func short(s string) string {
	if len(s) > 40 {
		return fmt.Sprintf("%s… %d", s[:8], len(s))
	}
	return s
}

func closeFrame(code int, reason string) frame {
	return frame{first: fin | closing, payload: string(binary.BigEndian.AppendUint16(nil, uint16(code))) + reason}
}
