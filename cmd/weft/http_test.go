package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weft-collab/weft/collab/jwt"
	"github.com/weft-collab/weft/collab/protocol"
)

func TestCreating(t *testing.T) {
	s := startServer(t, nil)
	good := token(t, "ada", time.Hour, "*=write")
	for _, c := range []struct {
		name, body, content string
		v                   float64
	}{
		{"nothing but braces", `{}`, `[map[insert:` + "\n" + `]]`, 0},
		{"a newborn text", `{"type":"text"}`, `[]`, 0},
		{"an id", `{"id":"an.id_with~all:of-them9"}`, `[map[insert:` + "\n" + `]]`, 0},
		{"content", `{"content":[{"insert":"x","attributes":{"bold":true}},{"insert":"\n"}]}`, `[map[attributes:map[bold:true] insert:x] map[insert:` + "\n" + `]]`, 1},
		{"null for what may be left out", `{"id":null,"type":null,"content":null}`, `[map[insert:` + "\n" + `]]`, 0},
		{"content that is the newborn", `{"content":[{"insert":"\n"}]}`, `[map[insert:` + "\n" + `]]`, 0},
		{"content of a text", `{"type":"text","content":[{"insert":"a\r\nb"}]}`, "[map[insert:a\r\nb]]", 1},
	} {
		r, got := s.call("POST", "/v1/docs", good, c.body)
		if r.StatusCode != http.StatusCreated || got["v"] != c.v || fmt.Sprint(got["content"]) != c.content {
			t.Errorf("%s: %d %v", c.name, r.StatusCode, got)
			continue
		}
		id := got["id"].(string)
		if !protocol.ValidDoc(id) || r.Header.Get("Location") != "/v1/docs/"+id || r.Header.Get("ETag") != fmt.Sprintf("%q", fmt.Sprint(c.v)) {
			t.Errorf("%s: %v %v", c.name, got, r.Header)
		}
		var times []time.Time
		for _, name := range []string{"created", "updated"} {
			at, err := time.Parse(time.RFC3339Nano, got[name].(string))
			if err != nil || !strings.HasSuffix(got[name].(string), "Z") || time.Since(at) > time.Minute {
				t.Errorf("%s: %s is %v", c.name, name, got[name])
			}
			times = append(times, at)
		}
		if times[1].Before(times[0]) {
			t.Errorf("%s: altered at %v, and made later, at %v", c.name, times[1], times[0])
		}
		if _, read := s.call("GET", "/v1/docs/"+id, good, ""); fmt.Sprint(read) != fmt.Sprint(got) {
			t.Errorf("%s: it was made as %v and is read as %v", c.name, got, read)
		}
		_, history := s.call("GET", "/v1/docs/"+id+"/ops", good, "")
		ops := history["ops"].([]any)
		if len(ops) != int(c.v) {
			t.Fatalf("%s: the history is %v", c.name, history)
		}
		if c.v == 1 {
			if op := ops[0].(map[string]any); op["u"] != "ada" || op["seq"] != 1.0 || !protocol.ValidClient(op["c"].(string)) || op["v"] != 1.0 {
				t.Errorf("%s: the first operation is %v", c.name, op)
			}
		}
	}
	r, got := s.call("POST", "/v1/docs", good, `{"id":"an.id_with~all:of-them9"}`)
	asProblem(t, "an id that exists", r, got, http.StatusConflict, "exists")
	s.call("DELETE", "/v1/docs/an.id_with~all:of-them9", token(t, "boss", time.Hour, "*=manage"), "")
	r, got = s.call("POST", "/v1/docs", good, `{"id":"an.id_with~all:of-them9"}`)
	asProblem(t, "an id that was used", r, got, http.StatusGone, "deleted")
	r, got = s.call("POST", "/v1/docs", token(t, "eve", time.Hour, "*=comment"), `{"id":"other"}`)
	asProblem(t, "one who may not write", r, got, http.StatusForbidden, "forbidden")
	for _, c := range []struct {
		body, code string
		status     int
	}{
		{`{"id":"-x"}`, "bad_message", 400},
		{`{"id":3}`, "bad_message", 400},
		{`{"type":"poem"}`, "bad_message", 400},
		{`[]`, "bad_message", 400},
		{`null`, "bad_message", 400},
		{`{"id":`, "bad_message", 400},
		{`{"id":"one","id":"two"}`, "bad_message", 400},
		{`{} {}`, "bad_message", 400},
		{`{"content":[{"insert":"x","insert":"\n"}]}`, "bad_op", 422},
		{`{"content":[{"insert":"x","attributes":{"link":"` + strings.Repeat("x", 5000) + `"}},{"insert":"\n"}]}`, "too_large", 413},
		{`{"content":[{"insert":{"image":"` + strings.Repeat("x", 5000) + `"}},{"insert":"\n"}]}`, "too_large", 413},
		{`{"content":"x"}`, "bad_op", 422},
		{`{"content":[{"insert":"no newline"}]}`, "bad_op", 422},
		{`{"content":[{"retain":1},{"insert":"\n"}]}`, "bad_op", 422},
		{`{"content":[{"insert":"\ud83d\n"}]}`, "bad_op", 422},
		{`{"content":[{"insert":"a\r\n"}]}`, "bad_op", 422},
		{`{"type":"text","content":[{"insert":"a","attributes":{"bold":true}}]}`, "bad_op", 422},
	} {
		r, got := s.call("POST", "/v1/docs", good, c.body)
		asProblem(t, c.body, r, got, c.status, c.code)
	}
}

