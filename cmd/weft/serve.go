package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/prometheus"
	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/collab/redis"
	"github.com/weft-collab/weft/collab/rest"
	"github.com/weft-collab/weft/collab/websocket"
	"github.com/weft-collab/weft/frontend"
)

func randomSecret() string { return rand.Text() + rand.Text() }

func serveCommand() *cobra.Command {
	c := &config{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve documents",
		Long: `Serve documents, the HTTP API and the editor.

With --dev it runs on the embedded store, makes itself a secret, and gives tokens to
whoever opens the page. Otherwise it needs a key to verify tokens with. Several nodes
share one PostgreSQL, and hear of each other through Redis.`,
		Example: "  weft serve --dev\n  weft serve --database-url postgres://weft@db/weft --redis-url redis://redis:6379/0 --jwt-secret \"$SECRET\"",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), cmd, c)
		},
	}
	c.serveFlags(cmd.Flags())
	return configured(cmd)
}

// node is everything that serves.
type node struct {
	config *config
	log    *slog.Logger
	store  collab.Store
	hub    *collab.Hub
	socket *websocket.Handler
	http   *http.Server
	plain  atomic.Int64 // connections that are no sockets
}

// spareConnections are what a node takes beyond its sockets' bound: for HTTP, and to tell others that it is full.
const spareConnections = 1000

// plainly keeps the connections that are no sockets bounded, whoever opens them: each takes a descriptor.
func (n *node) plainly(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		open := n.plain.Add(1) + n.socket.Connections()
		if most := n.config.connections; most > 0 && open > int64(most)+spareConnections {
			c.Close()
		}
	case http.StateHijacked, http.StateClosed:
		n.plain.Add(-1)
	}
}

func serve(ctx context.Context, cmd *cobra.Command, c *config) error {
	if err := c.check(cmd.Flags().Changed("addr")); err != nil {
		return err
	}
	c.node = nodeName(c.node)
	log, err := c.logger(os.Stderr)
	if err != nil {
		return err
	}
	log = log.With("node", c.node)
	for _, name := range unknownVariables(cmd) {
		log.Warn("an environment variable looks like a setting and is none; `weft serve --help` lists them", "name", name)
	}
	n, err := newNode(ctx, c, log)
	if err != nil {
		return err
	}
	return n.run(ctx)
}

func newNode(ctx context.Context, c *config, log *slog.Logger) (*node, error) {
	verifier, err := c.verifier(ctx)
	if err != nil {
		return nil, err
	}
	var bus collab.Bus
	if c.redisURL != "" {
		b, err := redis.New(c.redisURL, c.redisPrefix, c.node+"/"+rand.Text(), log)
		if err != nil {
			return nil, usageError{err}
		}
		pinging, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		if err := b.Ping(pinging); err != nil {
			log.Warn("starting without the other nodes; edits reach them later", "error", err)
		}
		bus = b
	}
	store, err := c.store(ctx, c.migrate, log)
	if err != nil {
		return nil, err
	}
	n := &node{config: c, log: log, store: store}
	n.hub = collab.NewHub(collab.Config{
		Store: store, Bus: bus, Verifier: verifier, Logger: log, SessionsPerDocument: c.sessions, UnreadBytes: c.unread, IdleAfter: c.idleAfter, OpsPerDocument: c.opsPerDocument, PresenceEvery: c.presenceEvery, Keep: time.Duration(c.retention),
		Limits: protocol.Limits{Message: c.messageLimit, Document: c.documentLimit, Attributes: c.attributesLimit, OpsPerS: c.opsPerS, Presence: c.presenceLimit, Components: c.componentsLimit},
	})
	n.socket = websocket.New(n.hub, verifier, websocket.Config{
		Origins: c.origins, QueryToken: c.tokenInQuery, MaxConnections: c.connections, MaxPerUser: c.perUser, MessagesPerS: max(1000, 2*c.opsPerS), ComingBytes: c.unread, Logger: log,
	})
	n.http = &http.Server{
		Handler: n.routes(rest.New(rest.Config{
			Hub: n.hub, Verifier: verifier, Origins: c.origins, Socket: n.socket, Head: n.socket.Head, Logger: log,
			CallsPerUser: c.calls, UnreadBytes: c.unread,
		})),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: time.Minute, WriteTimeout: 2 * time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ConnState: n.plainly, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return n, nil
}

// routes puts the API, the pages and, on a development server, tokens under one roof.
func (n *node) routes(api http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/v1/", api)
	mux.Handle("/healthz", api)
	mux.Handle("/readyz", api)
	mux.Handle("GET /metrics", prometheus.Handler(n.hub.Stats))
	mux.Handle("/", frontend.Handler())
	if n.config.isDev() && n.config.jwt.Secret != "" {
		mux.Handle("POST /dev/token", devTokens(n.config))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Weft-Node", n.config.node)
		if n.config.echoTest && websocket.IsUpgrade(r) {
			n.socket.Echo(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// run serves until ctx ends, then drains.
func (n *node) run(ctx context.Context) error {
	listener, err := net.Listen("tcp", n.config.addr)
	if err != nil {
		n.store.Close()
		return usage("cannot listen on %s: %w; --addr names another address", n.config.addr, err)
	}
	var work sync.WaitGroup
	hubCtx, endHub := context.WithCancel(context.Background())
	failed := make(chan error, 2)
	work.Go(func() {
		if err := n.hub.Run(hubCtx); err != nil {
			failed <- err
		}
	})
	work.Go(func() {
		if err := n.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	})
	kept := "the embedded store in " + n.config.dataDir
	if n.config.databaseURL != "" {
		kept = "PostgreSQL"
	}
	n.log.Info("weft serves", "url", "http://"+hostPort(listener.Addr()), "store", kept, "dev", n.config.isDev())
	select {
	case <-ctx.Done():
	case err = <-failed:
		n.log.Error("the server failed", "error", err)
	}
	ending, cancel := context.WithTimeout(context.Background(), n.config.drain)
	defer cancel()
	n.shutdown(ending)
	endHub()
	ended := make(chan error, 1)
	go func() {
		work.Wait()
		ended <- n.store.Close()
	}()
	select {
	case closing := <-ended:
		return errors.Join(err, closing)
	case <-ending.Done(): // a store that does not answer must not keep the process
		return errors.Join(err, fmt.Errorf("not everything ended within %v; nothing that was acknowledged is lost", n.config.drain))
	}
}

// shutdown takes no new work, sends every session elsewhere, and finishes what is in
// flight. It leaves a part of ctx's time, two seconds at most, to what follows.
func (n *node) shutdown(ctx context.Context) {
	if deadline, ok := ctx.Deadline(); ok {
		most := time.Until(deadline)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, most-min(most/4, 2*time.Second))
		defer cancel()
	}
	n.log.Info("draining", "connections", n.socket.Connections(), "within", n.config.drain)
	n.socket.Drain()
	if err := n.hub.Drain(ctx); err != nil {
		n.log.Warn("not everything was finished in time; nothing that was acknowledged is lost", "error", err)
	}
	if err := n.socket.Wait(ctx); err != nil {
		n.log.Warn("some connections did not end in time, and are cut", "connections", n.socket.Connections())
		n.socket.Cut()
	}
	if err := n.http.Shutdown(ctx); err != nil {
		n.http.Close()
	}
	n.log.Info("drained")
}

// hostPort is an address as a browser on this machine takes it.
func hostPort(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	if ip := net.ParseIP(host); ip.IsUnspecified() || ip.IsLoopback() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
