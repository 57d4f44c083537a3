package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// A suite that tests WebSocket servers finds an echo at any address; pages and API stay as they are.
func TestAnEchoAnswersAtEveryAddress(t *testing.T) {
	s := startServer(t, func(c *config) { c.dev, c.echoTest = "true", true })
	for _, path := range []string{"/", "/echo-test", "/v1/docs/one/ws?case=1"} {
		socket, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.URL, "http")+path, nil)
		if err != nil {
			t.Fatalf("%s: %v %v", path, err, response)
		}
		for kind, text := range map[int]string{websocket.TextMessage: "é", websocket.BinaryMessage: "\xff"} {
			if err := socket.WriteMessage(kind, []byte(text)); err != nil {
				t.Fatal(err)
			}
			if got, data, err := socket.ReadMessage(); got != kind || string(data) != text || err != nil {
				t.Errorf("%s: %d %q %v", path, got, data, err)
			}
		}
		socket.Close()
	}
	if r, err := http.Get(s.URL + "/healthz"); err != nil || r.StatusCode != http.StatusOK {
		t.Errorf("%v %v", r, err)
	}
	plain := startServer(t, nil)
	if _, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(plain.URL, "http")+"/echo-test", nil); err == nil || response.StatusCode == http.StatusSwitchingProtocols {
		t.Error("there is an echo without being asked for")
	}
}