func TestReading(t *testing.T) {
	s := startServer(t, nil)
	good := token(t, "ada", time.Hour, "*=write")
	reader := token(t, "eve", time.Hour, "*=read")
	doc := s.create("rich", `[{"insert":"abc"},{"insert":{"image":"x"}},{"insert":"\n"}]`)
	client := newClient()
	for seq, d := range []string{`[{"insert":"é","attributes":{"bold":true}}]`, `[{"delete":1}]`} {
		if r, got := s.call("POST", "/v1/docs/"+doc+"/ops", good, fmt.Sprintf(`{"client":%q,"seq":%d,"d":%s}`, client, seq+1, d)); r.StatusCode != http.StatusOK {
			t.Fatal(got)
		}
	}
	embed := "map[insert:map[image:x]] map[insert:\n]]"
	for _, c := range []struct {
		query string
		v     float64
		want  string
	}{
		{"", 3, "[map[insert:abc] " + embed},
		{"?format=delta", 3, "[map[insert:abc] " + embed},
		{"?v=3", 3, "[map[insert:abc] " + embed},
		{"?v=2", 2, "[map[attributes:map[bold:true] insert:é] map[insert:abc] " + embed},
		{"?v=1&format=delta", 1, "[map[insert:abc] " + embed},
		{"?v=0", 0, "[map[insert:\n]]"},
		{"?format=text", 3, "abc\n"},
		{"?format=text&v=2", 2, "éabc\n"},
		{"?format=text&v=0", 0, "\n"},
	} {
		r, got := s.call("GET", "/v1/docs/"+doc+c.query, reader, "")
		is := fmt.Sprint(got["content"])
		typ := "application/json"
		if strings.Contains(c.query, "format=text") {
			is, typ = fmt.Sprint(got["text"]), "text/plain; charset=utf-8"
		} else if got["id"] != doc || got["type"] != "rich" || got["v"] != c.v {
			t.Errorf("%s: %v", c.query, got)
		}
		if r.StatusCode != http.StatusOK || is != c.want || r.Header.Get("ETag") != fmt.Sprintf("%q", fmt.Sprint(c.v)) || r.Header.Get("Content-Type") != typ {
			t.Errorf("%s: %d %v %q", c.query, r.StatusCode, r.Header, is)
		}
		request, _ := http.NewRequest(http.MethodGet, s.URL+"/v1/docs/"+doc+c.query, nil)
		request.Header.Set("Authorization", "Bearer "+reader)
		request.Header.Set("If-None-Match", `"nothing", `+r.Header.Get("ETag"))
		if again, body := s.do(request); again.StatusCode != http.StatusNotModified || body["text"] != "" {
			t.Errorf("%s: asked again with its ETag it is answered with %d %v", c.query, again.StatusCode, body)
		}
	}
	for query, want := range map[string]struct {
		status int
		code   string
	}{
		"?v=4": {409, "bad_version"}, "?v=-1": {400, "bad_message"}, "?v=x": {400, "bad_message"}, "?v=1.0": {400, "bad_message"}, "?format=pdf": {400, "bad_message"},
	} {
		r, got := s.call("GET", "/v1/docs/"+doc+query, reader, "")
		asProblem(t, query, r, got, want.status, want.code)
	}
	for _, query := range []string{"", "?v=0"} {
		r, got := s.call("GET", "/v1/docs/nowhere"+query, reader, "")
		asProblem(t, "what is not there"+query, r, got, 404, "not_found")
		r, got = s.call("GET", "/v1/docs/"+doc+query, token(t, "eve", time.Hour, "other=write"), "")
		asProblem(t, "a token for something else"+query, r, got, 403, "forbidden")
	}
}

