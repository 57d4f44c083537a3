package websocket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/collab/websocket"
	"github.com/weft-collab/weft/persistence/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const messageLimit = 100_000

// anybody lets everyone in, by the name that the token is.
type anybody struct{}

func (anybody) Verify(_ context.Context, token string) (collab.Identity, error) {
	if token == "" {
		return collab.Identity{}, errors.New("no token")
	}
	return collab.Identity{User: token, Expires: time.Now().Add(time.Hour), Docs: map[string]collab.Role{"*": collab.Write}}, nil
}

// start serves documents at /v1/docs/{doc}/ws, and an echo everywhere else.
func start(t testing.TB, hub collab.Config, config websocket.Config) (addr string, h *websocket.Handler) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := sqlite.Open(t.Context(), t.TempDir(), true, log)
	if err != nil {
		t.Fatal(err)
	}
	hub.Store, hub.Verifier, hub.Logger, config.Logger = store, anybody{}, log, log
	documents := collab.NewHub(hub)
	ctx, end := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = documents.Run(ctx)
	}()
	h = websocket.New(documents, anybody{}, config)
	mux := http.NewServeMux()
	mux.Handle("GET /v1/docs/{doc}/ws", h)
	mux.HandleFunc("/", h.Echo)
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.Close()
		drain, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		h.Drain()
		_ = documents.Drain(drain)
		if err := h.Wait(drain); err != nil {
			t.Errorf("connections are left: %v", err)
		}
		end()
		<-done
		store.Close()
	})
	return strings.TrimPrefix(server.URL, "http://"), h
}

// crumbs begin a message, and go on with n fragments of nothing and control frames between them.
func crumbs(n int) []frame {
	frames := []frame{{first: text}}
	for i := range n {
		frames = append(frames, frame{first: more})
		if i%10 == 0 { // few enough not to be a flood
			frames = append(frames, frame{first: fin | pong})
		}
	}
	return frames
}

