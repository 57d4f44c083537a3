// Package jwt verifies the tokens of the Weft protocol: JSON Web Tokens, through golang-jwt.
package jwt

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"

	"github.com/weft-collab/weft/collab"
)

// Bounds of tokens and secrets, in bytes.
const (
	MaxToken  = 4 << 10
	MinSecret = 32
)

// leeway is granted to nbf and iat, whose clock is another machine's. exp has none.
const leeway = 30 * time.Second

// ErrNoKey is returned where Config names no key.
var ErrNoKey = errors.New("no key to verify tokens with")

// Config names the one key, or set of keys, that tokens are signed with.
type Config struct {
	Secret        string // HS256; MinSecret bytes at least
	PublicKeyFile string // a PEM file: RS256, ES256 or EdDSA, as the key is
	JWKSURL       string // a set of such keys
	Issuer        string // "" : any
	Audience      string // "" : any
	Now           func() time.Time
}

// Verifier is a collab.Verifier on one key or a set of keys.
type Verifier struct {
	parser *jwt.Parser
	key    jwt.Keyfunc
	now    func() time.Time
}

// New makes a verifier. A JWKS is fetched now and refreshed until ctx ends. Errors say what to do; ErrNoKey where there is no key.
func New(ctx context.Context, c Config) (*Verifier, error) {
	v := &Verifier{now: c.Now}
	if v.now == nil {
		v.now = time.Now
	}
	methods, err := v.keys(ctx, c)
	if err != nil {
		return nil, err
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods(methods), jwt.WithStrictDecoding(), jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(), jwt.WithLeeway(leeway), jwt.WithTimeFunc(v.now),
	}
	if c.Issuer != "" {
		options = append(options, jwt.WithIssuer(c.Issuer))
	}
	if c.Audience != "" {
		options = append(options, jwt.WithAudience(c.Audience))
	}
	v.parser = jwt.NewParser(options...)
	return v, nil
}

// keys sets the key and returns the algorithms that it is for.
func (v *Verifier) keys(ctx context.Context, c Config) ([]string, error) {
	given := 0
	for _, s := range []string{c.Secret, c.PublicKeyFile, c.JWKSURL} {
		if s != "" {
			given++
		}
	}
	switch {
	case given == 0:
		return nil, ErrNoKey
	case given > 1:
		return nil, errors.New("more than one key for tokens: give one of WEFT_JWT_SECRET, WEFT_JWT_PUBLIC_KEY and WEFT_JWKS_URL")
	case c.Secret != "":
		if len(c.Secret) < MinSecret {
			return nil, fmt.Errorf("WEFT_JWT_SECRET has %d bytes, it takes at least %d; `openssl rand -base64 32` makes one", len(c.Secret), MinSecret)
		}
		v.key = func(*jwt.Token) (any, error) { return []byte(c.Secret), nil }
		return []string{"HS256"}, nil
	case c.PublicKeyFile != "":
		key, method, err := readPublicKey(c.PublicKeyFile)
		if err != nil {
			return nil, fmt.Errorf("WEFT_JWT_PUBLIC_KEY: %w", err)
		}
		v.key = func(*jwt.Token) (any, error) { return key, nil }
		return []string{method}, nil
	}
	strict := false
	set, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{c.JWKSURL}, keyfunc.Override{NoErrorReturnFirstHTTPReq: &strict, HTTPTimeout: 10 * time.Second, RateLimitWaitMax: time.Second})
	if err != nil {
		return nil, fmt.Errorf("WEFT_JWKS_URL: the key set at %s cannot be read: %w", c.JWKSURL, err)
	}
	v.key = set.Keyfunc
	return []string{"RS256", "ES256", "EdDSA"}, nil
}

func readPublicKey(file string) (key any, method string, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, "", err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, "", fmt.Errorf("%s is no PEM file; `openssl pkey -in private.pem -pubout` writes one", file)
	}
	if strings.Contains(block.Type, "PRIVATE") {
		return nil, "", fmt.Errorf("%s holds a private key; weft takes the public one (`openssl pkey -in private.pem -pubout`)", file)
	}
	if key, err = x509.ParsePKIXPublicKey(block.Bytes); err != nil {
		return nil, "", fmt.Errorf("%s holds no public key that can be read: %w", file, err)
	}
	switch k := key.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() >= 2048 {
			return key, "RS256", nil
		}
		return nil, "", fmt.Errorf("%s holds an RSA key of %d bits, it takes 2048", file, k.N.BitLen())
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return key, "ES256", nil
		}
	case ed25519.PublicKey:
		return key, "EdDSA", nil
	}
	return nil, "", fmt.Errorf("%s holds a key that is none of RSA, P-256 and Ed25519", file)
}

