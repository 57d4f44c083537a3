package jwt_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/jwt"
)

const secret = "a secret of thirty-two bytes, or more"

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func verifier(t *testing.T, c jwt.Config) *jwt.Verifier {
	t.Helper()
	c.Now = func() time.Time { return now }
	v, err := jwt.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func sign(t *testing.T, method gojwt.SigningMethod, key any, claims gojwt.MapClaims, header ...string) string {
	t.Helper()
	token := gojwt.NewWithClaims(method, claims)
	for i := 0; i+1 < len(header); i += 2 {
		token.Header[header[i]] = header[i+1]
	}
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// with is a good set of claims, with some changed; nil takes one away.
func with(changes gojwt.MapClaims) gojwt.MapClaims {
	c := gojwt.MapClaims{
		"sub": "ada", "name": "Ada", "exp": now.Add(time.Hour).Unix(), "iss": "app", "aud": "weft",
		"weft": map[string]any{"docs": map[string]any{"handbook": "read", "team7-*": "write"}},
	}
	for k, v := range changes {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

// raw signs a payload as it stands there.
func raw(t *testing.T, payload string) string {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + b64([]byte(payload))
	mac, err := gojwt.SigningMethodHS256.Sign(signed, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + b64(mac)
}

func TestAGoodTokenSaysWhoAndWhat(t *testing.T) {
	v := verifier(t, jwt.Config{Secret: secret, Issuer: "app", Audience: "weft"})
	id, err := v.Verify(t.Context(), sign(t, gojwt.SigningMethodHS256, []byte(secret), with(gojwt.MapClaims{
		"picture": "https://example.org/ada.png",
		"weft": map[string]any{"docs": map[string]any{
			"handbook": "read", "team7-*": "write", "team7-x*": "none", "odd": "owner", "number": 3, "team7-secret": "manage", "*": "comment",
		}},
	})))
	if err != nil {
		t.Fatal(err)
	}
	if id.User != "ada" || id.Name != "Ada" || id.Picture == "" || id.Admin || !id.Expires.Equal(now.Add(time.Hour)) {
		t.Errorf("%+v", id)
	}
	for doc, role := range map[string]collab.Role{
		"handbook": collab.Read, "handbook2": collab.Comment, "team7-a": collab.Write, "team7-xa": collab.None,
		"odd": collab.None, "number": collab.None, "team7-secret": collab.Manage,
	} {
		if got := id.Role(doc); got != role {
			t.Errorf("on %s it is %v, not %v", doc, got, role)
		}
	}
}

func TestATokenThatIsNotGoodIsRefused(t *testing.T) {
	v := verifier(t, jwt.Config{Secret: secret, Issuer: "app", Audience: "weft"})
	hs := func(c gojwt.MapClaims, header ...string) string {
		return sign(t, gojwt.SigningMethodHS256, []byte(secret), c, header...)
	}
	good := hs(with(nil))
	parts := strings.Split(good, ".")
	cases := map[string]string{
		"empty":                  "",
		"no token":               "hello",
		"another secret":         sign(t, gojwt.SigningMethodHS256, []byte("another secret of thirty-two bytes"), with(nil)),
		"HS512":                  sign(t, gojwt.SigningMethodHS512, []byte(secret), with(nil)),
		"alg none":               sign(t, gojwt.SigningMethodNone, gojwt.UnsafeAllowNoneSignatureType, with(nil)),
		"stripped signature":     parts[0] + "." + parts[1] + ".",
		"two parts":              parts[0] + "." + parts[1],
		"changed payload":        parts[0] + "." + parts[1][:len(parts[1])-2] + "AA." + parts[2],
		"padding":                good + "=",
		"spaces":                 " " + good,
		"two tokens":             good + good,
		"expired just now":       hs(with(gojwt.MapClaims{"exp": now.Unix()})),
		"expired":                hs(with(gojwt.MapClaims{"exp": now.Add(-time.Second).Unix()})),
		"no exp":                 hs(with(gojwt.MapClaims{"exp": nil})),
		"exp as text":            hs(with(gojwt.MapClaims{"exp": "tomorrow"})),
		"exp as digits in text":  hs(with(gojwt.MapClaims{"exp": strconv.FormatInt(now.Add(time.Hour).Unix(), 10)})),
		"nbf as digits in text":  hs(with(gojwt.MapClaims{"nbf": strconv.FormatInt(now.Unix(), 10)})),
		"iat as digits in text":  hs(with(gojwt.MapClaims{"iat": strconv.FormatInt(now.Unix(), 10)})),
		"exp in another case":    hs(with(gojwt.MapClaims{"exp": nil, "EXP": now.Add(time.Hour).Unix()})),
		"sub in another case":    hs(with(gojwt.MapClaims{"sub": nil, "Sub": "ada"})),
		"a claim twice":          raw(t, `{"sub":"ada","iss":"app","aud":"weft","exp":4102444800,"exp":4102444801}`),
		"half a pair in sub":     raw(t, `{"sub":"\ud83d","iss":"app","aud":"weft","exp":4102444800}`),
		"not yet valid":          hs(with(gojwt.MapClaims{"nbf": now.Add(31 * time.Second).Unix()})),
		"issued in the future":   hs(with(gojwt.MapClaims{"iat": now.Add(31 * time.Second).Unix()})),
		"no sub":                 hs(with(gojwt.MapClaims{"sub": nil})),
		"empty sub":              hs(with(gojwt.MapClaims{"sub": ""})),
		"sub as a number":        hs(with(gojwt.MapClaims{"sub": 7})),
		"sub with U+0000":        hs(with(gojwt.MapClaims{"sub": "a\x00b"})),
		"no issuer":              hs(with(gojwt.MapClaims{"iss": nil})),
		"another issuer":         hs(with(gojwt.MapClaims{"iss": "application"})),
		"no audience":            hs(with(gojwt.MapClaims{"aud": nil})),
		"another audience":       hs(with(gojwt.MapClaims{"aud": []string{"wef", "weft2"}})),
		"weft as text":           hs(with(gojwt.MapClaims{"weft": "admin"})),
		"admin as text":          hs(with(gojwt.MapClaims{"weft": map[string]any{"admin": "true"}})),
		"docs as an array":       hs(with(gojwt.MapClaims{"weft": map[string]any{"docs": []string{"*"}}})),
		"critical headers":       hs(with(nil), "crit", "exp"),
		"more than four KiB":     hs(with(gojwt.MapClaims{"name": strings.Repeat("x", 4096)})),
		"payload that is no map": parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte("[1]")) + "." + parts[2],
	}
	for name, token := range cases {
		id, err := v.Verify(t.Context(), token)
		if err == nil {
			t.Errorf("%s: taken, as %+v", name, id)
		} else if len(token) > 20 && strings.Contains(err.Error(), parts[1][:10]) {
			t.Errorf("%s: the error quotes the token: %v", name, err)
		}
	}
	for name, changes := range map[string]gojwt.MapClaims{
		"nbf within the leeway":        {"nbf": now.Add(29 * time.Second).Unix()},
		"iat within the leeway":        {"iat": now.Add(29 * time.Second).Unix()},
		"one of two audiences":         {"aud": []string{"other", "weft"}},
		"no grants":                    {"weft": nil},
		"exp in a second":              {"exp": now.Add(time.Second).Unix()},
		"exp with a fraction":          {"exp": float64(now.Unix()) + 1.5},
		"claims that it does not know": {"Exp": "x", "SUB": 7, "app": map[string]any{"deep": []any{nil}}},
	} {
		if _, err := v.Verify(t.Context(), hs(with(changes))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func writePEM(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return writeBlock(t, "PUBLIC KEY", der)
}

func writeBlock(t *testing.T, typ string, der []byte) string {
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAKeyIsForOneAlgorithm(t *testing.T) {
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	ecKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ec384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, edKey, _ := ed25519.GenerateKey(rand.Reader)
	rsaPEM, _ := os.ReadFile(writePEM(t, rsaKey.Public()))
	tokens := map[string]string{
		"RS256":                               sign(t, gojwt.SigningMethodRS256, rsaKey, with(nil)),
		"ES256":                               sign(t, gojwt.SigningMethodES256, ecKey, with(nil)),
		"EdDSA":                               sign(t, gojwt.SigningMethodEdDSA, edKey, with(nil)),
		"RS512":                               sign(t, gojwt.SigningMethodRS512, rsaKey, with(nil)),
		"PS256":                               sign(t, gojwt.SigningMethodPS256, rsaKey, with(nil)),
		"ES384":                               sign(t, gojwt.SigningMethodES384, ec384, with(nil)),
		"HS256 with the public key as secret": sign(t, gojwt.SigningMethodHS256, rsaPEM, with(nil)),
	}
	for method, key := range map[string]crypto.PublicKey{"RS256": rsaKey.Public(), "ES256": ecKey.Public(), "EdDSA": edKey.Public()} {
		v := verifier(t, jwt.Config{PublicKeyFile: writePEM(t, key)})
		for name, token := range tokens {
			if _, err := v.Verify(t.Context(), token); (err == nil) != (name == method) {
				t.Errorf("a %s key, a token of %s: %v", method, name, err)
			}
		}
	}
}

func TestASetOfKeys(t *testing.T) {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	b64 := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.FillBytes(make([]byte, 32))) }
	set, _ := json.Marshal(map[string]any{"keys": []any{map[string]any{
		"kty": "EC", "crv": "P-256", "kid": "one", "alg": "ES256", "use": "sig", "x": b64(key.X), "y": b64(key.Y),
	}}})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(set) }))
	defer server.Close()
	v := verifier(t, jwt.Config{JWKSURL: server.URL})
	if _, err := v.Verify(t.Context(), sign(t, gojwt.SigningMethodES256, key, with(nil), "kid", "one")); err != nil {
		t.Error(err)
	}
	for _, kid := range []string{"two", "../one", server.URL} {
		if _, err := v.Verify(t.Context(), sign(t, gojwt.SigningMethodES256, key, with(nil), "kid", kid)); err == nil {
			t.Errorf("the key id %s was taken", kid)
		}
	}
	if _, err := v.Verify(t.Context(), sign(t, gojwt.SigningMethodHS256, []byte(secret), with(nil), "kid", "one")); err == nil {
		t.Error("HS256 was taken")
	}
}

func TestABadKeySaysWhatToDo(t *testing.T) {
	small, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, private, _ := ed25519.GenerateKey(rand.Reader)
	der, _ := x509.MarshalPKCS8PrivateKey(private)
	text := filepath.Join(t.TempDir(), "text")
	os.WriteFile(text, []byte("not a key"), 0o600)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, c := range map[string]struct {
		config jwt.Config
		says   string
	}{
		"a short secret":      {jwt.Config{Secret: "short"}, "at least 32"},
		"two keys":            {jwt.Config{Secret: secret, JWKSURL: "https://example.org"}, "one of"},
		"a missing file":      {jwt.Config{PublicKeyFile: filepath.Join(t.TempDir(), "none.pem")}, "WEFT_JWT_PUBLIC_KEY"},
		"a file without PEM":  {jwt.Config{PublicKeyFile: text}, "no PEM file"},
		"a private key":       {jwt.Config{PublicKeyFile: writeBlock(t, "PRIVATE KEY", der)}, "private key"},
		"another curve":       {jwt.Config{PublicKeyFile: writePEM(t, small.Public())}, "none of"},
		"a set out of reach":  {jwt.Config{JWKSURL: gone.URL}, "WEFT_JWKS_URL"},
		"a certificate as it": {jwt.Config{PublicKeyFile: writeBlock(t, "PUBLIC KEY", []byte("x"))}, "cannot be read"},
	} {
		if _, err := jwt.New(t.Context(), c.config); err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(c.says, "cannot ")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := jwt.New(t.Context(), jwt.Config{}); !errors.Is(err, jwt.ErrNoKey) {
		t.Errorf("no key: %v", err)
	}
}

func TestWhatIsSignedIsVerified(t *testing.T) {
	token, err := jwt.Sign(secret, jwt.Claims{User: "bob", Name: "Bob", Expires: now.Add(time.Minute), Docs: map[string]collab.Role{"x": collab.Write}, Admin: true})
	if err != nil {
		t.Fatal(err)
	}
	id, err := verifier(t, jwt.Config{Secret: secret}).Verify(t.Context(), token)
	if err != nil || id.User != "bob" || id.Docs["x"] != collab.Write || !id.Admin {
		t.Errorf("%+v, %v", id, err)
	}
}
