package main

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// ask asks a development server for a token, as a page at an address would.
func (s *server) ask(host, origin, body string) (*http.Response, map[string]any) {
	s.t.Helper()
	request, err := http.NewRequest(http.MethodPost, s.URL+"/dev/token", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if host != "" {
		request.Host = host
	}
	if origin != "" {
		request.Header.Set("Origin", origin)
	}
	return s.do(request)
}

func TestADevelopmentServerGivesTokens(t *testing.T) {
	s := startServer(t, func(c *config) { c.dev = "true" })
	s.call("POST", "/v1/docs", token(t, "ada", time.Hour, "plan=write"), `{"id":"plan"}`)
	for body, role := range map[string]string{
		`{"doc":"plan","name":"Zoë","sub":"zoe"}`: "write",
		`{"doc":"plan","role":"read"}`:            "read",
		`{"doc":"plan","role":"manage"}`:          "manage",
	} {
		r, got := s.ask("", "", body)
		given, _ := got["token"].(string)
		if r.StatusCode != http.StatusOK || given == "" {
			t.Errorf("%s is answered with %d %v", body, r.StatusCode, got)
			continue
		}
		_, welcome := s.open("plan", given, newClient())
		user := welcome["user"].(map[string]any)
		if welcome["role"] != role || strings.Contains(body, "zoe") != (user["id"] == "zoe" && user["name"] == "Zoë") || user["id"] == "" {
			t.Errorf("%s: welcome is %v", body, welcome)
		}
		if r, _ := s.call("GET", "/v1/docs/other", given, ""); r.StatusCode != http.StatusForbidden {
			t.Errorf("%s: another document is answered with %d", body, r.StatusCode)
		}
	}
	for _, body := range []string{``, `{}`, `{"doc":"-x"}`, `{"doc":"plan*"}`, `{"doc":"plan","role":"owner"}`, `{"doc":"plan","role":"none"}`} {
		if r, got := s.ask("", "", body); r.StatusCode != http.StatusBadRequest || got["token"] != nil {
			t.Errorf("%s is answered with %d %v", body, r.StatusCode, got)
		}
	}
	if r, got := startServer(t, nil).ask("", "", `{"doc":"plan"}`); r.StatusCode == http.StatusOK {
		t.Errorf("a server that is none for development gives %v", got)
	}
}

// A name that leads here though it is somebody else's (DNS rebinding) makes a foreign page one of our own origin.
func TestADevelopmentServerGivesTokensToPagesOfThisMachineAlone(t *testing.T) {
	local, public := startServer(t, func(c *config) { c.dev = "true" }), startServer(t, func(c *config) { c.dev = devPublic })
	for host, here := range map[string]bool{
		"localhost:8080": true, "localhost": true, "127.0.0.1:8080": true, "127.0.0.1": true, "[::1]:8080": true, "[::1]": true,
		"weft.localhost:8080": true, "LOCALHOST:8080": true,
		"evil.example:8080": false, "evil.example": false, "localhost.evil.example": false, "192.168.1.5:8080": false, "notlocalhost": false,
	} {
		for s, want := range map[*server]bool{local: here, public: true} {
			r, got := s.ask(host, "http://"+host, `{"doc":"plan"}`)
			if given := r.StatusCode == http.StatusOK && got["token"] != nil; given != want || !given && r.StatusCode != http.StatusForbidden {
				t.Errorf("%s, public %v: %d %v", host, s == public, r.StatusCode, got)
			}
		}
	}
	if r, _ := local.ask("localhost:8080", "https://evil.example", `{"doc":"plan"}`); r.StatusCode != http.StatusForbidden {
		t.Errorf("a page of elsewhere is answered with %d", r.StatusCode)
	}
	good := token(t, "ada", time.Hour, "*=write") // a token decides by itself
	request, _ := http.NewRequest(http.MethodPost, local.URL+"/v1/docs", strings.NewReader(`{}`))
	request.Host = "app.example.com"
	request.Header.Set("Authorization", "Bearer "+good)
	request.Header.Set("Content-Type", "application/json")
	if r, got := local.do(request); r.StatusCode != http.StatusCreated {
		t.Errorf("a call with a token is answered with %d %v", r.StatusCode, got)
	}
}
