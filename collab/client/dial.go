package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/weft-collab/weft/collab/protocol"
)

// Refused is a handshake that was answered with an HTTP status instead of an upgrade.
type Refused struct {
	Status int
	Code   protocol.Code
	Detail string
	Retry  time.Duration // when to come again, where the server says so
}

func (e *Refused) Error() string {
	return fmt.Sprintf("the server answers %d %s: %s", e.Status, http.StatusText(e.Status), e.Detail)
}

// Closed is how the server ended a connection.
type Closed struct {
	Close int           // WebSocket close code
	Code  protocol.Code // of the error or bye before it, "" for none
	Msg   string
	Retry time.Duration
}

func (e *Closed) Error() string {
	return fmt.Sprintf("the server closed with %d %s: %s", e.Close, e.Code, e.Msg)
}

// Conn is one WebSocket to a server: messages of the protocol, nothing more. One
// goroutine may send while another receives.
type Conn struct {
	ws   *websocket.Conn
	Node string // that serves it, by its own word
	last Closed // what an error or bye said
}

// Dial connects to a document at a server, http://host:port. A refusal is a *Refused.
func Dial(ctx context.Context, server, doc, token string) (*Conn, error) {
	u, err := url.Parse(server)
	if err != nil {
		return nil, err
	}
	switch u.Scheme {
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	default:
		return nil, fmt.Errorf("%q is no address of a server; http://host:port is one", server)
	}
	dialer := websocket.Dialer{Proxy: http.ProxyFromEnvironment, HandshakeTimeout: 15 * time.Second, Subprotocols: []string{"weft.v1"}}
	ws, response, err := dialer.DialContext(ctx, u.JoinPath("v1", "docs", doc, "ws").String(), http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		if response != nil {
			return nil, refused(response)
		}
		return nil, err
	}
	return &Conn{ws: ws, Node: response.Header.Get("Weft-Node")}, nil
}

func refused(response *http.Response) error {
	defer response.Body.Close()
	e := &Refused{Status: response.StatusCode}
	var problem struct {
		Detail string
		Code   protocol.Code
	}
	if data, err := io.ReadAll(io.LimitReader(response.Body, 64<<10)); err == nil && json.Unmarshal(data, &problem) == nil {
		e.Detail, e.Code = problem.Detail, problem.Code
	}
	if s, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
		e.Retry = time.Duration(s) * time.Second
	}
	return e
}

// SendRaw sends a text frame as it is.
func (c *Conn) SendRaw(frame []byte) error {
	_ = c.ws.SetWriteDeadline(time.Now().Add(10 * time.Second))
	return c.ws.WriteMessage(websocket.TextMessage, frame)
}

// Receive returns the next message that it knows. Without any for silence it fails. The end of the connection is a *Closed.
func (c *Conn) Receive(silence time.Duration) (protocol.ServerMessage, error) {
	for {
		_ = c.ws.SetReadDeadline(time.Now().Add(silence))
		_, frame, err := c.ws.ReadMessage()
		if err != nil {
			return nil, c.closed(err)
		}
		m, err := protocol.DecodeServer(frame)
		if err != nil {
			return nil, err
		}
		c.last = Closed{} // what the connection outlived did not end it
		switch m := m.(type) {
		case nil:
			continue // an extension
		case *protocol.ErrorMessage:
			c.said(m.Error)
		case *protocol.Bye:
			c.said(m.Error)
		}
		return m, nil
	}
}

func (c *Conn) said(e protocol.Error) {
	c.last = Closed{Code: e.Code, Msg: e.Msg, Retry: time.Duration(e.RetryMS) * time.Millisecond}
}

func (c *Conn) closed(err error) error {
	var ce *websocket.CloseError
	if !errors.As(err, &ce) {
		return err
	}
	e := c.last
	if e.Close = ce.Code; e.Msg == "" {
		e.Msg = ce.Text
	}
	return &e
}

// Close says goodbye and ends the connection.
func (c *Conn) Close() error {
	_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
	return c.ws.Close()
}

// server without a slash at its end.
func trim(server string) string { return strings.TrimSuffix(server, "/") }
