package protocol

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Problem is an error of HTTP (RFC 9457).
type Problem struct {
	Status int
	Code   Code   // "" where no code of the contract fits
	Detail string // what was wrong, and what to do
}

// Append appends the problem as JSON, application/problem+json. Over HTTP a node that drains is one
// more that is unavailable.
func (p Problem) Append(dst []byte) []byte {
	if p.Code == Draining {
		p.Code = Unavailable
	}
	dst = appendText(dst, `{"type":"about:blank","title":`, http.StatusText(p.Status))
	dst = appendInt(dst, `,"status":`, int64(p.Status))
	dst = appendText(dst, `,"detail":`, p.Detail)
	if p.Code != "" {
		dst = appendText(dst, `,"code":`, string(p.Code))
	}
	return append(dst, '}')
}

// Header sets the header fields that a problem of this kind has. retryMS is when to come again, or 0.
func (p Problem) Header(h http.Header, retryMS int64) {
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="weft"`)
	}
	if p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", strconv.FormatInt(max(1, (retryMS+999)/1000), 10))
	}
}

// Bearer is the token in an Authorization header, "" where there is none.
func Bearer(authorization string) string {
	scheme, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// OriginAllowed reports whether a page of an origin may come in: no origin is no page; "*" in
// allowed is every one; and the origin whose host and port are those of the Host header always may.
func OriginAllowed(allowed []string, origin, host string) bool {
	if origin == "" {
		return true
	}
	for _, a := range allowed {
		if a == "*" || strings.EqualFold(a, origin) {
			return true
		}
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	port := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	return strings.EqualFold(strings.TrimSuffix(u.Host, port), strings.TrimSuffix(host, port))
}