func TestPostingAnOperation(t *testing.T) {
	s := startServer(t, func(c *config) { c.messageLimit, c.documentLimit = 1000, 100 })
	good := token(t, "ada", time.Hour, "*=write")
	doc := s.create("rich", `[{"insert":"abc\n"}]`)
	ws, _ := s.open(doc, token(t, "bob", time.Hour, "*=read"), newClient())
	client := newClient()
	post := func(body string) (*http.Response, map[string]any) {
		t.Helper()
		return s.call("POST", "/v1/docs/"+doc+"/ops", good, body)
	}
	first := `{"client":"` + client + `","seq":1,"v":1,"d":[{"insert":"1"}]}`
	for range 3 { // it takes effect once, and the answer is the same
		if r, got := post(first); r.StatusCode != http.StatusOK || fmt.Sprint(got) != "map[v:2]" {
			t.Errorf("%d %v", r.StatusCode, got)
		}
	}
	if op := ws.await("ops")["ops"].([]any)[0].(map[string]any); op["c"] != client || op["u"] != "ada" || op["seq"] != 1.0 {
		t.Errorf("others receive %v", op)
	}
	// An older version is transformed, as a participant's is; without one it is against the newest.
	if r, got := post(`{"client":"` + client + `","seq":2,"v":1,"d":[{"retain":3},{"insert":"2"}]}`); r.StatusCode != http.StatusOK || got["v"] != 3.0 {
		t.Errorf("%d %v", r.StatusCode, got)
	}
	if r, got := post(`{"client":"` + client + `","seq":3,"d":[{"retain":5},{"insert":"3"}]}`); r.StatusCode != http.StatusOK || got["v"] != 4.0 {
		t.Errorf("%d %v", r.StatusCode, got)
	}
	if _, got := s.call("GET", "/v1/docs/"+doc+"?format=text", good, ""); got["text"] != "1abc23\n" {
		t.Errorf("the text is %q", got["text"])
	}
	// Sent again after others: still the version that it made.
	if r, got := post(first); r.StatusCode != http.StatusOK || got["v"] != 2.0 {
		t.Errorf("%d %v", r.StatusCode, got)
	}
	other := newClient()
	for name, c := range map[string]struct {
		token, body, code string
		status            int
	}{
		"a seq that skips ahead":          {good, `{"client":"` + other + `","seq":2,"d":[]}`, "bad_seq", 409},
		"a seq of 0":                      {good, `{"client":"` + other + `","seq":0,"d":[]}`, "bad_seq", 409},
		"a version that is not reached":   {good, `{"client":"` + other + `","seq":1,"v":99,"d":[]}`, "bad_version", 409},
		"another user's client":           {token(t, "eve", time.Hour, "*=write"), `{"client":"` + client + `","seq":4,"d":[]}`, "client_taken", 409},
		"a delta that is not taken":       {good, `{"client":"` + other + `","seq":1,"d":[{"retain":0}]}`, "bad_op", 422},
		"a reader":                        {token(t, "eve", time.Hour, "*=read"), `{"client":"` + other + `","seq":1,"d":[]}`, "forbidden", 403},
		"one who may comment":             {token(t, "eve", time.Hour, "*=comment"), `{"client":"` + other + `","seq":1,"d":[]}`, "forbidden", 403},
		"no token":                        {"", `{"client":"` + other + `","seq":1,"d":[]}`, "bad_token", 401},
		"an expired token":                {token(t, "ada", -time.Minute, "*=write"), `{"client":"` + other + `","seq":1,"d":[]}`, "bad_token", 401},
		"more than the document may have": {good, `{"client":"` + other + `","seq":1,"d":[{"insert":"` + strings.Repeat("x", 101) + `"}]}`, "too_large", 413},
		"more than a message may have":    {good, `{"client":"` + other + `","seq":1,"d":[{"insert":"` + strings.Repeat("x", 6000) + `"}]}`, "too_large", 413},
		"no client":                       {good, `{"seq":1,"d":[]}`, "bad_message", 400},
		"no delta":                        {good, `{"client":"` + other + `","seq":1}`, "bad_message", 400},
		"no JSON":                         {good, `seq=1`, "bad_message", 400},
	} {
		r, got := s.call("POST", "/v1/docs/"+doc+"/ops", c.token, c.body)
		asProblem(t, name, r, got, c.status, c.code)
	}
	request, _ := http.NewRequest(http.MethodPost, s.URL+"/v1/docs/"+doc+"/ops", strings.NewReader(first))
	request.Header.Set("Authorization", "Bearer "+good)
	r, got := s.do(request)
	asProblem(t, "a body that does not say that it is JSON", r, got, 415, "bad_message")
	r, got = s.call("POST", "/v1/docs/nowhere/ops", good, first)
	asProblem(t, "a document that is not there", r, got, 404, "not_found")
	s.call("DELETE", "/v1/docs/"+doc, token(t, "boss", time.Hour, "*=manage"), "")
	r, got = post(first)
	asProblem(t, "a document that was deleted", r, got, 410, "deleted")
}

