package main

import (
	"encoding/base64"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// upgrade is a request for an upgrade that is in order but for what change does to it.
func (s *server) upgrade(doc string, change func(http.Header)) *http.Request {
	request, err := http.NewRequest(http.MethodGet, s.URL+"/v1/docs/"+doc+"/ws", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
		"Sec-WebSocket-Key": base64.StdEncoding.EncodeToString(make([]byte, 16)), "Sec-WebSocket-Protocol": "weft.v1",
	} {
		request.Header.Set(name, value)
	}
	change(request.Header)
	return request
}

func TestHandshake(t *testing.T) {
	s := startServer(t, func(c *config) {
		c.origins = []string{"https://app.example.com"}
		c.jwt.Issuer, c.jwt.Audience = testIssuer, testAudience
	})
	doc := s.create("rich", `[{"insert":"\n"}]`)
	deleted := s.create("rich", `[{"insert":"\n"}]`)
	purged := s.create("rich", `[{"insert":"\n"}]`)
	for _, path := range []string{deleted, purged + "?purge=true"} {
		id, _, _ := strings.Cut(path, "?")
		if r, m := s.call("DELETE", "/v1/docs/"+path, token(t, "boss", time.Hour, id+"=manage"), ""); r.StatusCode != http.StatusNoContent {
			t.Fatal(m)
		}
	}
	good := token(t, "ada", time.Hour, "*=write")
	reader := token(t, "ada", time.Hour, "*=read")
	bearer := func(token string) func(http.Header) {
		return func(h http.Header) { h.Set("Authorization", "Bearer "+token) }
	}
	all := func(changes ...func(http.Header)) func(http.Header) {
		return func(h http.Header) {
			for _, c := range changes {
				c(h)
			}
		}
	}
	set := func(name, value string) func(http.Header) { return func(h http.Header) { h.Set(name, value) } }
	foreign := strings.Split(good, ".")
	later := time.Now().Add(time.Minute).Unix()
	claims := func(name string, value any) string { // a good token but for one claim; nil: without it
		all := map[string]any{
			"sub": "ada", "exp": time.Now().Add(time.Hour).Unix(), "iss": testIssuer, "aud": testAudience,
			"weft": map[string]any{"docs": map[string]string{"*": "write"}},
		}
		if all[name] = value; value == nil {
			delete(all, name)
		}
		return signed(t, all)
	}
	cases := []struct {
		name     string
		doc      string
		change   func(http.Header)
		ws, head int // statuses; 0: not asked
	}{
		{"all in order", doc, bearer(good), 101, 200},
		{"a document that it creates", "new-one", bearer(good), 101, 204},
		{"the token as a subprotocol", doc, set("Sec-WebSocket-Protocol", "weft.v1, weft.bearer."+good), 101, 200},
		{"the header decides before the subprotocol", doc, all(bearer("nonsense"), set("Sec-WebSocket-Protocol", "weft.v1, weft.bearer."+good)), 401, 401},
		{"no upgrade", doc, all(bearer(good), func(h http.Header) { h.Del("Upgrade"); h.Del("Connection") }), 400, 0},
		{"another version", doc, all(bearer(good), set("Sec-WebSocket-Version", "8")), 400, 0},
		{"a bad key", doc, all(bearer(good), set("Sec-WebSocket-Key", "short")), 400, 0},
		{"an id out of form", "-x", bearer(good), 400, 400},
		{"an id out of form, and no token", "a%20b", func(http.Header) {}, 400, 400},
		{"an id that is too long", strings.Repeat("x", 129), bearer(good), 400, 400},
		{"no token", doc, func(http.Header) {}, 401, 401},
		{"no token, foreign origin", doc, set("Origin", "https://evil.example"), 401, 401},
		{"a malformed token", doc, bearer("nonsense"), 401, 401},
		{"a badly signed token", doc, bearer(foreign[0] + "." + foreign[1] + "." + strings.Repeat("A", len(foreign[2]))), 401, 401},
		{"an expired token", doc, bearer(token(t, "ada", -time.Minute, "*=write")), 401, 401},
		{"a token that is not valid yet", doc, bearer(claims("nbf", later)), 401, 401},
		{"a token issued in the future", doc, bearer(claims("iat", later)), 401, 401},
		{"a token that never expires", doc, bearer(claims("exp", nil)), 401, 401},
		{"a token of nobody", doc, bearer(claims("sub", nil)), 401, 401},
		{"a token of another issuer", doc, bearer(claims("iss", "https://evil.example")), 401, 401},
		{"a token for another audience", doc, bearer(claims("aud", "other")), 401, 401},
		{"a token that says it needs no signature", doc, bearer(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + foreign[1] + "."), 401, 401},
		{"a foreign origin", doc, all(bearer(good), set("Origin", "https://evil.example")), 403, 403},
		{"a foreign origin, deleted", deleted, all(bearer(good), set("Origin", "https://evil.example")), 403, 403},
		{"origin null", doc, all(bearer(good), set("Origin", "null")), 403, 403},
		{"an allowed origin", doc, all(bearer(good), set("Origin", "https://app.example.com")), 101, 200},
		{"its own origin", doc, all(bearer(good), set("Origin", s.URL)), 101, 200},
		{"a token for something else", doc, bearer(token(t, "ada", time.Hour, "other=write")), 403, 403},
		{"a token for something else, deleted", deleted, bearer(token(t, "ada", time.Hour, "other=write")), 403, 403},
		{"none decides before a prefix", doc, bearer(token(t, "ada", time.Hour, doc+"=none", "*=write")), 403, 403},
		{"an unknown role", doc, bearer(claims("weft", map[string]any{"docs": map[string]string{doc: "owner"}})), 403, 403},
		{"an exact id decides before a prefix", doc, bearer(claims("weft", map[string]any{"docs": map[string]string{doc: "none", "*": "write"}})), 403, 403},
		{"an admin", "made-by-an-admin", bearer(claims("weft", map[string]any{"admin": true})), 101, 204},
		{"no grants at all", doc, bearer(claims("weft", nil)), 403, 403},
		{"deleted", deleted, bearer(reader), 410, 410},
		{"purged", purged, bearer(good), 410, 410},
		{"nothing there, and a reader", "nothing-there", bearer(reader), 404, 404},
		{"nothing there, a reader, no subprotocol", "nothing-there", all(bearer(reader), func(h http.Header) { h.Del("Sec-WebSocket-Protocol") }), 404, 404},
		{"no subprotocol", doc, all(bearer(good), func(h http.Header) { h.Del("Sec-WebSocket-Protocol") }), 426, 200},
		{"another subprotocol", doc, all(bearer(good), set("Sec-WebSocket-Protocol", "weft.v9")), 426, 200},
	}
	for _, c := range cases {
		r, problem := s.do(s.upgrade(c.doc, c.change))
		if r.StatusCode != c.ws {
			t.Errorf("%s: the upgrade is answered with %d %v, not %d", c.name, r.StatusCode, problem, c.ws)
		}
		if c.ws == 101 && r.Header.Get("Sec-WebSocket-Protocol") != "weft.v1" {
			t.Errorf("%s: the subprotocol is %q", c.name, r.Header.Get("Sec-WebSocket-Protocol"))
		}
		if c.ws != 101 && (r.Header.Get("Content-Type") != "application/problem+json" || problem["detail"] == "" || problem["status"] != float64(c.ws)) {
			t.Errorf("%s: the problem is %s %v", c.name, r.Header.Get("Content-Type"), problem)
		}
		if c.head == 0 {
			continue
		}
		head := s.upgrade(c.doc, c.change)
		head.Method, head.URL.Path = http.MethodHead, strings.TrimSuffix(head.URL.Path, "/ws")
		head.URL.RawPath = strings.TrimSuffix(head.URL.RawPath, "/ws")
		for _, name := range []string{"Connection", "Upgrade", "Sec-WebSocket-Version", "Sec-WebSocket-Key"} {
			head.Header.Del(name)
		}
		if r, _ := s.do(head); r.StatusCode != c.head {
			t.Errorf("%s: HEAD is answered with %d, not %d", c.name, r.StatusCode, c.head)
		}
	}
}

// RFC 6455, 4.4: a client of another version is told which one the server speaks.
func TestAClientOfAnotherVersionIsToldTheServers(t *testing.T) {
	s := startServer(t, nil)
	for _, version := range []string{"8", "14", "13, 8"} {
		r, problem := s.do(s.upgrade("doc", func(h http.Header) { h.Set("Sec-WebSocket-Version", version) }))
		asProblem(t, "version "+version, r, problem, http.StatusBadRequest, "bad_message")
		if got := r.Header.Get("Sec-WebSocket-Version"); got != "13" {
			t.Errorf("version %s is told %q", version, got)
		}
	}
}

func TestATokenInTheQueryIsTakenOnlyWhereThatIsTurnedOn(t *testing.T) {
	for _, on := range []bool{false, true} {
		s := startServer(t, func(c *config) { c.tokenInQuery = on })
		request := s.upgrade("doc", func(http.Header) {})
		request.URL.RawQuery = "token=" + token(t, "ada", time.Hour, "doc=write")
		want := map[bool]int{false: 401, true: 101}[on]
		if r, m := s.do(request); r.StatusCode != want {
			t.Errorf("turned on %v, it is answered with %d %v", on, r.StatusCode, m)
		}
	}
}

func TestTooManyConnectionsAreToldWhenToComeAgain(t *testing.T) {
	s := startServer(t, func(c *config) { c.connections = 1 })
	good := token(t, "ada", time.Hour, "*=write")
	s.open("one", good, newClient())
	r, problem := s.do(s.upgrade("two", func(h http.Header) { h.Set("Authorization", "Bearer "+good) }))
	asProblem(t, "one more", r, problem, http.StatusTooManyRequests, "rate_limited")
	if r, _ := s.call("HEAD", "/v1/docs/two", good, ""); r.StatusCode != http.StatusTooManyRequests || r.Header.Get("Retry-After") == "" {
		t.Errorf("HEAD is answered with %d %v", r.StatusCode, r.Header)
	}
}

func TestAUserWithTooManyConnectionsIsToldWhenToComeAgain(t *testing.T) {
	s := startServer(t, func(c *config) { c.perUser = 2 })
	ada, bob := token(t, "ada", time.Hour, "*=write"), token(t, "bob", time.Hour, "*=write")
	first, _ := s.open("one", ada, newClient())
	s.open("two", ada, newClient())
	s.open("one", bob, newClient())
	again := func() (*http.Response, map[string]any) {
		return s.do(s.upgrade("one", func(h http.Header) { h.Set("Authorization", "Bearer "+ada) }))
	}
	if r, problem := again(); r.StatusCode != http.StatusTooManyRequests || r.Header.Get("Retry-After") == "" || problem["code"] != "rate_limited" {
		t.Errorf("%d %v %v", r.StatusCode, r.Header, problem)
	}
	if r, _ := s.call("HEAD", "/v1/docs/one", ada, ""); r.StatusCode != http.StatusTooManyRequests || r.Header.Get("Retry-After") == "" {
		t.Errorf("HEAD is answered with %d %v", r.StatusCode, r.Header)
	}
	if r, _ := s.call("HEAD", "/v1/docs/one", bob, ""); r.StatusCode != http.StatusOK {
		t.Errorf("HEAD of another user is answered with %d", r.StatusCode)
	}
	first.Close()
	for { // it is counted until its end was seen
		response, _ := again()
		if response.StatusCode == http.StatusSwitchingProtocols {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
}

func TestADrainingNodeTakesNobodyAndSaysWhen(t *testing.T) {
	s := startServer(t, nil)
	good := token(t, "ada", time.Hour, "*=write")
	ws, _ := s.open("one", good, newClient())
	go func() { _ = s.node.hub.Drain(t.Context()) }()
	if m := ws.await("bye"); m["code"] == "" || m["retry_ms"] == nil {
		t.Errorf("bye is %v", m)
	}
	ws.awaitClose("", 1012)
	for _, path := range []string{"/readyz", "/v1/docs/two/ws"} {
		request := s.upgrade("two", func(h http.Header) { h.Set("Authorization", "Bearer "+good) })
		request.URL.Path = path
		r, m := s.do(request)
		asProblem(t, path, r, m, http.StatusServiceUnavailable, "unavailable")
	}
}

// A drain meets connections that are just being made: each of them ends, none is taken for one that is there.
func TestADrainMeetsConnectionsThatAreBeingMade(t *testing.T) {
	s := startServer(t, nil)
	good := token(t, "ada", time.Hour, "*=write")
	var work sync.WaitGroup
	for range 40 {
		work.Go(func() {
			socket, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.URL, "http")+"/v1/docs/one/ws",
				http.Header{"Authorization": {"Bearer " + good}, "Sec-Websocket-Protocol": {"weft.v1"}})
			if err != nil {
				t.Errorf("dialing: %v (%v)", err, response)
				return
			}
			defer socket.Close()
			_ = socket.SetReadDeadline(time.Now().Add(time.Minute))
			for err == nil {
				_, _, err = socket.ReadMessage()
			}
			if !websocket.IsCloseError(err, websocket.CloseServiceRestart) {
				t.Errorf("it ends with %v", err)
			}
		})
	}
	ended := make(chan struct{})
	go func() { work.Wait(); close(ended) }()
	for drained := false; !drained; {
		s.node.socket.Drain()
		select {
		case <-ended:
			drained = true
		default:
			runtime.Gosched()
		}
	}
}

func TestAllowedPagesMayReadEveryAnswer(t *testing.T) {
	s := startServer(t, func(c *config) { c.origins = []string{"https://app.example.com"} })
	for _, method := range []string{"GET", "HEAD", "POST", "DELETE"} {
		request, _ := http.NewRequest(http.MethodOptions, s.URL+"/v1/docs/x", nil)
		request.Header.Set("Origin", "https://app.example.com")
		request.Header.Set("Access-Control-Request-Method", method)
		request.Header.Set("Access-Control-Request-Headers", "authorization,content-type")
		r, _ := s.do(request)
		h := r.Header
		if r.StatusCode >= 300 || h.Get("Access-Control-Allow-Origin") != "https://app.example.com" ||
			!strings.Contains(strings.ToLower(h.Get("Access-Control-Allow-Headers")), "authorization") || h.Get("Access-Control-Allow-Methods") != method {
			t.Errorf("%s: the preflight is answered with %d %v", method, r.StatusCode, h)
		}
	}
	request, _ := http.NewRequest(http.MethodPut, s.URL+"/v1/docs/x", nil) // a method that there is not
	request.Header.Set("Origin", "https://app.example.com")
	if r, _ := s.do(request); r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Access-Control-Allow-Origin") != "https://app.example.com" {
		t.Errorf("PUT is answered with %d %v", r.StatusCode, r.Header)
	}
	for origin, allowed := range map[string]string{"https://app.example.com": "https://app.example.com", "https://evil.example": ""} {
		for _, path := range []string{"/v1/docs/x", "/v1/nothing", "/v1/docs/-"} {
			request, _ := http.NewRequest(http.MethodGet, s.URL+path, nil)
			request.Header.Set("Origin", origin)
			r, _ := s.do(request)
			if r.Header.Get("Access-Control-Allow-Origin") != allowed {
				t.Errorf("%s for %s: %v", path, origin, r.Header)
			}
			if vary := r.Header.Values("Vary"); len(vary) != 1 || vary[0] != "Origin" {
				t.Errorf("%s for %s: Vary is %q", path, origin, vary)
			}
			if exposed := strings.ToLower(r.Header.Get("Access-Control-Expose-Headers")); allowed != "" && (!strings.Contains(exposed, "etag") || !strings.Contains(exposed, "retry-after")) {
				t.Errorf("%s exposes %s", path, exposed)
			}
		}
	}
}
