// Package rest is the HTTP API of the Weft protocol.
package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rs/cors"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

// Config is what the API is made of.
type Config struct {
	Hub      *collab.Hub
	Verifier collab.Verifier
	Origins  []string         // whose pages may call the API, besides the server's own; "*" for all
	Socket   http.Handler     // GET /v1/docs/{doc}/ws
	Head     http.HandlerFunc // HEAD /v1/docs/{doc}
	Logger   *slog.Logger
}

const (
	callTimeout  = 30 * time.Second
	listMost     = 1000 // items of one page
	listDefault  = 100
	bodyOverhead = 4 << 10 // bytes of a body besides the content or operation in it
)

type api struct {
	Config
	mux *http.ServeMux
}

// New makes the handler of /v1, /healthz and /readyz.
func New(c Config) http.Handler {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	a := &api{c, http.NewServeMux()}
	call := func(pattern string, f func(context.Context, *call) error) {
		a.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, f) })
	}
	call("POST /v1/docs", a.create)
	call("GET /v1/docs", a.list)
	call("GET /v1/docs/{doc}", a.read)
	call("DELETE /v1/docs/{doc}", a.delete)
	call("POST /v1/docs/{doc}/ops", a.submit)
	call("GET /v1/docs/{doc}/ops", a.history)
	a.mux.HandleFunc("HEAD /v1/docs/{doc}", c.Head)
	a.mux.Handle("GET /v1/docs/{doc}/ws", c.Socket)
	a.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { status(w, "alive") })
	a.mux.HandleFunc("GET /readyz", a.ready)
	return a.cors(http.HandlerFunc(a.route))
}

// cors lets pages of allowed origins read every answer, errors too.
func (a *api) cors(next http.Handler) http.Handler {
	return cors.New(cors.Options{
		AllowOriginVaryRequestFunc: func(r *http.Request, origin string) (bool, []string) {
			return protocol.OriginAllowed(a.Origins, origin, r.Host), nil // Vary: Origin is told in any case
		},
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete},
		AllowedHeaders: []string{"Authorization", "Content-Type"},
		ExposedHeaders: []string{"ETag", "Retry-After"},
		MaxAge:         600,
	}).Handler(next)
}

// route answers what no pattern matches with a problem instead of plain text.
func (a *api) route(w http.ResponseWriter, r *http.Request) {
	h, pattern := a.mux.Handler(r)
	if pattern != "" {
		a.mux.ServeHTTP(w, r)
		return
	}
	probe := probe{header: http.Header{}}
	h.ServeHTTP(&probe, r)
	if allow := probe.header.Get("Allow"); allow != "" {
		w.Header().Set("Allow", allow)
		write(w, protocol.Problem{Status: http.StatusMethodNotAllowed, Code: protocol.BadMessage, Detail: "this address takes " + allow}, 0)
		return
	}
	write(w, protocol.Problem{Status: http.StatusNotFound, Code: protocol.NotFound, Detail: "there is nothing at this address; docs/protocol.md lists the calls"}, 0)
}

// probe catches what the mux would answer.
type probe struct{ header http.Header }

func (p *probe) Header() http.Header         { return p.header }
func (p *probe) Write(b []byte) (int, error) { return len(b), nil }
func (p *probe) WriteHeader(int)             {}

func write(w http.ResponseWriter, p protocol.Problem, retryMS int64) {
	p.Header(w.Header(), retryMS)
	w.WriteHeader(p.Status)
	_, _ = w.Write(p.Append(nil))
}

func status(w http.ResponseWriter, s string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, `{"status":"`+s+`"}`)
}

func (a *api) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	if err := a.Hub.Ready(ctx); err != nil {
		write(w, protocol.Problem{Status: http.StatusServiceUnavailable, Code: protocol.Unavailable, Detail: err.Error()}, 1000)
		return
	}
	status(w, "ready")
}

// call is one authenticated request.
type call struct {
	w   http.ResponseWriter
	r   *http.Request
	id  collab.Identity
	doc string
}