func TestTheHistoryComesInPages(t *testing.T) {
	s := startServer(t, nil)
	good := token(t, "ada", time.Hour, "*=write")
	doc, client := s.create("text", `[]`), newClient()
	const all = 7
	for seq := 1; seq <= all; seq++ {
		if r, got := s.call("POST", "/v1/docs/"+doc+"/ops", good, fmt.Sprintf(`{"client":%q,"seq":%d,"d":[{"insert":"%d"}]}`, client, seq, seq)); r.StatusCode != http.StatusOK {
			t.Fatal(got)
		}
	}
	from, seen := 0.0, 0
	for page := 0; ; page++ {
		r, got := s.call("GET", fmt.Sprintf("/v1/docs/%s/ops?from=%v&limit=3", doc, from), token(t, "eve", time.Hour, "*=read"), "")
		if r.StatusCode != http.StatusOK {
			t.Fatal(got)
		}
		ops := got["ops"].([]any)
		for _, o := range ops {
			seen++
			op := o.(map[string]any)
			at, err := time.Parse(time.RFC3339Nano, op["at"].(string))
			if op["v"] != float64(seen) || op["seq"] != float64(seen) || op["c"] != client || op["u"] != "ada" || err != nil || time.Since(at) > time.Minute ||
				fmt.Sprint(op["d"]) != fmt.Sprintf("[map[insert:%d]]", seen) {
				t.Errorf("operation %d is %v", seen, op)
			}
		}
		next, more := got["next"]
		if !more {
			if seen != all || page != 2 {
				t.Errorf("%d operations on %d pages", seen, page+1)
			}
			break
		}
		from = next.(float64)
	}
	for query, want := range map[string]int{"?from=" + fmt.Sprint(all): 0, "?from=100": 0, "": all} {
		if _, got := s.call("GET", "/v1/docs/"+doc+"/ops"+query, good, ""); len(got["ops"].([]any)) != want || got["next"] != nil {
			t.Errorf("%s: %v", query, got)
		}
	}
	for _, query := range []string{"?from=-1", "?from=x", "?limit=0", "?limit=1001"} {
		r, got := s.call("GET", "/v1/docs/"+doc+"/ops"+query, good, "")
		asProblem(t, query, r, got, 400, "bad_message")
	}
	r, got := s.call("GET", "/v1/docs/nowhere/ops", good, "")
	asProblem(t, "what is not there", r, got, 404, "not_found")
	r, got = s.call("GET", "/v1/docs/"+doc+"/ops", token(t, "eve", time.Hour, "other=write"), "")
	asProblem(t, "a token for something else", r, got, 403, "forbidden")
}

