package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/jwt"
)

func migrateCommand() *cobra.Command {
	c := &config{}
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the schema of the database up to date",
		Long:  "Bring the schema up to date, as `weft serve` does at its start. Many may run it at once.",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := c.logger(os.Stderr)
			if err != nil {
				return err
			}
			store, err := c.store(cmd.Context(), true, log)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "the schema is up to date")
			return store.Close()
		},
	}
	c.storeFlags(cmd.Flags())
	return configured(cmd)
}

func tokenCommand() *cobra.Command {
	c := &config{}
	var claims jwt.Claims
	var docs []string
	var life time.Duration
	cmd := &cobra.Command{
		Use:     "token",
		Short:   "Make a token, signed with the secret",
		Long:    "Make a token for trying things out; your own backend makes those of your users.\nWithout --jwt-secret it takes the secret that a development server made in the data folder.",
		Example: "  weft token --sub ada --name Ada --doc notes=write --doc 'team7-*=read'",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if claims.User == "" {
				return usage("--sub is missing: the user's id")
			}
			if len(docs) == 0 && !claims.Admin {
				return usage("--doc is missing, and so the token would open nothing: --doc notes=write, or --admin")
			}
			if life <= 0 {
				return usage("--ttl %s: the token would be expired already", life)
			}
			secret := c.jwt.Secret
			if secret == "" {
				var err error
				if secret, err = devSecret(c.dataDir, false); err != nil {
					return usage("no secret: set WEFT_JWT_SECRET, or --data-dir to the folder of a development server")
				}
			}
			if len(secret) < jwt.MinSecret {
				return usage("the secret has %d bytes, it takes at least %d", len(secret), jwt.MinSecret)
			}
			claims.Docs = map[string]collab.Role{}
			for _, d := range docs {
				id, role, ok := strings.Cut(d, "=")
				if parsed := collab.ParseRole(role); ok && id != "" && (parsed != collab.None || role == "none") {
					claims.Docs[id] = parsed
					continue
				}
				return usage("--doc %q: id=role is the form, with read, comment, write, manage or none as the role", d)
			}
			claims.Expires = time.Now().Add(life)
			claims.Issuer, claims.Audience = c.jwt.Issuer, c.jwt.Audience
			token, err := jwt.Sign(secret, claims)
			if err != nil {
				return usageError{err}
			}
			fmt.Fprintln(cmd.OutOrStdout(), token)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.jwt.Secret, "jwt-secret", "", "secret, 32 bytes at least")
	f.StringVar(&c.dataDir, "data-dir", "./data", "folder of a development server, whose secret is taken without --jwt-secret")
	f.StringVar(&c.jwt.Issuer, "jwt-issuer", "", "iss of the token")
	f.StringVar(&c.jwt.Audience, "jwt-audience", "", "aud of the token")
	f.StringVar(&claims.User, "sub", "", "the user's id (required)")
	f.StringVar(&claims.Name, "name", "", "the user's name, which others see")
	f.StringVar(&claims.Picture, "picture", "", "address of the user's picture")
	f.StringArrayVar(&docs, "doc", nil, "document=role, where document may end in * for a prefix; may be given many times")
	f.BoolVar(&claims.Admin, "admin", false, "manage on all documents, and list them")
	f.DurationVar(&life, "ttl", time.Hour, "how long the token is good")
	return configured(cmd)
}

func healthCommand() *cobra.Command {
	c := &config{}
	alive := false
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a running server whether it can take connections",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			host, port, err := net.SplitHostPort(c.addr)
			if err != nil {
				return usage("--addr %s: %w", c.addr, err)
			}
			if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
				host = "127.0.0.1"
			}
			path := "/readyz"
			if alive {
				path = "/healthz"
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 5*time.Second)
			defer cancel()
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+path, nil)
			if err != nil {
				return err
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return err
			}
			response.Body.Close()
			if response.StatusCode != http.StatusOK {
				return fmt.Errorf("the server answers %s", response.Status)
			}
			fmt.Fprintln(cmd.OutOrStdout(), "ready")
			return nil
		},
	}
	cmd.Flags().StringVar(&c.addr, "addr", defaultAddr, "address of the server")
	cmd.Flags().BoolVar(&alive, "alive", false, "ask only whether it is alive")
	return configured(cmd)
}
