package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/jwt"
	"github.com/weft-collab/weft/collab/rest"
)

// asProblem checks that an answer is a problem (RFC 9457) with a code.
func asProblem(t *testing.T, what string, r *http.Response, got map[string]any, status int, code string) {
	t.Helper()
	said, _ := got["code"].(string)
	if r.StatusCode != status || said != code {
		t.Errorf("%s is answered with %d %v, not %d %s", what, r.StatusCode, got, status, code)
	}
	if r.Header.Get("Content-Type") != "application/problem+json" || got["status"] != float64(status) ||
		got["title"] != http.StatusText(status) || got["type"] != "about:blank" || got["detail"] == "" || got["detail"] == nil {
		t.Errorf("%s: no problem in the sense of RFC 9457: %s %v", what, r.Header.Get("Content-Type"), got)
	}
	if wants := status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable; wants != (r.Header.Get("Retry-After") != "") {
		t.Errorf("%s: Retry-After is %q", what, r.Header.Get("Retry-After"))
	}
	if wants := status == http.StatusUnauthorized; wants != (r.Header.Get("WWW-Authenticate") != "") {
		t.Errorf("%s: WWW-Authenticate is %q", what, r.Header.Get("WWW-Authenticate"))
	}
}

func TestAddressesAndMethodsThatThereAreNot(t *testing.T) {
	s := startServer(t, nil)
	good := token(t, "ada", time.Hour, "*=write")
	for _, path := range []string{"/v1/", "/v1/docs/x/y", "/v1/nothing"} {
		r, got := s.call("GET", path, good, "")
		asProblem(t, path, r, got, 404, "not_found")
	}
	for _, call := range []string{"PUT /v1/docs/x", "POST /v1/docs/x", "PATCH /v1/docs/x/ops"} {
		method, path, _ := strings.Cut(call, " ")
		r, got := s.call(method, path, good, "")
		asProblem(t, call, r, got, 405, "bad_message")
		if r.Header.Get("Allow") == "" {
			t.Errorf("%s: no Allow", call)
		}
	}
}

func TestOneWhoPostsTooOftenIsToldWhenToGoOn(t *testing.T) {
	s := startServer(t, func(c *config) { c.opsPerS = 2 })
	good := token(t, "ada", time.Hour, "*=write")
	doc, client := s.create("text", `[]`), newClient()
	for seq := 1; ; seq++ {
		if seq == 1000 {
			t.Fatal("a thousand operations at two a second")
		}
		r, got := s.call("POST", "/v1/docs/"+doc+"/ops", good, fmt.Sprintf(`{"client":%q,"seq":%d,"d":[]}`, client, seq))
		if r.StatusCode == http.StatusOK {
			continue
		}
		asProblem(t, "too often", r, got, 429, "rate_limited")
		return
	}
}

// failing is a store in which some calls fail.
type failing struct {
	collab.Store
	err error
}

func (f failing) Log(context.Context, string, int64, int, int) ([]collab.Operation, error) {
	return nil, f.err
}
func (f failing) Meta(context.Context, string) (collab.Meta, error)                { return collab.Meta{}, f.err }
func (f failing) Delete(context.Context, string, string, bool) error               { return f.err }
func (f failing) List(context.Context, string, string, int) ([]collab.Meta, error) { return nil, f.err }
func (f failing) Ping(context.Context) error                                       { return f.err }

// on serves the API of s over another store.
func (s *server) on(store collab.Store) *server {
	s.t.Helper()
	verifier, err := jwt.New(s.t.Context(), jwt.Config{Secret: testSecret})
	if err != nil {
		s.t.Fatal(err)
	}
	hub := collab.NewHub(collab.Config{Store: store, Verifier: verifier, Logger: discard()})
	none := http.NotFoundHandler()
	served := httptest.NewServer(rest.New(rest.Config{Hub: hub, Verifier: verifier, Socket: none, Head: none.ServeHTTP, Logger: discard()}))
	s.t.Cleanup(served.Close)
	return &server{served, s.t, s.node}
}

func TestAHistoryThatWasFoldedAwayIsGone(t *testing.T) {
	s := startServer(t, nil)
	doc := s.create("text", `[{"insert":"x"}]`)
	r, got := s.on(failing{s.node.store, fmt.Errorf("the log of %s: %w", doc, collab.ErrGone)}).call("GET", "/v1/docs/"+doc+"/ops", token(t, "ada", time.Hour, "*=read"), "")
	asProblem(t, "a history that was folded away", r, got, 410, "gone")
}

func TestAStoreOutOfReachIsUnavailable(t *testing.T) {
	s := startServer(t, nil)
	doc := s.create("text", `[{"insert":"x"}]`)
	without := s.on(failing{s.node.store, errors.New("no route to it, password hunter2")})
	boss := token(t, "ada", time.Hour, "*=manage")
	for _, call := range []string{"GET /v1/docs/" + doc + "?v=0", "GET /v1/docs/" + doc + "/ops", "DELETE /v1/docs/" + doc, "GET /readyz"} {
		method, path, _ := strings.Cut(call, " ")
		r, got := without.call(method, path, boss, "")
		asProblem(t, call, r, got, 503, "unavailable")
	}
	if r, got := without.call("GET", "/healthz", "", ""); r.StatusCode != http.StatusOK || got["status"] != "alive" {
		t.Errorf("the process lives, but /healthz says %d %v", r.StatusCode, got)
	}
}

// Who sends bodies that do not come keeps their own next calls waiting, and nobody else's.
func TestABodyThatDoesNotComeKeepsItsSenderWaitingAlone(t *testing.T) {
	s := startServer(t, func(c *config) { c.calls = 2 })
	const going = "HTTP/1.1 100 Continue" // said when the body is waited for
	post := func() net.Conn {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		_, _ = fmt.Fprintf(conn, "POST /v1/docs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\nAuthorization: Bearer %s\r\n\r\n", token(t, "ada", time.Hour, "*=write"))
		return conn
	}
	goesOn := func(conn net.Conn, within time.Duration) bool {
		_ = conn.SetReadDeadline(time.Now().Add(within))
		got := make([]byte, len(going))
		_, err := io.ReadFull(conn, got)
		return err == nil && string(got) == going
	}
	first, second := post(), post()
	if !goesOn(first, time.Minute) || !goesOn(second, time.Minute) {
		t.Fatal("the first two are not served")
	}
	third := post()
	if r, got := s.call("POST", "/v1/docs", token(t, "bob", time.Hour, "*=write"), `{}`); r.StatusCode != http.StatusCreated {
		t.Errorf("another user is answered %d %v", r.StatusCode, got)
	}
	if goesOn(third, 50*time.Millisecond) {
		t.Error("a third body is waited for, while two do not come")
	}
	first.Close()
	if !goesOn(third, time.Minute) {
		t.Error("the third is not served when the first is gone")
	}
}