// TestFramesAreTakenAsRFC6455Says sends frames made by hand to the echo, which has the
// upgrader, limits and rules of every connection.
func TestFramesAreTakenAsRFC6455Says(t *testing.T) {
	addr, _ := start(t, collab.Config{Limits: protocol.Limits{Message: messageLimit}}, websocket.Config{})
	long := strings.Repeat("0123456789", 7000)
	fit := strings.Repeat("x", messageLimit)
	for name, c := range map[string]struct {
		frames []frame
		want   string // what the server says, in order; "end": it ends the connection
	}{
		// Messages and fragments: 5.4.
		"text":                                   {[]frame{{first: fin | text, payload: "hello"}}, "text hello"},
		"empty text":                             {[]frame{{first: fin | text}}, "text "},
		"binary":                                 {[]frame{{first: fin | bin, payload: "\xff\x00"}}, "binary \xff\x00"},
		"empty binary":                           {[]frame{{first: fin | bin}}, "binary "},
		"126 bytes of binary":                    {[]frame{{first: fin | bin, payload: long[:126]}}, "binary 01234567… 126"},
		"65536 bytes of binary":                  {[]frame{{first: fin | bin, payload: long[:65536]}}, "binary 01234567… 65536"},
		"a thousand messages":                    {slices.Repeat([]frame{{first: fin | text, payload: "a"}}, 1000), strings.Repeat("text a|", 999) + "text a"},
		"125 bytes":                              {[]frame{{first: fin | text, payload: long[:125]}}, "text 01234567… 125"},
		"126 bytes":                              {[]frame{{first: fin | text, payload: long[:126]}}, "text 01234567… 126"},
		"65535 bytes":                            {[]frame{{first: fin | text, payload: long[:65535]}}, "text 01234567… 65535"},
		"65536 bytes":                            {[]frame{{first: fin | text, payload: long[:65536]}}, "text 01234567… 65536"},
		"two fragments":                          {[]frame{{first: text, payload: "hel"}, {first: fin | more, payload: "lo"}}, "text hello"},
		"fragments, some empty":                  {[]frame{{first: text}, {first: more, payload: "hello"}, {first: more}, {first: fin | more}}, "text hello"},
		"fragments, all empty":                   {[]frame{{first: text}, {first: more}, {first: fin | more}}, "text "},
		"a thousand fragments":                   {slices.Concat([]frame{{first: text}}, slices.Repeat([]frame{{first: more, payload: long[:10]}}, 1000), []frame{{first: fin | more}}), "text 01234567… 10000"},
		"binary fragments":                       {[]frame{{first: bin, payload: "\xff"}, {first: fin | more, payload: "\xfe"}}, "binary \xff\xfe"},
		"a ping between fragments":               {[]frame{{first: text, payload: "a"}, {first: fin | ping, payload: "p"}, {first: fin | more, payload: "b"}}, "pong p|text ab"},
		"a pong between fragments":               {[]frame{{first: text, payload: "a"}, {first: fin | pong, payload: "p"}, {first: fin | more, payload: "b"}}, "text ab"},
		"pings between fragments":                {[]frame{{first: text, payload: "a"}, {first: fin | ping, payload: "1"}, {first: more, payload: "b"}, {first: fin | ping, payload: "2"}, {first: fin | more}}, "pong 1|pong 2|text ab"},
		"a ping before the end of a message":     {[]frame{{first: text, payload: "a"}, {first: more, payload: "b"}, {first: fin | ping, payload: "p"}}, "pong p"},
		"a close between fragments":              {[]frame{{first: text, payload: "a"}, closeFrame(1000, "")}, "close 1000|end"},
		"a continuation of nothing":              {[]frame{{first: more, payload: "a"}}, "close 1002|end"},
		"a last continuation of nothing":         {[]frame{{first: fin | more, payload: "a"}}, "close 1002|end"},
		"a continuation after the end":           {[]frame{{first: fin | text, payload: "a"}, {first: fin | more, payload: "b"}}, "text a|close 1002|end"},
		"a continuation after fragments":         {[]frame{{first: text, payload: "a"}, {first: fin | more, payload: "b"}, {first: more, payload: "c"}, {first: fin | text, payload: "d"}}, "text ab|close 1002|end"},
		"a continuation of nothing, then text":   {[]frame{{first: fin | more, payload: "a"}, {first: text, payload: "b"}, {first: fin | more, payload: "c"}}, "close 1002|end"},
		"a new message inside another":           {[]frame{{first: text, payload: "a"}, {first: fin | text, payload: "b"}}, "close 1002|end"},
		"a binary message inside a text":         {[]frame{{first: text, payload: "a"}, {first: fin | bin, payload: "b"}}, "close 1002|end"},
		"a fragment that never ends, then close": {[]frame{{first: text, payload: "a"}, {first: more, payload: "b"}, closeFrame(1001, "bye")}, "close 1001|end"},

		"a thousand fragments of nothing": {append(crumbs(1000), frame{first: fin | more, payload: "a"}, frame{first: text}, frame{first: fin | more, payload: "b"}), "text a|text b"},
		"more fragments of nothing":       {crumbs(1001), "close 1002|end"},

		// Control frames: 5.5.
		"a ping":                           {[]frame{{first: fin | ping, payload: "p"}}, "pong p"},
		"an empty ping":                    {[]frame{{first: fin | ping}}, "pong "},
		"a ping of bytes that are no text": {[]frame{{first: fin | ping, payload: "\xff\x00"}}, "pong \xff\x00"},
		"a ping of 125 bytes":              {[]frame{{first: fin | ping, payload: long[:125]}}, "pong " + long[:125]},
		"ten pings":                        {[]frame{{first: fin | ping, payload: "0"}, {first: fin | ping, payload: "1"}, {first: fin | ping, payload: "2"}, {first: fin | ping, payload: "3"}, {first: fin | ping, payload: "4"}, {first: fin | ping, payload: "5"}, {first: fin | ping, payload: "6"}, {first: fin | ping, payload: "7"}, {first: fin | ping, payload: "8"}, {first: fin | ping, payload: "9"}}, "pong 0|pong 1|pong 2|pong 3|pong 4|pong 5|pong 6|pong 7|pong 8|pong 9"},
		"a ping of 126 bytes":              {[]frame{{first: fin | ping, payload: long[:126]}}, "close 1002|end"},
		"a pong that nobody asked for":     {[]frame{{first: fin | pong, payload: "p"}}, ""},
		"a ping in two fragments":          {[]frame{{first: ping, payload: "a"}, {first: fin | more, payload: "b"}}, "close 1002|end"},
		"a close in two fragments":         {[]frame{{first: closing}}, "close 1002|end"},
		"a pong of 126 bytes":              {[]frame{{first: fin | pong, payload: long[:126]}}, "close 1002|end"},
		"a close of 126 bytes":             {[]frame{closeFrame(1000, long[:124])}, "close 1002|end"},

		// Reserved bits and opcodes: 5.2. No extension is agreed upon.
		"reserved bit 1":                {[]frame{{first: fin | 0x40 | text, payload: "a"}}, "close 1002|end"},
		"reserved bit 2":                {[]frame{{first: fin | 0x20 | text, payload: "a"}}, "close 1002|end"},
		"reserved bit 3":                {[]frame{{first: fin | 0x10 | text, payload: "a"}}, "close 1002|end"},
		"a reserved bit on a fragment":  {[]frame{{first: text, payload: "a"}, {first: fin | 0x40 | more, payload: "b"}}, "close 1002|end"},
		"a reserved bit on a ping":      {[]frame{{first: fin | 0x20 | ping, payload: "a"}}, "close 1002|end"},
		"a reserved bit on a close":     {[]frame{{first: fin | 0x10 | closing}}, "close 1002|end"},
		"opcode 3":                      {[]frame{{first: fin | 3}}, "close 1002|end"},
		"opcode 7":                      {[]frame{{first: fin | 7, payload: "a"}}, "close 1002|end"},
		"opcode 11":                     {[]frame{{first: fin | 11}}, "close 1002|end"},
		"opcode 15 after a message":     {[]frame{{first: fin | text, payload: "a"}, {first: fin | 15, payload: "b"}}, "text a|close 1002|end"},
		"a frame without a mask":        {[]frame{{first: fin | text, payload: "a", unmask: true}}, "close 1002|end"},
		"a ping without a mask":         {[]frame{{first: fin | ping, payload: "a", unmask: true}}, "close 1002|end"},
		"a length of 5 in 2 bytes":      {[]frame{{first: fin | text, payload: "hello", length: []byte{126, 0, 5}}}, "close 1002|end"},
		"a length of 5 in 8 bytes":      {[]frame{{first: fin | text, payload: "hello", length: []byte{127, 0, 0, 0, 0, 0, 0, 0, 5}}}, "close 1002|end"},
		"a length of 65535 in 8 bytes":  {[]frame{{first: fin | text, length: []byte{127, 0, 0, 0, 0, 0, 0, 0xff, 0xff}}}, "close 1002|end"},
		"a length of 64 bits":           {[]frame{{first: fin | text, length: []byte{127, 0x80, 0, 0, 0, 0, 0, 0, 0}}}, "close 1002|end"},
		"a long length after a message": {[]frame{{first: fin | text, payload: "a"}, {first: fin | text, payload: "b", length: []byte{126, 0, 1}}}, "text a|close 1002|end"},

		// Sizes.
		"the largest message":           {[]frame{{first: fin | text, payload: fit}}, "text xxxxxxxx… 100000"},
		"a message too large":           {[]frame{{first: fin | text, payload: fit + "x"}}, "close 1009|end"},
		"fragments that are too large":  {[]frame{{first: text, payload: fit}, {first: fin | more, payload: "x"}}, "close 1009|end"},
		"a length of 16 MiB, then none": {[]frame{{first: fin | text, length: []byte{127, 0, 0, 0, 0, 1, 0, 0, 0}}}, "close 1009|end"},
		"a length of 2^63-1":            {[]frame{{first: fin | bin, length: []byte{127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}}, "close 1009|end"},

		// Closing: 7.4.
		"a close without a code":             {[]frame{{first: fin | closing}}, "close|end"},
		"a close of one byte":                {[]frame{{first: fin | closing, payload: "\x03"}}, "close 1002|end"},
		"a close with a reason":              {[]frame{closeFrame(1000, "bye")}, "close 1000|end"},
		"a close with the longest reason":    {[]frame{closeFrame(1000, long[:123])}, "close 1000|end"},
		"a reason that is not UTF-8":         {[]frame{closeFrame(1000, "\xce\xba\xff")}, "close 1007|end"},
		"a reason that ends in half a point": {[]frame{closeFrame(1000, "\xe2\x82")}, "close 1007|end"},
		"a reason in another alphabet":       {[]frame{closeFrame(1000, "日")}, "close 1000|end"},
		"a close between halves of a point":  {[]frame{{first: text, payload: "\xe2"}, closeFrame(1000, "日")}, "close 1000|end"},
		"text after a close":                 {[]frame{closeFrame(1000, ""), {first: fin | text, payload: "a"}}, "close 1000|end"},
		"a ping after a close":               {[]frame{closeFrame(1000, ""), {first: fin | ping}}, "close 1000|end"},
		"a close after a close":              {[]frame{closeFrame(1000, ""), closeFrame(1001, "")}, "close 1000|end"},
		"a message's end after a close":      {[]frame{{first: text, payload: "a"}, closeFrame(1000, ""), {first: fin | more, payload: "b"}}, "close 1000|end"},
		"a close after a long message":       {[]frame{{first: fin | text, payload: long}, closeFrame(1000, ""), {first: fin | ping}}, "text 01234567… 70000|close 1000|end"},

		// Text is UTF-8: 8.1.
		"text in many alphabets":          {[]frame{{first: fin | text, payload: "Grüße, κόσμε, 日本, 😀, \x00"}}, "text Grüße, κόσμε, 日本, 😀, \x00"},
		"a byte that begins nothing":      {[]frame{{first: fin | text, payload: "a\xffb"}}, "close 1007|end"},
		"a surrogate":                     {[]frame{{first: fin | text, payload: "\xed\xa0\x80"}}, "close 1007|end"},
		"an overlong slash":               {[]frame{{first: fin | text, payload: "\xc0\xaf"}}, "close 1007|end"},
		"a code point above U+10FFFF":     {[]frame{{first: fin | text, payload: "\xf4\x90\x80\x80"}}, "close 1007|end"},
		"the last code point":             {[]frame{{first: fin | text, payload: "\xf4\x8f\xbf\xbf"}}, "text \xf4\x8f\xbf\xbf"},
		"half a point at the end":         {[]frame{{first: fin | text, payload: "a\xe2\x82"}}, "close 1007|end"},
		"half a point, and an empty end":  {[]frame{{first: text, payload: "a\xe2\x82"}, {first: fin | more}}, "close 1007|end"},
		"half a point, then another text": {[]frame{{first: fin | text, payload: "a"}, {first: fin | text, payload: "\xe2"}, {first: fin | text, payload: "\x82\xac"}}, "text a|close 1007|end"},
		"what is none before the end":     {[]frame{{first: text, payload: "a"}, {first: more, payload: "\xf4"}, {first: more, payload: "\x90"}}, "close 1007|end"},
		"what is none in half a frame":    {[]frame{{first: fin | text, length: []byte{99}, payload: "a\xf4\x90"}}, "close 1007|end"},
		"binary may be what text may not": {[]frame{{first: fin | bin, payload: "\xed\xa0\x80"}}, "binary \xed\xa0\x80"},
	} {
		size := 0
		for _, f := range c.frames {
			size += len(f.bytes())
		}
		for _, most := range []int{math.MaxInt, 997, 1} {
			if size/most > 10_000 { // so many packets take long
				continue
			}
			t.Run(fmt.Sprintf("%s/in packets of %d", name, most), func(t *testing.T) {
				t.Parallel()
				socket := open(t, addr, "/", "ada")
				socket.chop = most
				socket.write(c.frames...)
				if got := socket.answers(c.want); got != c.want {
					t.Errorf("the server says %q, not %q", got, c.want)
				}
			})
		}
	}
}

// Of all bytes that may begin a frame, these do.
func TestAReservedBitOrOpcodeEndsTheConnection(t *testing.T) {
	addr, _ := start(t, collab.Config{}, websocket.Config{})
	good := map[byte]string{text: "", bin: "", fin | text: "|text a", fin | bin: "|binary a", fin | ping: "|pong a", fin | pong: ""}
	for first := range 256 {
		rest, ok := good[byte(first)]
		if !ok {
			rest = "|close 1002|end"
		}
		socket := open(t, addr, "/", "ada")
		socket.write(frame{first: fin | text, payload: "before"}, frame{first: byte(first), payload: "a"})
		if got := socket.answers("text before" + rest); got != "text before"+rest {
			t.Errorf("%#x: the server says %q, not %q", first, got, "text before"+rest)
		}
		socket.Close()
	}
}

func TestCloseCodesAreThoseOfRFC6455(t *testing.T) {
	addr, _ := start(t, collab.Config{}, websocket.Config{})
	good := map[int]bool{1000: true, 1001: true, 1002: true, 1003: true, 1007: true, 1008: true, 1009: true, 1010: true, 1011: true, 1012: true, 1013: true, 1014: true, 3000: true, 3999: true, 4000: true, 4999: true}
	for _, code := range []int{0, 1, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015, 1016, 1100, 2000, 2999, 3000, 3999, 4000, 4999, 5000, 65535} {
		want := "close 1002|end"
		if good[code] {
			want = fmt.Sprintf("close %d|end", code)
		}
		socket := open(t, addr, "/", "ada")
		socket.write(closeFrame(code, ""))
		if got := socket.answers(want); got != want {
			t.Errorf("%d: the server says %q, not %q", code, got, want)
		}
	}
}

// What the echo says of frames, a document's connection says too.
func TestADocumentsConnectionHasTheSameRules(t *testing.T) {
	addr, _ := start(t, collab.Config{Limits: protocol.Limits{Message: messageLimit}}, websocket.Config{})
	for name, c := range map[string]struct {
		frames []frame
		want   string
	}{
		"a reserved bit":      {[]frame{{first: fin | 0x40 | text, payload: "{}"}}, "close 1002|end"},
		"no mask":             {[]frame{{first: fin | text, payload: "{}", unmask: true}}, "close 1002|end"},
		"a long length":       {[]frame{{first: fin | text, payload: "{}", length: []byte{126, 0, 2}}}, "close 1002|end"},
		"a close of one byte": {[]frame{{first: fin | closing, payload: "\x03"}}, "close 1002|end"},
		"too large":           {[]frame{{first: fin | text, payload: strings.Repeat("x", messageLimit+1)}}, "close 1009|end"},
		"not UTF-8":           {[]frame{{first: text, payload: "\xe2"}, {first: fin | more, payload: "\x82"}}, "close 1007|end"},
		"binary":              {[]frame{{first: fin | bin, payload: "{}"}}, "close 1003|end"},
		"binary fragments":    {[]frame{{first: bin, payload: "{"}, {first: fin | more, payload: "}"}}, "close 1003|end"},
		"a ping":              {[]frame{{first: fin | ping, payload: "p"}}, "pong p"},
		"a close":             {[]frame{closeFrame(1000, "")}, "close 1000|end"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			socket := open(t, addr, "/v1/docs/one/ws", "ada")
			socket.write(c.frames...)
			if got := socket.answers(c.want); got != c.want {
				t.Errorf("the server says %q, not %q", got, c.want)
			}
		})
	}
}