func TestDeleting(t *testing.T) {
	s := startServer(t, nil)
	boss := token(t, "boss", time.Hour, "*=manage")
	writer := token(t, "ada", time.Hour, "*=write")
	kept, purged := s.create("text", `[{"insert":"x"}]`), s.create("text", `[{"insert":"x"}]`)
	r, got := s.call("DELETE", "/v1/docs/"+kept, writer, "")
	asProblem(t, "one who may not manage", r, got, 403, "forbidden")
	r, got = s.call("DELETE", "/v1/docs/nowhere", boss, "")
	asProblem(t, "what is not there", r, got, 404, "not_found")
	r, got = s.call("DELETE", "/v1/docs/"+kept+"?purge=perhaps", boss, "")
	asProblem(t, "purge=perhaps", r, got, 400, "bad_message")
	for _, path := range []string{kept, purged + "?purge=true"} {
		if r, got := s.call("DELETE", "/v1/docs/"+path, boss, ""); r.StatusCode != http.StatusNoContent {
			t.Fatal(got)
		}
		doc, _, _ := strings.Cut(path, "?")
		for _, call := range []string{"GET /v1/docs/" + doc, "GET /v1/docs/" + doc + "?v=0", "GET /v1/docs/" + doc + "/ops", "DELETE /v1/docs/" + doc} {
			method, path, _ := strings.Cut(call, " ")
			r, got := s.call(method, path, boss, "")
			asProblem(t, call, r, got, 410, "deleted")
		}
	}
	if r, got := s.call("DELETE", "/v1/docs/"+kept+"?purge=true", boss, ""); r.StatusCode != http.StatusNoContent {
		t.Errorf("purging what was deleted: %d %v", r.StatusCode, got)
	}
}

func TestListing(t *testing.T) {
	s := startServer(t, nil)
	writer := token(t, "ada", time.Hour, "*=manage")
	claims := jwt.Claims{User: "root", Expires: time.Now().Add(time.Hour), Admin: true}
	admin, err := jwt.Sign(testSecret, claims)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a-1", "a-2", "a-3", "b-1"} {
		if r, got := s.call("POST", "/v1/docs", writer, `{"id":"`+id+`"}`); r.StatusCode != http.StatusCreated {
			t.Fatal(got)
		}
	}
	ids := func(query string) (out []string, next any) {
		t.Helper()
		r, got := s.call("GET", "/v1/docs"+query, admin, "")
		if r.StatusCode != http.StatusOK {
			t.Fatal(got)
		}
		for _, d := range got["docs"].([]any) {
			d := d.(map[string]any)
			if d["type"] != "rich" || d["v"] != 0.0 || d["created"] == nil || d["updated"] == nil {
				t.Errorf("%v", d)
			}
			out = append(out, d["id"].(string))
		}
		return out, got["next"]
	}
	for query, want := range map[string]string{
		"": "[a-1 a-2 a-3 b-1] <nil>", "?prefix=a-": "[a-1 a-2 a-3] <nil>", "?prefix=a-&limit=2": "[a-1 a-2] a-2", "?prefix=a-&limit=2&after=a-2": "[a-3] <nil>", "?after=b": "[b-1] <nil>", "?prefix=c": "[] <nil>",
	} {
		if out, next := ids(query); fmt.Sprintf("%v %v", out, next) != want {
			t.Errorf("%s: %v %v", query, out, next)
		}
	}
	r, got := s.call("GET", "/v1/docs", writer, "")
	asProblem(t, "one who is no admin", r, got, 403, "forbidden")
}

func TestHealthAndReadiness(t *testing.T) {
	s := startServer(t, nil)
	for path, want := range map[string]string{"/healthz": "alive", "/readyz": "ready"} {
		if r, got := s.call("GET", path, "", ""); r.StatusCode != http.StatusOK || got["status"] != want {
			t.Errorf("%s: %d %v", path, r.StatusCode, got)
		}
	}
}

// The answer to a read is a document byte for byte in normal form, whatever HTML would do with it.
func TestContentIsToldByteForByte(t *testing.T) {
	s := startServer(t, nil)
	good := token(t, "ada", time.Hour, "*=write")
	doc := s.create("rich", `[{"insert":"<b>&\u2028","attributes":{"b":1.0,"a":{"z":1,"y":[1e2]}}},{"insert":"\n"}]`)
	request, _ := http.NewRequest(http.MethodGet, s.URL+"/v1/docs/"+doc, nil)
	request.Header.Set("Authorization", "Bearer "+good)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var got struct{ Content json.RawMessage }
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if want := "[{\"insert\":\"<b>&\u2028\",\"attributes\":{\"a\":{\"y\":[100],\"z\":1},\"b\":1}},{\"insert\":\"\\n\"}]"; string(got.Content) != want {
		t.Errorf("%s\nis told as\n%s", want, got.Content)
	}
}
