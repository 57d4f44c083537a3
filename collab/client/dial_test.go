package client

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// An error after which something else came says nothing of how the connection ended.
func TestAnErrorThatTheConnectionOutlivedIsNotItsEnd(t *testing.T) {
	const limited = `{"t":"error","code":"rate_limited","msg":"slower","retry_ms":7000}`
	for name, c := range map[string]struct {
		frames []string
		code   string
		retry  time.Duration
	}{
		"the last word":            {[]string{limited}, "rate_limited", 7 * time.Second},
		"not the last word":        {[]string{limited, `{"t":"pong"}`}, "", 0},
		"so is an extension":       {[]string{limited, `{"t":"of a later version"}`}, "", 0},
		"the last of several ones": {[]string{limited, `{"t":"bye","code":"draining","msg":"","retry_ms":100}`}, "draining", 100 * time.Millisecond},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ws, err := (&websocket.Upgrader{Subprotocols: []string{"weft.v1"}}).Upgrade(w, r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer ws.Close()
			for _, f := range c.frames {
				_ = ws.WriteMessage(websocket.TextMessage, []byte(f))
			}
			_ = ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1012, ""), time.Now().Add(time.Minute))
		}))
		defer server.Close()
		conn, err := Dial(t.Context(), server.URL, "doc", "token")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for err == nil {
			_, err = conn.Receive(time.Minute)
		}
		var closed *Closed
		if !errors.As(err, &closed) || closed.Close != 1012 || string(closed.Code) != c.code || closed.Retry != c.retry {
			t.Errorf("%s: %v, and to come again after %v", name, err, closed.Retry)
		}
	}
}
