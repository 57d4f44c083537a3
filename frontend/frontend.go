// Package frontend holds the pages that Weft serves, as npm built them, and serves them.
package frontend

import (
	"embed"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed all:dist
var built embed.FS

// The pages run no script and load nothing that is not their own. Quill sets styles on elements; pictures may
// come from anywhere, as writers paste them.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src * data: blob:; font-src 'self' data:; " +
	"connect-src 'self' ws: wss:; media-src *; frame-src https:; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"

const unbuilt = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Weft</title>
<body><h1>Weft runs, but its pages were not built</h1>
<p>This binary was built without the frontend. <code>make build</code> builds both (it needs Node.js and npm);
<code>make run</code> also starts the server. The API under <code>/v1</code> works as it is.</p></body></html>
`

// Handler serves the start page at /, a document's page at /d/{doc}, the element at
// /embed.js, and what they load at /assets/.
func Handler() http.Handler {
	dist, err := fs.Sub(built, "dist")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return handler(dist)
}

func handler(dist fs.FS) http.Handler {
	mux := http.NewServeMux()
	page := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { servePage(w, r, dist, name) }
	}
	mux.HandleFunc("GET /{$}", page("index.html"))
	mux.HandleFunc("GET /d/{doc}", page("document.html"))
	mux.HandleFunc("GET /embed.js", func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*") // other people's pages load it
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		h.Set("Cache-Control", "no-cache")
		serveFile(w, r, dist, "embed.js", "text/javascript; charset=utf-8")
	})
	mux.HandleFunc("GET /assets/{file}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable") // their names hold a hash
		serveFile(w, r, dist, path.Join("assets", r.PathValue("file")), "")
	})
	mux.HandleFunc("GET /favicon.svg", func(w http.ResponseWriter, r *http.Request) {
		serveFile(w, r, dist, "favicon.svg", "image/svg+xml")
	})
	return mux
}

func servePage(w http.ResponseWriter, r *http.Request, dist fs.FS, name string) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer") // addresses of documents are nobody else's business
	h.Set("Cache-Control", "no-cache")
	if _, err := fs.Stat(dist, name); err != nil {
		h.Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(unbuilt))
		return
	}
	serveFile(w, r, dist, name, "text/html; charset=utf-8")
}

// serveFile serves one file; typ "" lets its name decide.
func serveFile(w http.ResponseWriter, r *http.Request, dist fs.FS, name, typ string) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if _, err := fs.Stat(dist, name); err != nil {
		w.Header().Set("Cache-Control", "no-store")
		status, text := http.StatusNotFound, "not found"
		if strings.HasSuffix(name, "embed.js") {
			status, text = http.StatusServiceUnavailable, "this weft was built without its frontend; `make build` builds both"
		}
		http.Error(w, text, status)
		return
	}
	if typ != "" {
		w.Header().Set("Content-Type", typ)
	}
	http.ServeFileFS(w, r, dist, name)
}