// A suite meets the bounds that a client meets.
func TestTheEchoHasTheSameBounds(t *testing.T) {
	addr, _ := start(t, collab.Config{}, websocket.Config{MessagesPerS: 1})
	for _, first := range []byte{fin | text, fin | bin} {
		socket := open(t, addr, "/", "ada")
		socket.write(slices.Repeat([]frame{{first: first, payload: "a"}}, 1000)...)
		got := socket.answers(strings.Repeat("a|", 999))
		if n := strings.Count(got, " a|"); n < 2 || !strings.Contains(got, `|text {"t":"er`) || !strings.HasSuffix(got, "|close 1008|end") {
			t.Errorf("opcode %d: the server says %q", first&0xf, got)
		}
	}
}

// What it does not offer it does not take, and says nothing of.
func TestNoCompressionIsAgreedUpon(t *testing.T) {
	addr, _ := start(t, collab.Config{}, websocket.Config{})
	for _, offer := range []string{"permessage-deflate", "permessage-deflate; client_max_window_bits, permessage-deflate; server_no_context_takeover", "x-webkit-deflate-frame", ";"} {
		for _, path := range []string{"/", "/v1/docs/one/ws"} {
			socket := open(t, addr, path, "ada", "Sec-WebSocket-Extensions: "+offer)
			socket.write(frame{first: fin | 0x40 | text, payload: "\xcaH\xcd\xc9\xc9\x07\x00"})
			if got := socket.answers("close 1002|end"); got != "close 1002|end" {
				t.Errorf("%s, %q: the server says %q", path, offer, got)
			}
		}
	}
}

// Sending at once what the server may not take before it answers is no reason to lose the answer.
func TestTheLastWordArrivesThoughTheClientGoesOnSending(t *testing.T) {
	addr, _ := start(t, collab.Config{}, websocket.Config{})
	socket := open(t, addr, "/v1/docs/one/ws", "ada")
	flood := bytes.Repeat(frame{first: fin | text, payload: `{"t":"ping"}`}.bytes(), 1000)
	_, _ = socket.Write(flood)
	if got := socket.answers("error|close|end"); !strings.HasPrefix(got, `text {"t":"er`) || !strings.HasSuffix(got, "|close 4400|end") {
		t.Errorf("the server says %q", got)
	}
}
