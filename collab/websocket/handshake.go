package websocket

import (
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/websocket"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/protocol"
)

const (
	subprotocol   = "weft.v1"
	version       = "13"
	bearerPrefix  = "weft.bearer."
	tokenInQuery  = "token"
	handshakeCost = 1000 // milliseconds after which one that was turned away may come again
)

// visit is who comes to which document.
type visit struct {
	doc    string
	id     collab.Identity
	exists bool
}

// refusal is an answer that is no upgrade.
type refusal struct {
	protocol.Problem
	retryMS int64
	version string // of RFC 6455's protocol, where the client speaks another
}

func (r *refusal) write(w http.ResponseWriter) {
	r.Header(w.Header(), r.retryMS)
	if r.Status == http.StatusUpgradeRequired {
		w.Header().Set("Upgrade", "websocket")
	}
	if r.version != "" {
		w.Header().Set("Sec-WebSocket-Version", r.version)
	}
	w.WriteHeader(r.Status)
	_, _ = w.Write(r.Append(nil))
}

func refuse(status int, code protocol.Code, detail string) *refusal {
	return &refusal{Problem: protocol.Problem{Status: status, Code: code, Detail: detail}}
}

const userCrowded = "this user has as many connections as one may have; close some"

// crowded is the answer where there are too many connections.
func crowded(detail string) *refusal {
	r := refuse(http.StatusTooManyRequests, protocol.RateLimited, detail)
	r.retryMS = handshakeCost
	return r
}

// check makes the checks of the handshake, in the order of the protocol: for an
// upgrade all of them, for HEAD those that have to do with neither WebSocket nor subprotocol.
func (h *Handler) check(r *http.Request, upgrade bool) (visit, *refusal) {
	v := visit{doc: r.PathValue("doc")}
	offered := offers(r)
	switch {
	case upgrade && !IsUpgrade(r):
		no := refuse(http.StatusBadRequest, protocol.BadMessage, "this is the address of a WebSocket (RFC 6455, version 13, over HTTP/1.1); the request is none")
		if websocket.IsWebSocketUpgrade(r) && r.Header.Get("Sec-WebSocket-Version") != version {
			no.version = version
		}
		return v, no
	case !protocol.ValidDoc(v.doc):
		return v, refuse(http.StatusBadRequest, protocol.BadMessage, "a document's id has 1 to 128 characters A-Z a-z 0-9 . _ ~ : -, the first a letter or digit")
	}
	token, problem := h.token(r, offered)
	if problem != nil {
		return v, problem
	}
	var err error
	if v.id, err = h.verifier.Verify(r.Context(), token); err != nil {
		return v, refuse(http.StatusUnauthorized, protocol.BadToken, err.Error())
	}
	if origin := r.Header.Get("Origin"); !protocol.OriginAllowed(h.config.Origins, origin, r.Host) {
		return v, refuse(http.StatusForbidden, protocol.Forbidden, "pages of the origin "+origin+" are not allowed here; WEFT_ALLOWED_ORIGINS names those that are")
	}
	var last *refusal
	if v.exists, err = h.hub.Admit(r.Context(), v.doc, v.id); err != nil {
		var e *protocol.Error
		if !errors.As(err, &e) {
			e = &protocol.Error{Code: protocol.Unavailable, Msg: "come again"}
		}
		last = &refusal{Problem: protocol.Problem{Status: e.Code.Status(), Code: e.Code, Detail: e.Msg}, retryMS: e.RetryMS}
		if last.Status != http.StatusServiceUnavailable {
			return v, last
		}
	}
	if upgrade && !slices.Contains(offered, subprotocol) {
		return v, refuse(http.StatusUpgradeRequired, "", "offer the subprotocol "+subprotocol)
	}
	if most := h.config.MaxConnections; last == nil && most > 0 && h.connections.Load() >= int64(most) {
		last = crowded("this node has as many connections as it allows; come again")
	}
	if last == nil && h.users.full(v.id.User, h.config.MaxPerUser) {
		last = crowded(userCrowded)
	}
	return v, last
}

// IsUpgrade reports whether a request asks for a WebSocket as RFC 6455 has it.
func IsUpgrade(r *http.Request) bool {
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	return err == nil && len(key) == 16 && r.Method == http.MethodGet && r.ProtoMajor == 1 &&
		websocket.IsWebSocketUpgrade(r) && r.Header.Get("Sec-WebSocket-Version") == version
}

// token takes the first of the places where a token may be.
func (h *Handler) token(r *http.Request, offered []string) (string, *refusal) {
	if token := protocol.Bearer(r.Header.Get("Authorization")); token != "" {
		return token, nil
	}
	for _, p := range offered {
		if token, ok := strings.CutPrefix(p, bearerPrefix); ok {
			return token, nil
		}
	}
	if token := r.URL.Query().Get(tokenInQuery); token != "" {
		if h.config.QueryToken {
			return token, nil
		}
		return "", refuse(http.StatusUnauthorized, protocol.BadToken, "tokens in the query string are turned off here, as they end up in logs; use Authorization: Bearer, or the subprotocol "+bearerPrefix+"<token>")
	}
	return "", refuse(http.StatusUnauthorized, protocol.BadToken, "no token; use Authorization: Bearer, or the subprotocol "+bearerPrefix+"<token>")
}

// offers are the subprotocols that the client offers.
func offers(r *http.Request) []string {
	var all []string
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			all = append(all, strings.TrimSpace(p))
		}
	}
	return all
}

// Head answers HEAD /v1/docs/{doc}: would a socket be let in? A browser cannot see
// why an upgrade was refused, so it asks here. 204 where the socket would create the document.
func (h *Handler) Head(w http.ResponseWriter, r *http.Request) {
	v, problem := h.check(r, false)
	switch {
	case problem != nil:
		problem.write(w)
	case v.exists:
		w.WriteHeader(http.StatusOK)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}
