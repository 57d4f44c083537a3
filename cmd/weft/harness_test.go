package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"
	"github.com/spf13/pflag"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/jwt"
)

const (
	testSecret   = "a secret for tests, which has more than thirty-two bytes"
	testIssuer   = "https://issuer.example" // what tokens have; servers ask for it where a test says so
	testAudience = "weft"
)

// server is a whole node in this process, on the embedded store.
type server struct {
	*httptest.Server
	t    *testing.T
	node *node
}

func startServer(t *testing.T, adapt func(*config)) *server {
	t.Helper()
	c := &config{}
	c.serveFlags(pflag.NewFlagSet("defaults", pflag.ContinueOnError))
	c.jwt.Secret, c.dataDir, c.node = testSecret, t.TempDir(), "test"
	c.drain = time.Second
	if adapt != nil {
		adapt(c)
	}
	n, err := newNode(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = n.hub.Run(ctx)
	}()
	s := &server{httptest.NewServer(n.http.Handler), t, n}
	t.Cleanup(func() {
		ending, cancel := context.WithTimeout(context.Background(), n.config.drain)
		defer cancel()
		n.shutdown(ending)
		s.Close()
		end()
		<-done
		n.store.Close()
	})
	return s
}

// token signs a token; docs are id=role pairs.
func token(t testing.TB, user string, life time.Duration, docs ...string) string {
	t.Helper()
	c := jwt.Claims{
		User: user, Name: strings.ToUpper(user), Expires: time.Now().Add(life), Docs: map[string]collab.Role{},
		Issuer: testIssuer, Audience: testAudience,
	}
	for _, d := range docs {
		id, role, _ := strings.Cut(d, "=")
		c.Docs[id] = collab.ParseRole(role)
	}
	s, err := jwt.Sign(testSecret, c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// signed signs any claims, good or not.
func signed(t *testing.T, claims map[string]any) string {
	t.Helper()
	s, err := gojwt.NewWithClaims(gojwt.SigningMethodHS256, gojwt.MapClaims(claims)).SignedString([]byte(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var drawn atomic.Int64

func newClient() string { return fmt.Sprintf("client-of-a-test-%d", drawn.Add(1)) }
func newDoc() string    { return fmt.Sprintf("doc%d", drawn.Add(1)) }

// call makes an HTTP request and returns the status, the header and the decoded body.
func (s *server) call(method, path, token, body string) (*http.Response, map[string]any) {
	s.t.Helper()
	request, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	return s.do(request)
}

func (s *server) do(request *http.Request) (*http.Response, map[string]any) {
	s.t.Helper()
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusSwitchingProtocols {
		return response, nil
	}
	data, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	var decoded map[string]any
	if strings.Contains(response.Header.Get("Content-Type"), "json") && request.Method != http.MethodHead {
		if err := json.Unmarshal(data, &decoded); err != nil {
			s.t.Fatalf("%s: %v", data, err)
		}
	} else {
		decoded = map[string]any{"text": string(data)}
	}
	return response, decoded
}

// create makes a document with a content.
func (s *server) create(typ, content string) string {
	s.t.Helper()
	doc := newDoc()
	body := fmt.Sprintf(`{"id":%q,"type":%q,"content":%s}`, doc, typ, content)
	if r, got := s.call("POST", "/v1/docs", token(s.t, "maker", time.Hour, doc+"=write"), body); r.StatusCode != http.StatusCreated {
		s.t.Fatalf("creating %s: %v", body, got)
	}
	return doc
}

// socket is a raw WebSocket.
type socket struct {
	*websocket.Conn
	t *testing.T
}

func (s *server) dial(doc, token string) *socket {
	s.t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{"weft.v1"}, HandshakeTimeout: 20 * time.Second}
	url := "ws" + strings.TrimPrefix(s.URL, "http") + "/v1/docs/" + doc + "/ws"
	conn, response, err := dialer.Dial(url, http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		s.t.Fatalf("%v: %v", err, response)
	}
	if conn.Subprotocol() != "weft.v1" {
		s.t.Errorf("the subprotocol is %q", conn.Subprotocol())
	}
	s.t.Cleanup(func() { conn.Close() })
	return &socket{conn, s.t}
}

// open dials and says hello.
func (s *server) open(doc, token, client string) (*socket, map[string]any) {
	s.t.Helper()
	ws := s.dial(doc, token)
	ws.send(`{"t":"hello","client":"` + client + `"}`)
	return ws, ws.await("welcome")
}

func (ws *socket) send(frame string) {
	ws.t.Helper()
	if err := ws.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
		ws.t.Fatal(err)
	}
}

// await returns the next message of a type; presence of others is let go.
func (ws *socket) await(typ string) map[string]any {
	ws.t.Helper()
	for {
		_ = ws.SetReadDeadline(time.Now().Add(30 * time.Second))
		_, data, err := ws.ReadMessage()
		if err != nil {
			ws.t.Fatalf("waiting for %s: %v", typ, err)
		}
		var m map[string]any
		if err := json.Unmarshal(data, &m); err != nil {
			ws.t.Fatalf("%s: %v", data, err)
		}
		switch m["t"] {
		case typ:
			return m
		case "presence":
			continue
		case "ops":
			if typ != "welcome" { // of others
				continue
			}
		}
		ws.t.Fatalf("waiting for %s, there came %s", typ, data)
	}
}

// awaitClose expects an error of a code ("" for none) and then a close code.
func (ws *socket) awaitClose(code string, closeCode int) {
	ws.t.Helper()
	if code != "" {
		if m := ws.await("error"); m["code"] != code || m["msg"] == "" {
			ws.t.Errorf("the error is %v, not %s", m, code)
		}
	}
	for {
		_ = ws.SetReadDeadline(time.Now().Add(30 * time.Second))
		_, data, err := ws.ReadMessage()
		var closed *websocket.CloseError
		if errors.As(err, &closed) {
			if closed.Code != closeCode {
				ws.t.Errorf("closed with %d %s, not %d", closed.Code, closed.Text, closeCode)
			}
			return
		}
		if err != nil {
			ws.t.Fatalf("waiting for %d: %v", closeCode, err)
		}
		if !bytes.Contains(data, []byte(`"t":"presence"`)) && !bytes.Contains(data, []byte(`"t":"ops"`)) {
			ws.t.Errorf("before the close there came %s", data)
		}
	}
}

func decoded(text string) (v any) {
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		panic(err)
	}
	return v
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
