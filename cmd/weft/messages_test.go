package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

const hello = `{"t":"hello","client":"%s"}`

func TestMessages(t *testing.T) {
	s := startServer(t, func(c *config) { c.messageLimit = 5000 })
	doc := s.create("rich", `[{"insert":"abc\n"}]`)
	writer := token(t, "ada", time.Hour, "*=write")
	used := newClient()
	ws, welcome := s.open(doc, writer, used)
	ws.send(`{"t":"op","v":1,"seq":1,"d":[{"insert":"x"}]}`)
	ws.await("ops")
	ws.Close()
	if welcome["v"] != 1.0 || welcome["type"] != "rich" || welcome["role"] != "write" || welcome["seq"] != 0.0 || fmt.Sprint(welcome["doc"]) != `[map[insert:abc
]]` || welcome["limits"].(map[string]any)["message"] != 5000.0 || welcome["user"].(map[string]any)["name"] != "ADA" || welcome["last"] == nil || welcome["features"] == nil || welcome["peers"] == nil || welcome["expires_in_ms"].(float64) <= 0 {
		t.Errorf("welcome is %v", welcome)
	}
	cases := []struct {
		name      string
		token     string
		before    []string // hello, where it is not the subject
		frame     string
		code      string
		closeCode int // 0: the session goes on
	}{
		{"not JSON", writer, nil, `hello`, "bad_message", 4400},
		{"half an object", writer, nil, `{"t":"hello"`, "bad_message", 4400},
		{"an array", writer, nil, `[]`, "bad_message", 4400},
		{"two objects", writer, nil, `{"t":"ping"}{"t":"ping"}`, "bad_message", 4400},
		{"no type", writer, nil, `{}`, "bad_message", 4400},
		{"an unknown type", writer, []string{hello}, `{"t":"dance"}`, "bad_message", 4400},
		{"a type in another case", writer, []string{hello}, `{"t":"Ping"}`, "bad_message", 4400},
		{"a name in another case", writer, []string{hello}, `{"T":"ping"}`, "bad_message", 4400},
		{"a name twice", writer, []string{hello}, `{"t":"ping","t":"ping"}`, "bad_message", 4400},
		{"an operation before hello", writer, nil, `{"t":"op","v":0,"seq":1,"d":[]}`, "bad_message", 4400},
		{"a ping before hello", writer, nil, `{"t":"ping"}`, "bad_message", 4400},
		{"a short client id", writer, nil, `{"t":"hello","client":"short"}`, "bad_message", 4400},
		{"a client id out of form", writer, nil, `{"t":"hello","client":"client of the tests"}`, "bad_message", 4400},
		{"a client that is a number", writer, nil, `{"t":"hello","client":12345678901234567890}`, "bad_message", 4400},
		{"a v that is text", writer, nil, `{"t":"hello","client":"client-of-the-tests","v":"1"}`, "bad_message", 4400},
		{"a v with a fraction", writer, nil, `{"t":"hello","client":"client-of-the-tests","v":1.5}`, "bad_message", 4400},
		{"a v below 0", writer, nil, `{"t":"hello","client":"client-of-the-tests","v":-1}`, "bad_message", 4400},
		{"a last that is no pair", writer, nil, `{"t":"hello","client":"client-of-the-tests","v":1,"last":["x"]}`, "bad_message", 4400},
		{"an unknown document type", writer, nil, `{"t":"hello","client":"client-of-the-tests","type":"poem"}`, "bad_message", 4400},
		{"a second hello", writer, []string{hello}, hello, "bad_message", 4400},
		{"a seq that is text", writer, []string{hello}, `{"t":"op","v":2,"seq":"1","d":[]}`, "bad_message", 4400},
		{"an operation without a delta", writer, []string{hello}, `{"t":"op","v":2,"seq":1}`, "bad_message", 4400},
		{"a cursor that is a number", writer, []string{hello}, `{"t":"presence","v":2,"cursor":3}`, "bad_message", 4400},
		{"a cursor before the beginning", writer, []string{hello}, `{"t":"presence","v":2,"cursor":{"index":-1,"length":0}}`, "bad_message", 4400},
		{"a v that falls", writer, []string{hello, `{"t":"op","v":2,"seq":1,"d":[]}`}, `{"t":"op","v":1,"seq":2,"d":[]}`, "bad_message", 4400},
		{"a seq of 0", writer, []string{hello}, `{"t":"op","v":2,"seq":0,"d":[]}`, "bad_seq", 4400},
		{"a seq below 0", writer, []string{hello}, `{"t":"op","v":2,"seq":-1,"d":[]}`, "bad_seq", 4400},
		{"a seq that skips ahead", writer, []string{hello}, `{"t":"op","v":2,"seq":2,"d":[]}`, "bad_seq", 4400},
		{"a version that the store has not reached", writer, []string{hello}, `{"t":"op","v":99,"seq":1,"d":[]}`, "bad_version", 4409},
		{"a hello from a version that is not reached", writer, nil, `{"t":"hello","client":"client-of-the-tests","v":99,"last":["client-of-the-tests",99]}`, "bad_version", 4409},
		{"a hello from another lineage", writer, nil, `{"t":"hello","client":"client-of-the-tests","v":2,"last":["client-of-the-tests",1]}`, "bad_version", 4409},
		{"a client of another user", token(t, "eve", time.Hour, "*=write"), nil, `{"t":"hello","client":"` + used + `"}`, "client_taken", 4409},
		{"an edit by a reader", token(t, "eve", time.Hour, "*=read"), []string{hello}, `{"t":"op","v":2,"seq":1,"d":[{"insert":"x"}]}`, "forbidden", 0},
		{"an edit by one who may comment", token(t, "eve", time.Hour, "*=comment"), []string{hello}, `{"t":"op","v":2,"seq":1,"d":[{"insert":"x"}]}`, "forbidden", 0},
		{"a token that is not good", writer, []string{hello}, `{"t":"token","token":"nonsense"}`, "bad_token", 0},
		{"a token of another user", writer, []string{hello}, `{"t":"token","token":"` + token(t, "eve", time.Hour, "*=write") + `"}`, "bad_token", 0},
		{"a token that grants nothing any more", writer, []string{hello}, `{"t":"token","token":"` + token(t, "ada", time.Hour, "other=write") + `"}`, "forbidden", 4403},
		{"a presence state that is too large", writer, []string{hello}, `{"t":"presence","v":2,"cursor":null,"state":{"x":"` + strings.Repeat("x", 2100) + `"}}`, "too_large", 0},
		{"attributes that are too large", writer, []string{hello}, `{"t":"op","v":2,"seq":1,"d":[{"insert":"x","attributes":{"x":"` + strings.Repeat("x", 4200) + `"}}]}`, "too_large", 0},
		{"a message that is too large", writer, []string{hello}, `{"t":"op","v":2,"seq":1,"d":[{"insert":"` + strings.Repeat("x", 6000) + `"}]}`, "", 1009},
		{"a message that is far too large", writer, []string{hello}, `{"t":"op","v":2,"seq":1,"d":[{"insert":"` + strings.Repeat("x", 3000000) + `"}]}`, "", 1009},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			ws := s.dial(doc, c.token)
			fill := func(frame string) string {
				if strings.Contains(frame, "%s") {
					return fmt.Sprintf(frame, newClient())
				}
				return frame
			}
			for _, f := range c.before {
				ws.send(fill(f))
				if strings.Contains(f, "hello") {
					ws.await("welcome")
				}
			}
			if c.closeCode == 1009 { // it may be closed while it is being written
				_ = ws.WriteMessage(websocket.TextMessage, []byte(c.frame))
			} else {
				ws.send(fill(c.frame))
			}
			if c.closeCode != 0 {
				ws.awaitClose(c.code, c.closeCode)
				return
			}
			if m := ws.await("error"); m["code"] != c.code {
				t.Errorf("the error is %v", m)
			}
			ws.send(`{"t":"ping"}`)
			ws.await("pong")
		})
	}
	s.t = t
	if _, got := s.call("GET", "/v1/docs/"+doc, writer, ""); strings.Contains(fmt.Sprint(got["content"]), "xx") {
		t.Errorf("something of it was taken: %v", got)
	}
}

