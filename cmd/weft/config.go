package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/jwt"
	"github.com/weft-collab/weft/ot"
	"github.com/weft-collab/weft/persistence/postgres"
	"github.com/weft-collab/weft/persistence/sqlite"
)

// config is what flags and environment say.
type config struct {
	addr, dataDir, databaseURL, redisURL, redisPrefix, node string
	jwt                                                     jwt.Config
	origins                                                 []string
	dev                                                     string
	tokenInQuery, migrate                                   bool
	connections, sessions, perUser                          int
	messageLimit, documentLimit, attributesLimit, opsPerS   int
	presenceLimit, componentsLimit                          int
	opsPerDocument, unread, calls                           int
	presenceEvery                                           time.Duration
	echoTest                                                bool
	drain, idleAfter                                        time.Duration
	retention                                               days
	logLevel, logFormat                                     string
}

const (
	defaultAddr = ":8080"
	devAddr     = "localhost:8080"
	devPublic   = "public"
)

// storeFlags say where documents are kept.
func (c *config) storeFlags(f *pflag.FlagSet) {
	f.StringVar(&c.dataDir, "data-dir", "./data", "folder of the embedded store")
	f.StringVar(&c.databaseURL, "database-url", "", "PostgreSQL, postgres://user:password@host:5432/database; without it the embedded store")
	c.logFlags(f)
}

func (c *config) logFlags(f *pflag.FlagSet) {
	f.StringVar(&c.logLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&c.logFormat, "log-format", "text", "text or json")
}

// keyFlags say how tokens are verified.
func (c *config) keyFlags(f *pflag.FlagSet) {
	f.StringVar(&c.jwt.Secret, "jwt-secret", "", "secret of HS256 tokens, 32 bytes at least")
	f.StringVar(&c.jwt.PublicKeyFile, "jwt-public-key", "", "PEM file with the public key of RS256, ES256 or EdDSA tokens")
	f.StringVar(&c.jwt.JWKSURL, "jwks-url", "", "address of a set of public keys")
	f.StringVar(&c.jwt.Issuer, "jwt-issuer", "", "iss that tokens must have")
	f.StringVar(&c.jwt.Audience, "jwt-audience", "", "aud that tokens must have")
}

func (c *config) serveFlags(f *pflag.FlagSet) {
	limits := collab.DefaultLimits
	c.storeFlags(f)
	c.keyFlags(f)
	f.StringVar(&c.addr, "addr", defaultAddr, "address to listen on; with --dev "+devAddr)
	f.StringVar(&c.redisURL, "redis-url", "", "Redis, redis://host:6379/0; without it the node is alone")
	f.StringVar(&c.redisPrefix, "redis-prefix", "weft", "what names of channels begin with; the same on every node of an installation")
	f.StringVar(&c.node, "node", "", "name of this node in logs and in the Weft-Node header; the host's name by default")
	f.StringSliceVar(&c.origins, "allowed-origins", nil, "origins, besides the server's own, whose pages may connect: https://app.example.com, or * for all")
	f.StringVar(&c.dev, "dev", "", "development server: gives tokens to anyone, and makes itself a secret; on loopback only, unless it is \"public\"")
	f.Lookup("dev").NoOptDefVal = "true"
	f.BoolVar(&c.tokenInQuery, "token-in-query", false, "take tokens in the query string of the WebSocket's address (they end up in logs)")
	f.BoolVar(&c.migrate, "migrate", true, "bring the schema up to date at start; without it an older one is refused")
	f.IntVar(&c.connections, "max-connections", 20000, "sockets of this node; beyond, it takes 1000 connections more, for HTTP")
	f.IntVar(&c.perUser, "max-connections-per-user", 200, "connections of one user on this node; 0 for no bound")
	f.IntVar(&c.unread, "max-unread", collab.DefaultUnreadBytes, "bytes of what joining sessions are sent and have not read yet, as many of HTTP bodies and answers, and as many of long messages that are still coming, on this node; beyond, those who come wait")
	f.IntVar(&c.calls, "max-calls-per-user", 16, "HTTP calls of one user under way on this node, the next ones wait; 0 for no bound")
	f.IntVar(&c.sessions, "max-sessions", 1000, "sessions of one document on this node")
	f.IntVar(&c.messageLimit, "max-message", limits.Message, "bytes of a message")
	f.IntVar(&c.documentLimit, "max-document", limits.Document, "UTF-16 units of a document")
	f.IntVar(&c.attributesLimit, "max-attributes", limits.Attributes, "bytes of the attributes, or the embed, of one component")
	f.IntVar(&c.opsPerS, "max-ops-per-second", limits.OpsPerS, "operations a second of one user in one document")
	f.IntVar(&c.opsPerDocument, "max-ops-per-document", 0, "operations a second of all users of one document on this node; by default 50 times those of one user")
	f.DurationVar(&c.presenceEvery, "presence-every", 40*time.Millisecond, "least time between two tidings of who is where in a document; what happens between them is told as one")
	f.IntVar(&c.presenceLimit, "max-presence", limits.Presence, "bytes of a presence state")
	f.Var(&c.retention, "retention", "how long single operations are kept before they are folded into a snapshot: 30d, 12h; 0 for ever")
	f.IntVar(&c.componentsLimit, "max-components", limits.Components, "components of an operation")
	f.BoolVar(&c.echoTest, "echo-test", false, "answer every WebSocket request, at any address, with an echo, for suites that test WebSocket servers; with --dev alone")
	_ = f.MarkHidden("echo-test")
	f.DurationVar(&c.idleAfter, "idle-after", 30*time.Second, "time until a document that nobody uses leaves memory")
	f.DurationVar(&c.drain, "drain-timeout", 25*time.Second, "time to finish after SIGTERM")
}

