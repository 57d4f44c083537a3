package main

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/jwt"
	"github.com/weft-collab/weft/collab/protocol"
)

const devTokenLife = time.Hour

// devTokens gives the app's page a token for any document: POST {"doc","name"?,"role"?,"sub"?}.
func devTokens(c *config) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Doc, Name, Role, Sub string }
		err := json.NewDecoder(io.LimitReader(r.Body, 8<<10)).Decode(&in)
		role := collab.Write
		if in.Role != "" {
			role = collab.ParseRole(in.Role)
		}
		refuse := func(status int, detail string) {
			p := protocol.Problem{Status: status, Detail: detail}
			p.Header(w.Header(), 0)
			w.WriteHeader(status)
			_, _ = w.Write(p.Append(nil))
		}
		switch origin := r.Header.Get("Origin"); {
		case !protocol.OriginAllowed(c.origins, origin, r.Host):
			refuse(http.StatusForbidden, "pages of the origin "+origin+" are not allowed here")
			return
		case c.dev != devPublic && !ownName(r.Host):
			refuse(http.StatusForbidden, "a development server gives tokens to pages of this machine alone: open it as localhost, or, where everybody who can reach it may read and write all, set WEFT_DEV=public")
			return
		case err != nil || !protocol.ValidDoc(in.Doc) || role == collab.None || len(in.Name) > 200 || len(in.Sub) > 200:
			refuse(http.StatusBadRequest, `send {"doc": an id, "name": a name, "role": read, comment, write or manage, "sub": the user's id}; all but doc may be left out`)
			return
		}
		if in.Sub == "" {
			in.Sub = rand.Text()
		}
		token, err := jwt.Sign(c.jwt.Secret, jwt.Claims{
			User: in.Sub, Name: in.Name, Expires: time.Now().Add(devTokenLife), Issuer: c.jwt.Issuer, Audience: c.jwt.Audience,
			Docs: map[string]collab.Role{in.Doc: role},
		})
		if err != nil {
			refuse(http.StatusInternalServerError, err.Error())
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(map[string]string{"token": token})
	}
}

// ownName reports whether a Host header names this machine whoever looks it up. Another name may be one that
// its owner has pointed here, so that his page has our own origin.
func ownName(host string) bool {
	u, err := url.Parse("http://" + strings.ToLower(host))
	return err == nil && (loopback(net.JoinHostPort(u.Hostname(), "0")) || strings.HasSuffix(u.Hostname(), ".localhost"))
}