func TestFramesThatAreNotText(t *testing.T) {
	s := startServer(t, nil)
	good := token(t, "ada", time.Hour, "*=write")
	ws, _ := s.open("doc", good, newClient())
	if err := ws.WriteMessage(websocket.BinaryMessage, []byte(`{"t":"ping"}`)); err != nil {
		t.Fatal(err)
	}
	ws.awaitClose("", 1003)
	for _, bad := range []string{"\xff", `{"t":"ping","x":"` + "\xed\xa0\xbd" + `"}`, "\xc0\x80"} {
		ws, _ = s.open("doc", good, newClient())
		ws.send(bad)
		ws.awaitClose("", 1007)
	}
}

func TestUnknownFieldsAreIgnored(t *testing.T) {
	s := startServer(t, nil)
	ws := s.dial("doc", token(t, "ada", time.Hour, "*=write"))
	ws.send(`{"new":[1,{"a":null}],"t":"hello","client":"` + newClient() + `","more":true}`)
	ws.await("welcome")
	ws.send(`{"t":"op","v":0,"seq":1,"d":[{"insert":"x"}],"mood":"good"}`)
	ws.await("ops")
	ws.send(`{"t":"ping","v":"not a version"}`)
	ws.await("pong")
}

// What is not taken, line by line.
func TestDeltasThatAreNotTaken(t *testing.T) {
	s := startServer(t, nil)
	rich := s.create("rich", `[{"insert":"abc😀"},{"insert":{"image":"x"}},{"insert":"\n"}]`) // 7 units
	text := s.create("text", `[{"insert":"abc😀"}]`)                                          // 5 units
	good := token(t, "ada", time.Hour, "*=write")
	for _, c := range []struct{ doc, name, delta string }{
		{rich, "no array", `{"insert":"x"}`},
		{rich, "null", `null`},
		{rich, "a component that is no object", `["x"]`},
		{rich, "no action", `[{"attributes":{"bold":true}}]`},
		{rich, "an empty component", `[{}]`},
		{rich, "two actions", `[{"insert":"x","retain":1}]`},
		{rich, "an unknown key", `[{"insert":"x","mood":1}]`},
		{rich, "a key in another case", `[{"Insert":"x"}]`},
		{rich, "a key twice", `[{"insert":"x","insert":"x"}]`},
		{rich, "a length of 0", `[{"retain":0},{"insert":"x"}]`},
		{rich, "a length below 0", `[{"delete":-1}]`},
		{rich, "a fraction", `[{"retain":1.5},{"insert":"x"}]`},
		{rich, "a length that is text", `[{"retain":"1"},{"insert":"x"}]`},
		{rich, "a length beyond 2^53-1", `[{"retain":9007199254740992},{"insert":"x"}]`},
		{rich, "a length of true", `[{"delete":true}]`},
		{rich, "an empty insert", `[{"insert":""}]`},
		{rich, "an insert of null", `[{"insert":null}]`},
		{rich, "an insert of a number", `[{"insert":1}]`},
		{rich, "an empty embed", `[{"insert":{}}]`},
		{rich, "an embed of two keys", `[{"insert":{"image":"x","video":"y"}}]`},
		{rich, "a retain that is an object", `[{"retain":{"image":1}}]`},
		{rich, "empty attributes", `[{"retain":1,"attributes":{}}]`},
		{rich, "null attributes", `[{"insert":"x","attributes":null}]`},
		{rich, "attributes that are an array", `[{"insert":"x","attributes":[]}]`},
		{rich, "attributes on a delete", `[{"delete":1,"attributes":{"bold":true}}]`},
		{rich, "inserts that could be one", `[{"insert":"x"},{"insert":"y"}]`},
		{rich, "retains that could be one", `[{"retain":1},{"retain":1},{"insert":"x"}]`},
		{rich, "formatted inserts that could be one", `[{"insert":"x","attributes":{"a":{"b":1,"c":2}}},{"insert":"y","attributes":{"a":{"c":2,"b":1}}}]`},
		{rich, "deletes that could be one", `[{"delete":1},{"delete":1}]`},
		{rich, "an insert after a delete", `[{"delete":1},{"insert":"x"}]`},
		{rich, "an attribute called constructor", `[{"insert":"x","attributes":{"constructor":1}}]`},
		{rich, "an attribute called __proto__", `[{"insert":"x","attributes":{"__proto__":{"a":1}}}]`},
		{rich, "an escaped toString", `[{"insert":"x","attributes":{"toStrin\u0067":1}}]`},
		{rich, "a nested valueOf", `[{"insert":"x","attributes":{"a":{"b":[{"valueOf":1}]}}}]`},
		{rich, "an embed called hasOwnProperty", `[{"insert":{"hasOwnProperty":1}}]`},
		{rich, "a number that overflows", `[{"insert":"x","attributes":{"a":1e400}}]`},
		{rich, "an integer that a double does not hold", `[{"insert":"x","attributes":{"a":9007199254740993}}]`},
		{rich, "half a surrogate pair", `[{"insert":"\ud83d"}]`},
		{rich, "the other half", `[{"insert":"\ude00x"}]`},
		{rich, "halves the wrong way round", `[{"insert":"\ude00\ud83d"}]`},
		{rich, "half a pair in an attribute", `[{"insert":"x","attributes":{"a":"\ud83d"}}]`},
		{rich, "half a pair in a name", `[{"insert":"x","attributes":{"\ud83d":1}}]`},
		{rich, "half a pair in an embed", `[{"insert":{"image":"\ud83d"}}]`},
		{rich, "a boundary inside a pair", `[{"retain":4},{"insert":"x"}]`},
		{rich, "a delete of half a pair", `[{"retain":3},{"delete":1}]`},
		{rich, "a format of half a pair", `[{"retain":4,"attributes":{"bold":true}}]`},
		{rich, "a carriage return", `[{"insert":"x\r\n"}]`},
		{rich, "the removal of the last newline", `[{"retain":6},{"delete":1}]`},
		{rich, "the removal of all", `[{"delete":7}]`},
		{rich, "the last newline replaced", `[{"retain":6},{"insert":"\n"},{"delete":1}]`},
		{rich, "something after the last newline", `[{"retain":7},{"insert":"x"}]`},
		{rich, "an embed after the last newline", `[{"retain":7},{"insert":{"image":"x"}}]`},
		{rich, "more than there is", `[{"retain":8}]`},
		{rich, "a delete beyond the end", `[{"retain":3},{"delete":100}]`},
		{text, "attributes in a text", `[{"insert":"x","attributes":{"bold":true}}]`},
		{text, "a format in a text", `[{"retain":1,"attributes":{"bold":true}}]`},
		{text, "a null attribute in a text", `[{"retain":1,"attributes":{"bold":null}}]`},
		{text, "an embed in a text", `[{"insert":{"image":"x"}}]`},
		{text, "an insert beyond the end of a text", `[{"retain":6},{"insert":"x"}]`},
		{text, "a boundary inside a pair in a text", `[{"retain":4},{"delete":1}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			ws, _ := s.open(c.doc, good, newClient())
			ws.send(`{"t":"op","v":1,"seq":1,"d":` + c.delta + `}`)
			ws.awaitClose("bad_op", 4400)
			r, problem := s.call("POST", "/v1/docs/"+c.doc+"/ops", good, `{"client":"`+newClient()+`","seq":1,"d":`+c.delta+`}`)
			if r.StatusCode != http.StatusUnprocessableEntity || problem["code"] != "bad_op" {
				t.Errorf("over HTTP it is answered with %d %v", r.StatusCode, problem)
			}
		})
	}
	s.t = t
	for _, doc := range []string{rich, text} {
		if _, got := s.call("GET", "/v1/docs/"+doc, good, ""); got["v"] != 1.0 {
			t.Errorf("something was taken: %v", got)
		}
	}
}

func TestDeltasThatAreTakenComeBackAsTheyWereSent(t *testing.T) {
	s := startServer(t, nil)
	good := token(t, "ada", time.Hour, "*=write")
	for _, c := range []struct{ typ, content, delta, after string }{
		{"rich", `[{"insert":"ab\n"}]`, `[]`, `[map[insert:ab
]]`},
		{"rich", `[{"insert":"\n"}]`, `[{"insert":"x","attributes":{"bold":null}}]`, `[map[insert:x
]]`},
		{"rich", `[{"insert":"a\n"}]`, `[{"retain":1,"attributes":{"bold":null}}]`, `[map[insert:a
]]`},
		{"rich", `[{"insert":"\n"}]`, `[{"retain":1,"attributes":{"header":1}}]`, `[map[attributes:map[header:1] insert:
]]`},
		{"rich", `[{"insert":"\n"}]`, `[{"insert":{"image":"x"}},{"insert":{"image":"x"}}]`, `[map[insert:map[image:x]] map[insert:map[image:x]] map[insert:
]]`},
		{"rich", `[{"insert":"a😀\n"}]`, `[{"retain":1},{"delete":2},{"retain":1}]`, `[map[insert:a
]]`},
		{"rich", `[{"insert":"\n"}]`, `[{"insert":"\u0000\u2028"}]`, "[map[insert:\x00\u2028\n]]"},
		{"text", `[{"insert":"a"}]`, `[{"insert":"b\r\n"},{"delete":1}]`, "[map[insert:b\r\n]]"},
		{"text", `[{"insert":"a"}]`, `[{"delete":1}]`, `[]`},
	} {
		doc := s.create(c.typ, c.content)
		ws, welcome := s.open(doc, good, newClient())
		v := int(welcome["v"].(float64))
		ws.send(fmt.Sprintf(`{"t":"op","v":%d,"seq":1,"d":%s}`, v, c.delta))
		ops := ws.await("ops")
		if op := ops["ops"].([]any)[0].(map[string]any); fmt.Sprint(op["d"]) != fmt.Sprint(decoded(c.delta)) || ops["v"] != float64(v) || op["u"] != "ada" || op["seq"] != 1.0 {
			t.Errorf("%s came back as %v", c.delta, ops)
		}
		if _, got := s.call("GET", "/v1/docs/"+doc, good, ""); fmt.Sprint(got["content"]) != c.after {
			t.Errorf("%s on %s gives %v", c.delta, c.content, got["content"])
		}
	}
}

func TestATokenThatRunsOutEndsTheSessionUnlessANewerOneCame(t *testing.T) {
	s := startServer(t, nil)
	short := func() string { return token(t, "ada", 2*time.Second, "*=write") }
	silent := s.dial("doc", short())
	ends, _ := s.open("doc", short(), newClient())
	goesOn, _ := s.open("doc", short(), newClient())
	goesOn.send(`{"t":"token","token":"` + token(t, "ada", time.Hour, "*=read") + `"}`)
	if m := goesOn.await("role"); m["role"] != "read" || m["expires_in_ms"].(float64) < 1e6 {
		t.Errorf("role is %v", m)
	}
	ends.awaitClose("token_expired", 4401)
	silent.awaitClose("token_expired", 4401) // though it has said no hello
	goesOn.send(`{"t":"op","v":0,"seq":1,"d":[{"insert":"x"}]}`)
	if m := goesOn.await("error"); m["code"] != "forbidden" || m["seq"] != 1.0 {
		t.Errorf("the error is %v", m)
	}
}

func TestAnotherSessionOfTheSameClientReplacesTheFirst(t *testing.T) {
	s := startServer(t, nil)
	good := token(t, "ada", time.Hour, "*=write")
	client := newClient()
	one, _ := s.open("doc", good, client)
	s.open("doc", good, client)
	one.awaitClose("replaced", 4409)
}

func TestDeletingEndsTheSessions(t *testing.T) {
	s := startServer(t, nil)
	ws, _ := s.open("doc", token(t, "ada", time.Hour, "*=write"), newClient())
	if r, m := s.call("DELETE", "/v1/docs/doc", token(t, "boss", time.Hour, "*=manage"), ""); r.StatusCode != http.StatusNoContent {
		t.Fatal(m)
	}
	ws.awaitClose("deleted", 4410)
}

func TestADocumentHasAtMostItsLimit(t *testing.T) {
	s := startServer(t, func(c *config) { c.documentLimit = 10 })
	ws, _ := s.open("doc", token(t, "ada", time.Hour, "*=write"), newClient())
	ws.send(`{"t":"op","v":0,"seq":1,"d":[{"insert":"1234567890"}]}`)
	if m := ws.await("error"); m["code"] != "too_large" || m["seq"] != 1.0 {
		t.Errorf("the error is %v", m)
	}
	ws.send(`{"t":"op","v":0,"seq":1,"d":[{"insert":"123456789"}]}`)
	ws.await("ops")
}

func TestAFloodIsToldWhenToGoOn(t *testing.T) {
	s := startServer(t, func(c *config) { c.opsPerS = 2 })
	ws, _ := s.open("doc", token(t, "ada", time.Hour, "*=write"), newClient())
	for seq := 1; ; seq++ {
		if seq == 1000 {
			t.Fatal("a thousand operations at two a second")
		}
		ws.send(fmt.Sprintf(`{"t":"op","v":%d,"seq":%d,"d":[]}`, seq-1, seq))
		_ = ws.SetReadDeadline(time.Now().Add(30 * time.Second))
		_, data, err := ws.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), `"rate_limited"`) {
			if !strings.Contains(string(data), `"retry_ms":`) {
				t.Errorf("it does not say when: %s", data)
			}
			return
		}
	}
}

func TestAnOperationHasAtMostItsComponents(t *testing.T) {
	s := startServer(t, func(c *config) { c.componentsLimit = 3 })
	good := token(t, "ada", time.Hour, "*=write")
	ws, welcome := s.open(s.create("text", `[{"insert":"abcdef"}]`), good, newClient())
	if limits := welcome["limits"].(map[string]any); limits["components"] != 3.0 {
		t.Errorf("welcome tells %v", limits)
	}
	ws.send(`{"t":"op","v":1,"seq":1,"d":[{"retain":1},{"insert":"x"},{"retain":1},{"insert":"y"}]}`)
	if e := ws.await("error"); e["code"] != "too_large" || e["seq"] != 1.0 {
		t.Errorf("it is answered with %v", e)
	}
	ws.send(`{"t":"op","v":1,"seq":1,"d":[{"retain":1},{"insert":"x"},{"delete":1}]}`)
	ws.await("ops")

	many := "[" + strings.Repeat(`{"insert":"x"},{"retain":1},`, 5000) + `{"insert":"x"}]`
	s = startServer(t, nil)
	ws, welcome = s.open(s.create("text", `[{"insert":"`+strings.Repeat("a", 5000)+`"}]`), good, newClient())
	if most := welcome["limits"].(map[string]any)["components"].(float64); most != 10_000 {
		t.Fatalf("the limit is %v", most)
	}
	ws.send(`{"t":"op","v":1,"seq":1,"d":` + many + `}`)
	if e := ws.await("error"); e["code"] != "too_large" || e["seq"] != 1.0 {
		t.Errorf("one more than the most that there can be is answered with %v", e)
	}
	ws.send(`{"t":"op","v":1,"seq":1,"d":[{"retain":1},{"insert":"x"}]}`)
	ws.await("ops")
}
