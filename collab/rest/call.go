package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/protocol"
)

// call is one authenticated request.
type call struct {
	w   http.ResponseWriter
	r   *http.Request
	id  collab.Identity
	doc string

	turns *turns
	held  int64 // bytes
}

// hold waits until there is room for so many bytes more.
func (c *call) hold(ctx context.Context, bytes int64) error {
	held, err := c.turns.hold(ctx, bytes)
	c.held += held
	return err
}

// needs gives back what the call holds beyond so many bytes.
func (c *call) needs(bytes int64) {
	if over := c.held - bytes; over > 0 {
		c.turns.bytes.Release(over)
		c.held = bytes
	}
}

// serve authenticates, calls f, and turns its error into a problem.
func (a *api) serve(w http.ResponseWriter, r *http.Request, f func(context.Context, *call) error) {
	c := &call{w: w, r: r, doc: r.PathValue("doc"), turns: a.turns}
	defer c.needs(0)
	err := a.inTurn(c, f)
	if err == nil {
		return
	}
	var p *problem
	var e *protocol.Error
	switch {
	case errors.As(err, &p):
		write(w, p.Problem, 0)
	case errors.As(err, &e):
		write(w, protocol.Problem{Status: e.Code.Status(), Code: e.Code, Detail: e.Msg}, e.RetryMS)
	default:
		a.Logger.Error("a call failed", "method", r.Method, "path", r.URL.Path, "error", err)
		write(w, protocol.Problem{Status: http.StatusInternalServerError, Detail: "the server failed at this; its log says more"}, 0)
	}
}

// inTurn calls f when it is the user's turn. The time that a call may take begins then.
func (a *api) inTurn(c *call, f func(context.Context, *call) error) error {
	if err := a.enter(c.r.Context(), c); err != nil {
		return err
	}
	leave, err := a.turns.enter(c.r.Context(), c.id.User)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(c.r.Context(), callTimeout)
	defer cancel()
	return f(ctx, c)
}

// enter checks the document's id and the token.
func (a *api) enter(ctx context.Context, c *call) error {
	if c.doc != "" && !protocol.ValidDoc(c.doc) {
		return bad("a document's id has 1 to 128 characters A-Z a-z 0-9 . _ ~ : -, the first a letter or digit")
	}
	token := protocol.Bearer(c.r.Header.Get("Authorization"))
	if token == "" {
		return &problem{protocol.Problem{Status: http.StatusUnauthorized, Code: protocol.BadToken, Detail: "no token; send Authorization: Bearer <token>"}}
	}
	var err error
	if c.id, err = a.Verifier.Verify(ctx, token); err != nil {
		return &problem{protocol.Problem{Status: http.StatusUnauthorized, Code: protocol.BadToken, Detail: err.Error()}}
	}
	if origin := c.r.Header.Get("Origin"); !protocol.OriginAllowed(a.Origins, origin, c.r.Host) {
		return &problem{protocol.Problem{Status: http.StatusForbidden, Code: protocol.Forbidden, Detail: "pages of the origin " + origin + " are not allowed here"}}
	}
	return nil
}

type problem struct{ protocol.Problem }

func (p *problem) Error() string { return p.Detail }

func bad(detail string) error {
	return &problem{protocol.Problem{Status: http.StatusBadRequest, Code: protocol.BadMessage, Detail: detail}}
}

// body reads a JSON body.
func (a *api) body(ctx context.Context, c *call, most int) ([]byte, error) {
	if typ, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || typ != "application/json" {
		return nil, &problem{protocol.Problem{Status: http.StatusUnsupportedMediaType, Code: protocol.BadMessage, Detail: "send JSON, with Content-Type: application/json"}}
	}
	size := c.r.ContentLength
	if size < 0 || size > int64(most+bodyOverhead) {
		size = int64(most + bodyOverhead)
	}
	if err := c.hold(ctx, size); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, int64(most+bodyOverhead)))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, &protocol.Error{Code: protocol.TooLarge, Msg: "a body has at most " + strconv.Itoa(most) + " bytes"}
	}
	if err != nil {
		return nil, bad("the body could not be read: " + err.Error())
	}
	return data, nil
}

func answer(c *call, status int, v any) error {
	var data bytes.Buffer
	encoder := json.NewEncoder(&data)
	encoder.SetEscapeHTML(false) // contents are told byte for byte
	if err := encoder.Encode(v); err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "application/json")
	if c.w.Header().Get("Cache-Control") == "" {
		c.w.Header().Set("Cache-Control", "no-store")
	}
	c.needs(int64(data.Len()))
	c.w.WriteHeader(status)
	_, _ = c.w.Write(data.Bytes())
	return nil
}
