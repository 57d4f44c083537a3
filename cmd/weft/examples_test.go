package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// example is a fenced block of a page.
type example struct {
	kind, about string // what follows the fence: ```kind about
	line        int    // of the fence
	lines       []string
}

func examples(t *testing.T, page string) (all []example) {
	t.Helper()
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for n, line := range strings.Split(string(data), "\n") {
		switch {
		case !strings.HasPrefix(line, "```"):
			if inside {
				all[len(all)-1].lines = append(all[len(all)-1].lines, line)
			}
		case inside:
			inside = false
		default:
			inside = true
			kind, about, _ := strings.Cut(strings.TrimPrefix(line, "```"), " ")
			all = append(all, example{kind: kind, about: about, line: n + 1})
		}
	}
	return all
}

// reader goes through the examples of a page as a user would: in order, against one server.
type reader struct {
	*server
	roles   map[string]string
	names   map[string]any // what the page calls a session, and what the server does
	sockets map[string]*socket
	waiting map[string][]map[string]any // presence that came and was not spoken of yet
	line    int
}

// TestThePageOfTheProtocolIsTrue does what docs/protocol.md shows, and expects what it shows.
func TestThePageOfTheProtocolIsTrue(t *testing.T) {
	r := &reader{
		server: startServer(t, func(c *config) { c.origins = []string{"https://app.example.com"} }),
		roles:  map[string]string{"ada": "manage", "bob": "write", "eve": "read"},
		names:  map[string]any{},
	}
	ran := map[string]int{}
	for _, e := range examples(t, "../../docs/protocol.md") {
		r.line = e.line
		switch e.kind {
		case "session":
			r.session(e)
		case "http":
			r.http(e)
		case "claims":
			r.claims(e)
		default:
			t.Errorf("line %d: no test knows what to do with a block of %q", e.line, e.kind)
		}
		ran[e.kind]++
		if t.Failed() {
			return // what follows builds on it
		}
	}
	if ran["session"] < 5 || ran["http"] < 8 || ran["claims"] == 0 {
		t.Errorf("the page lost examples: %v", ran)
	}
}

var placeholder = regexp.MustCompile(`<([a-z]+)>`)

// filled puts tokens where the page says <ada>.
func (r *reader) filled(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(name string) string {
		user := strings.Trim(name, "<>")
		return token(r.t, user, time.Hour, "*="+r.roles[user])
	})
}

// session plays a conversation: `ada > message` is sent, `ada < message` must come, `ada < close 4400` too.
func (r *reader) session(e example) {
	r.sockets, r.waiting = map[string]*socket{}, map[string][]map[string]any{}
	for i, line := range e.lines {
		r.line = e.line + i + 1
		who, rest, _ := strings.Cut(line, " ")
		direction, message, _ := strings.Cut(rest, " ")
		ws := r.sockets[who]
		if ws == nil {
			if r.roles[who] == "" {
				r.t.Fatalf("line %d: who is %q?", r.line, who)
			}
			ws = r.dial(e.about, r.filled("<"+who+">"))
			r.sockets[who] = ws
		}
		switch direction {
		case ">":
			ws.send(r.filled(message))
		case "<":
			if code, isClose := strings.CutPrefix(message, "close "); isClose {
				r.closes(ws, code)
				continue
			}
			want := decoded(strings.ReplaceAll(message, "{…}", `{"…":0}`)).(map[string]any)
			if got := r.next(who, want["t"]); !r.like(want, got, "") {
				text, _ := json.Marshal(got)
				r.t.Fatalf("line %d: not that came, but\n%s", r.line, text)
			}
		default:
			r.t.Fatalf("line %d: %q is no direction", r.line, direction)
		}
	}
	for _, ws := range r.sockets {
		ws.Close()
	}
	for r.node.socket.Connections() > 0 { // the next conversation begins among nobody
		<-time.After(time.Millisecond)
	}
}

// next is the next message to someone. Presence comes when it comes, so it may be spoken of later.
func (r *reader) next(who string, typ any) map[string]any {
	if waiting := r.waiting[who]; typ == "presence" && len(waiting) > 0 {
		r.waiting[who] = waiting[1:]
		return waiting[0]
	}
	for {
		_ = r.sockets[who].SetReadDeadline(time.Now().Add(30 * time.Second))
		_, data, err := r.sockets[who].ReadMessage()
		if err != nil {
			r.t.Fatalf("line %d: %v", r.line, err)
		}
		m := decoded(string(data)).(map[string]any)
		if m["t"] != "presence" || typ == "presence" {
			return m
		}
		r.waiting[who] = append(r.waiting[who], m)
	}
}