// claims of a token.
type claims struct {
	jwt.RegisteredClaims
	Name    string `json:"name,omitempty"`
	Picture string `json:"picture,omitempty"`
	Weft    grants `json:"weft"`
}

type grants struct {
	Docs  map[string]any `json:"docs,omitempty"`
	Admin bool           `json:"admin,omitempty"`
}

// UnmarshalJSON reads claims strictly: names once and in their own case, whole characters, and dates that
// are numbers, where golang-jwt takes text too.
func (c *claims) UnmarshalJSON(data []byte) error {
	var dates struct {
		Expires   float64 `json:"exp"`
		NotBefore float64 `json:"nbf"`
		IssuedAt  float64 `json:"iat"`
	}
	if err := json.Unmarshal(data, &dates); err != nil {
		return err
	}
	type plain claims // without this method
	return json.Unmarshal(data, (*plain)(c))
}

// Verify holds a token against the key and the clock. Its errors say nothing of the token's content.
func (v *Verifier) Verify(_ context.Context, token string) (collab.Identity, error) {
	if len(token) > MaxToken {
		return collab.Identity{}, fmt.Errorf("the token has more than %d bytes", MaxToken)
	}
	var c claims
	parsed, err := v.parser.ParseWithClaims(token, &c, v.key)
	if err != nil {
		return collab.Identity{}, reason(err)
	}
	switch _, critical := parsed.Header["crit"]; {
	case critical:
		return collab.Identity{}, errors.New("the token has critical headers, of which none is known")
	case !v.now().Before(c.ExpiresAt.Time):
		return collab.Identity{}, errors.New("the token has expired; get a newer one")
	case c.Subject == "":
		return collab.Identity{}, errors.New("the token has no sub, the user's id")
	case strings.ContainsRune(c.Subject, 0):
		return collab.Identity{}, errors.New("the token's sub holds U+0000")
	}
	id := collab.Identity{
		User: c.Subject, Name: c.Name, Picture: c.Picture, Expires: c.ExpiresAt.Time,
		Docs: make(map[string]collab.Role, len(c.Weft.Docs)), Admin: c.Weft.Admin,
	}
	for doc, role := range c.Weft.Docs {
		name, _ := role.(string) // anything else grants nothing
		id.Docs[doc] = collab.ParseRole(name)
	}
	return id, nil
}

// reason says in a few words what is wrong; the library's own words may quote the token.
func reason(err error) error {
	for _, known := range []struct {
		is   error
		text string
	}{
		{jwt.ErrTokenExpired, "the token has expired; get a newer one"},
		{jwt.ErrTokenNotValidYet, "the token is not valid yet; look at the clocks of both machines"},
		{jwt.ErrTokenUsedBeforeIssued, "the token was issued in the future; look at the clocks of both machines"},
		{jwt.ErrTokenInvalidIssuer, "the token is of another issuer"},
		{jwt.ErrTokenInvalidAudience, "the token is for another audience"},
		{jwt.ErrTokenRequiredClaimMissing, "the token lacks a claim that is required: exp and sub always, iss and aud where they are configured"},
		{jwt.ErrTokenMalformed, "the token is malformed"},
		{jwt.ErrTokenUnverifiable, "the token cannot be verified: its key is not known"},
		{jwt.ErrTokenSignatureInvalid, "the token's signature is not good: another key, or an algorithm that the key is not for"},
	} {
		if errors.Is(err, known.is) {
			return errors.New(known.text)
		}
	}
	return errors.New("the token is not good")
}

// Claims are what Sign writes into a token.
type Claims struct {
	User, Name, Picture string
	Expires             time.Time
	Issuer, Audience    string
	Docs                map[string]collab.Role // by id, or by a prefix ending in '*'
	Admin               bool
}

// Sign makes a token with a secret, HS256.
func Sign(secret string, c Claims) (string, error) {
	if c.User == "" || c.Expires.IsZero() {
		return "", errors.New("a token needs a user and a time at which it expires")
	}
	out := claims{
		RegisteredClaims: jwt.RegisteredClaims{Subject: c.User, ExpiresAt: jwt.NewNumericDate(c.Expires), Issuer: c.Issuer},
		Name:             c.Name, Picture: c.Picture, Weft: grants{Admin: c.Admin, Docs: map[string]any{}},
	}
	if c.Audience != "" {
		out.Audience = jwt.ClaimStrings{c.Audience}
	}
	for doc, role := range c.Docs {
		out.Weft.Docs[doc] = role.String()
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, out).SignedString([]byte(secret))
}
