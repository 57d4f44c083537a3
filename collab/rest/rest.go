// Package rest is the HTTP API of the Weft protocol.
package rest

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
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

	CallsPerUser int // under way at a time; 0: no bound
	UnreadBytes  int // of bodies that are coming and answers that are not read yet; 0: 256 MiB
}

const (
	callTimeout  = 30 * time.Second
	listMost     = 1000 // items of one page
	listDefault  = 100
	bodyOverhead = 4 << 10 // bytes of a body besides the content or operation in it
)

type api struct {
	Config
	mux   *http.ServeMux
	turns *turns
}

// New makes the handler of /v1, /healthz and /readyz.
func New(c Config) http.Handler {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.UnreadBytes == 0 {
		c.UnreadBytes = collab.DefaultUnreadBytes
	}
	a := &api{c, http.NewServeMux(), newTurns(c.CallsPerUser, c.UnreadBytes)}
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
		AllowedMethods: []string{ // PUT and PATCH so that a page can read that there are none
			http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete, http.MethodPut, http.MethodPatch,
		},
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
	data, err := a.body(ctx, c, limits.Message)
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
	if err := c.hold(ctx, turnBytes); err != nil {
		return err
	}
	got, err := a.Hub.Read(ctx, c.id, c.doc, v)
	if err != nil {
		return err
	}
	c.needs(int64(len(got.Content)))
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
	data, err := a.body(ctx, c, limits.Message)
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
	if err := c.hold(ctx, turnBytes); err != nil {
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