func (r *reader) closes(ws *socket, code string) {
	_ = ws.SetReadDeadline(time.Now().Add(30 * time.Second))
	for {
		_, data, err := ws.ReadMessage()
		if err == nil && strings.Contains(string(data), `"t":"presence"`) {
			continue
		}
		closed, ok := err.(*websocket.CloseError)
		if !ok || fmt.Sprint(closed.Code) != code {
			r.t.Fatalf("line %d: %s %v", r.line, data, err)
		}
		return
	}
}

// like compares JSON. What differs from run to run must only be there: times, durations, and words for people.
// Names of sessions must be the same throughout. {…} is any object.
func (r *reader) like(want, got any, key string) bool {
	switch {
	case key == "session", key == "s", want == "CLIENT": // drawn by the server
		if known, ok := r.names[want.(string)]; ok {
			return known == got
		}
		r.names[want.(string)] = got
		return got != ""
	}
	switch key {
	case "expires_in_ms", "retry_ms":
		n, ok := got.(float64)
		return ok && n > 0
	case "created", "updated", "at":
		_, err := time.Parse(time.RFC3339Nano, fmt.Sprint(got))
		return err == nil
	case "msg", "detail", "title":
		return got != nil && got != ""
	}
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if _, any := want["…"]; any {
			return ok
		}
		if !ok || len(got) != len(want) {
			return false
		}
		for name := range want {
			if _, there := got[name]; !there || !r.like(want[name], got[name], name) {
				return false
			}
		}
		return true
	case []any:
		got, ok := got.([]any)
		if !ok || len(got) != len(want) {
			return false
		}
		for i := range want {
			if !r.like(want[i], got[i], "") {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(want, got)
}

// http makes a request and compares the answer: its status, the fields that the page shows, and the body.
func (r *reader) http(e example) {
	lines := bufio.NewScanner(strings.NewReader(strings.Join(e.lines, "\n")))
	part := func() (out []string) { // up to the next empty line
		for lines.Scan() && lines.Text() != "" {
			out = append(out, lines.Text())
		}
		return out
	}
	asked := part()
	body := ""
	answer := part()
	if len(answer) > 0 && strings.HasPrefix(answer[0], "{") {
		body = strings.Join(answer, "\n")
		answer = part()
	}
	if len(asked) == 0 || len(answer) == 0 {
		r.t.Fatalf("line %d: a request and an answer, each after an empty line", e.line)
	}
	expected := strings.Join(part(), "\n")
	method, path, _ := strings.Cut(asked[0], " ")
	request, err := http.NewRequest(method, r.URL+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatalf("line %d: %v", e.line, err)
	}
	for _, field := range asked[1:] {
		name, value, _ := strings.Cut(field, ": ")
		request.Header.Set(name, r.filled(value))
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		r.t.Fatalf("line %d: %v", e.line, err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatalf("line %d: %v", e.line, err)
	}
	told := fmt.Sprintf("%d %s\n%v\n%s", response.StatusCode, http.StatusText(response.StatusCode), response.Header, data)
	if !strings.HasPrefix(told, answer[0]+"\n") {
		r.t.Fatalf("line %d: not %s, but\n%s", e.line, answer[0], told)
	}
	for _, field := range answer[1:] {
		name, value, _ := strings.Cut(field, ": ")
		if got := response.Header.Get(name); got != value {
			r.t.Fatalf("line %d: %s is %q", e.line, name, got)
		}
	}
	if !strings.HasPrefix(expected, "{") {
		if strings.TrimRight(string(data), "\n") != expected {
			r.t.Fatalf("line %d: the body is\n%s", e.line, data)
		}
		return
	}
	if !r.like(decoded(expected), decoded(string(data)), "") {
		r.t.Fatalf("line %d: the body is\n%s", e.line, data)
	}
}

// claims takes a token with these claims, its end moved to later, and sees who it lets in where.
func (r *reader) claims(e example) {
	var claims map[string]any
	if err := json.Unmarshal([]byte(strings.Join(e.lines, "\n")), &claims); err != nil {
		r.t.Fatalf("line %d: %v", e.line, err)
	}
	if _, ok := claims["exp"].(float64); !ok {
		r.t.Fatalf("line %d: no exp", e.line)
	}
	claims["exp"] = time.Now().Add(time.Hour).Unix()
	signed := signed(r.t, claims)
	for doc, status := range map[string]int{"handbook": 404, "team7-plans": 204, "other": 403} {
		if response, _ := r.call("HEAD", "/v1/docs/"+doc, signed, ""); response.StatusCode != status {
			r.t.Errorf("line %d: on %s it gives %d, not %d", e.line, doc, response.StatusCode, status)
		}
	}
}