// serve authenticates, calls f, and turns its error into a problem.
func (a *api) serve(w http.ResponseWriter, r *http.Request, f func(context.Context, *call) error) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	c := &call{w: w, r: r, doc: r.PathValue("doc")}
	err := a.enter(ctx, c)
	if err == nil {
		err = f(ctx, c)
	}
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
func (a *api) body(c *call, most int) ([]byte, error) {
	if typ, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || typ != "application/json" {
		return nil, &problem{protocol.Problem{Status: http.StatusUnsupportedMediaType, Code: protocol.BadMessage, Detail: "send JSON, with Content-Type: application/json"}}
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
	c.w.WriteHeader(status)
	_, _ = c.w.Write(data.Bytes())
	return nil
}

// document is a document on the wire.
type document struct {
	ID      string          `json:"id"`
	Type    ot.Type         `json:"type"`
	V       int64           `json:"v"`
	Content json.RawMessage `json:"content,omitempty"`
	Created time.Time       `json:"created"`
	Updated time.Time       `json:"updated"`
}

func wire(m collab.Meta, content json.RawMessage) document {
	if m.Updated.Before(m.Created) { // by another clock
		m.Updated = m.Created
	}
	return document{ID: m.ID, Type: m.Type, V: m.Version, Content: content, Created: m.Created.UTC(), Updated: m.Updated.UTC()}
}

func etag(v int64) string { return `"` + strconv.FormatInt(v, 10) + `"` }

func (a *api) create(ctx context.Context, c *call) error {
	limits := a.Hub.Limits()
	data, err := a.body(c, limits.Message)
	if err != nil {
		return err
	}
	doc, typ, content, err := protocol.DecodeDoc(data, limits)
	if err != nil {
		return err
	}
	made, err := a.Hub.Create(ctx, c.id, doc, typ, content)
	if err != nil {
		return err
	}
	c.w.Header().Set("ETag", etag(made.Version))
	c.w.Header().Set("Location", "/v1/docs/"+made.ID)
	return answer(c, http.StatusCreated, wire(made.Meta, made.Content))
}

func (a *api) read(ctx context.Context, c *call) error {
	v, err := number(c, "v", -1, 0, 1<<53-1)
	if err != nil {
		return err
	}
	format := c.r.URL.Query().Get("format")
	switch format {
	case "", "delta", "text":
	default:
		return bad("format should be delta or text")
	}
	got, err := a.Hub.Read(ctx, c.id, c.doc, v)
	if err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("ETag", etag(got.Version))
	h.Set("Cache-Control", "no-cache")
	h.Add("Vary", "Authorization")
	if matches(c.r.Header.Get("If-None-Match"), etag(got.Version)) {
		c.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if format != "text" {
		return answer(c, http.StatusOK, wire(got.Meta, got.Content))
	}
	content, err := ot.DecodeCommitted(got.Content)
	if err != nil {
		return err
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	for _, part := range content {
		if _, err := io.WriteString(c.w, part.Insert); err != nil {
			return nil // the reader is gone
		}
	}
	return nil
}

func matches(header, tag string) bool {
	for t := range strings.SplitSeq(header, ",") {
		if t = strings.TrimPrefix(strings.TrimSpace(t), "W/"); t == tag || t == "*" {
			return true
		}
	}
	return false
}

// number reads an integer of the query.
func number(c *call, name string, def, least, most int64) (int64, error) {
	text := c.r.URL.Query().Get(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > most {
		return 0, bad(name + " should be an integer from " + strconv.FormatInt(least, 10) + " to " + strconv.FormatInt(most, 10))
	}
	return n, nil
}

func (a *api) delete(ctx context.Context, c *call) error {
	purge := false
	if text := c.r.URL.Query().Get("purge"); text != "" {
		var err error
		if purge, err = strconv.ParseBool(text); err != nil {
			return bad("purge should be true or false")
		}
	}
	if err := a.Hub.Delete(ctx, c.id, c.doc, purge); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *api) submit(ctx context.Context, c *call) error {
	limits := a.Hub.Limits()
	data, err := a.body(c, limits.Message)
	if err != nil {
		return err
	}
	client, op, newest, err := protocol.DecodeOp(data, limits)
	if err != nil {
		return err
	}
	v, err := a.Hub.Submit(ctx, c.id, c.doc, client, op, newest)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, struct {
		V int64 `json:"v"`
	}{v})
}

// stored is an operation of the history.
type stored struct {
	V      int64           `json:"v"`
	Client string          `json:"c"`
	Seq    int64           `json:"seq"`
	User   string          `json:"u"`
	At     time.Time       `json:"at"`
	Delta  json.RawMessage `json:"d"`
}

func (a *api) history(ctx context.Context, c *call) error {
	from, err := number(c, "from", 0, 0, 1<<53-1)
	if err != nil {
		return err
	}
	limit, err := number(c, "limit", listDefault, 1, listMost)
	if err != nil {
		return err
	}
	ops, next, err := a.Hub.History(ctx, c.id, c.doc, from, int(limit))
	if err != nil {
		return err
	}
	out := struct {
		Ops  []stored `json:"ops"`
		Next int64    `json:"next,omitempty"`
	}{Ops: make([]stored, len(ops)), Next: next}
	for i, op := range ops {
		out.Ops[i] = stored{V: from + int64(i) + 1, Client: op.Client, Seq: op.Seq, User: op.User, At: op.At.UTC(), Delta: op.Delta}
	}
	return answer(c, http.StatusOK, out)
}

func (a *api) list(ctx context.Context, c *call) error {
	limit, err := number(c, "limit", listDefault, 1, listMost)
	if err != nil {
		return err
	}
	query := c.r.URL.Query()
	docs, next, err := a.Hub.List(ctx, c.id, query.Get("prefix"), query.Get("after"), int(limit))
	if err != nil {
		return err
	}
	out := struct {
		Docs []document `json:"docs"`
		Next string     `json:"next,omitempty"`
	}{Docs: make([]document, len(docs)), Next: next}
	for i, m := range docs {
		out.Docs[i] = wire(m, nil)
	}
	return answer(c, http.StatusOK, out)
}