// variable is the environment variable of a flag.
func variable(flag string) string {
	return "WEFT_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// configured is a command whose flags may come from the environment too.
func configured(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().VisitAll(func(f *pflag.Flag) { f.Usage += " [" + variable(f.Name) + "]" })
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			value, set := os.LookupEnv(variable(f.Name))
			if f.Changed || !set || value == "" || err != nil {
				return
			}
			if setting := cmd.Flags().Set(f.Name, value); setting != nil {
				err = usage("%s=%q: %w", variable(f.Name), value, setting)
			}
		})
		if err != nil {
			return err
		}
		return run(cmd, args)
	}
	return cmd
}

// isDev reports whether this is a development server.
func (c *config) isDev() bool { return c.dev != "" && c.dev != "false" && c.dev != "0" }

// check finds what is wrong with a server's configuration before anything is opened.
func (c *config) check(addrGiven bool) error {
	switch c.dev {
	case "", "0", "1", "false", "true", devPublic:
	default:
		return usage("--dev is true, or public; not %q", c.dev)
	}
	if c.isDev() && !addrGiven && c.dev != devPublic {
		c.addr = devAddr
	}
	if c.isDev() && c.dev != devPublic && !loopback(c.addr) {
		return usage("a development server gives tokens to anyone, and %s is not a loopback address: listen on %s, or, where everybody who can reach it may read and write all, set WEFT_DEV=public", c.addr, devAddr)
	}
	if c.echoTest && !c.isDev() {
		return usage("--echo-test lets anybody connect without a token, and is for a development server alone: add --dev")
	}
	if c.redisURL != "" && c.databaseURL == "" {
		return usage("Redis joins several nodes, but the embedded store belongs to one: two nodes on two stores would be two truths. Set WEFT_DATABASE_URL to a PostgreSQL that all nodes share, or leave out WEFT_REDIS_URL")
	}
	for _, o := range c.origins {
		if o != "*" && !strings.HasPrefix(o, "http://") && !strings.HasPrefix(o, "https://") || strings.HasSuffix(o, "/") {
			return usage("%q is not an origin; https://app.example.com is one, without a path", o)
		}
	}
	for name, n := range map[string]int{"max-message": c.messageLimit, "max-document": c.documentLimit, "max-attributes": c.attributesLimit, "max-ops-per-second": c.opsPerS, "max-presence": c.presenceLimit, "max-components": c.componentsLimit, "max-unread": c.unread} {
		if n < 1 {
			return usage("--%s takes at least 1", name)
		}
	}
	if c.componentsLimit > ot.MaxComponents {
		return usage("--max-components takes at most %d", ot.MaxComponents)
	}
	return nil
}

func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// verifier makes the verifier of tokens; a development server without a key gets a secret.
func (c *config) verifier(ctx context.Context) (*jwt.Verifier, error) {
	if c.isDev() && c.jwt.Secret == "" && c.jwt.PublicKeyFile == "" && c.jwt.JWKSURL == "" {
		secret, err := devSecret(c.dataDir, true)
		if err != nil {
			return nil, err
		}
		c.jwt.Secret = secret
	}
	v, err := jwt.New(ctx, c.jwt)
	if errors.Is(err, jwt.ErrNoKey) {
		return nil, usage("no key to verify tokens with. Set WEFT_JWT_SECRET (HS256; `openssl rand -base64 32` makes one), WEFT_JWT_PUBLIC_KEY (a PEM file) or WEFT_JWKS_URL; or run `weft serve --dev` to try it without")
	}
	if err != nil {
		return nil, usageError{err}
	}
	return v, nil
}

// devSecret is the secret that a development server made itself.
func devSecret(dir string, create bool) (string, error) {
	file := filepath.Join(dir, "dev-secret")
	data, err := os.ReadFile(file)
	if err == nil {
		return string(data), nil
	}
	if !create || !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	secret := randomSecret()
	return secret, os.WriteFile(file, []byte(secret), 0o600)
}

// store opens the store.
func (c *config) store(ctx context.Context, migrate bool, log *slog.Logger) (collab.Store, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	if c.databaseURL != "" {
		return typedOrNil(postgres.Open(ctx, c.databaseURL, migrate, log))
	}
	return typedOrNil(sqlite.Open(ctx, c.dataDir, migrate, log))
}

func typedOrNil[S collab.Store](s S, err error) (collab.Store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// logger writes to w.
func (c *config) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.logLevel)); err != nil {
		return nil, usage("--log-level is debug, info, warn or error; not %q", c.logLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	switch c.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, usage("--log-format is text or json; not %q", c.logFormat)
}

// unknownVariables are names in the environment that look like ours and are none.
func unknownVariables(cmd *cobra.Command) (names []string) {
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		flag := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "WEFT_"), "_", "-"))
		if strings.HasPrefix(name, "WEFT_") && cmd.Flags().Lookup(flag) == nil {
			names = append(names, name)
		}
	}
	return names
}

func nodeName(name string) string {
	if name != "" {
		return name
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Sprint("node-", os.Getpid())
	}
	return host
}
