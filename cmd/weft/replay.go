package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/client"
	"github.com/weft-collab/weft/collab/jwt"
	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

const stalled = time.Minute // without progress, after which a replay is given up

// replay plays a recording through servers.
type replay struct {
	urls          []string
	doc           string
	secret, token string
	free          bool
	batch         int
	quiet         bool
	out           io.Writer
	rec           *recording
	known         [][]int
	queues        [][]int // transactions of each author
	seen          []bool  // of transactions: somebody edits having seen this one, and not the author's next
	order         []int   // transactions in the order of their commits; nil: any
	turn          atomic.Int64
	turned        chan struct{}
	writers       []*writer
	agents        map[string]int // by client id
	acknowledged  atomic.Int64   // transactions
	operations    atomic.Int64
}

// writer is one author of the recording.
type writer struct {
	*replay
	agent  int
	client *client.Client
	known  []int
	next   int   // of its transactions
	sizes  []int // transactions in each operation that is not acknowledged
	node   string
	err    error
}

func replayCommand() *cobra.Command {
	p := &replay{}
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Replay an editing history through running servers, and check that it comes out right",
		Long: `Replay a recording (JSON, gzipped or not) through real WebSockets: one client an author,
spread over the given nodes, each edit an operation of its own. At the end every replica and
the store, as each node reads it, must agree, and end as the recording does.

A recording of several authors is committed in a fixed order, so that its end is always the
same. With --free all write as they come; then replicas, store and length must agree.`,
		Example: "  weft replay session.json.gz --url http://localhost:8080\n  weft replay session.json.gz --url http://node1:8080 --url http://node2:8080 --secret \"$SECRET\"",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("replay takes one file; see --help")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			rec, err := readRecording(args[0])
			if err != nil {
				return usageError{err}
			}
			if p.batch < 1 {
				return usage("--batch takes at least 1")
			}
			p.rec, p.out = rec, cmd.OutOrStdout()
			return p.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&p.urls, "url", []string{"http://localhost:8080"}, "address of a node; may be given many times")
	f.StringVar(&p.doc, "doc", "", "document to write into, which must not exist; one is drawn by default")
	f.StringVar(&p.secret, "jwt-secret", "", "secret to sign tokens with; without it, and without --token, a development server is asked")
	f.StringVar(&p.token, "token", "", "token to use for every author")
	f.BoolVar(&p.free, "free", false, "let all authors write as they come")
	f.IntVar(&p.batch, "batch", 1, "transactions of one author in one operation, where nobody saw what is between")
	f.BoolVar(&p.quiet, "quiet", false, "no progress")
	f.StringVar(&p.secret, "secret", "", "the same as --jwt-secret")
	_ = f.MarkHidden("secret")
	return configured(cmd)
}

func (p *replay) run(ctx context.Context) error {
	if p.doc == "" {
		p.doc = "replay-" + strings.ToLower(rand.Text()[:12])
	}
	p.known = p.rec.knowledge()
	p.queues = make([][]int, p.rec.Agents)
	for i, t := range p.rec.Txns {
		p.queues[t.Agent] = append(p.queues[t.Agent], i)
	}
	p.boundaries()
	if !p.free {
		p.order = p.rec.order()
	}
	if err := p.create(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p.start(ctx, cancel)
	defer func() {
		for _, w := range p.writers {
			w.client.Close()
		}
	}()
	for _, w := range p.writers {
		if err := w.client.Ready(ctx); err != nil {
			return p.failure(ctx, fmt.Errorf("author %d: %w", w.agent, err))
		}
	}
	began := time.Now()
	var watching sync.WaitGroup
	watched, unwatch := context.WithCancel(ctx)
	watching.Go(func() { p.watch(watched, cancel) })
	err := p.finish(ctx)
	took := time.Since(began)
	unwatch()
	watching.Wait()
	if err != nil {
		return p.failure(ctx, err)
	}
	if err := p.check(ctx); err != nil {
		return err
	}
	p.report(took)
	return nil
}

// failure prefers why the replay was given up.
func (p *replay) failure(ctx context.Context, err error) error {
	for _, w := range p.writers {
		if w.err != nil {
			return w.err
		}
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// boundaries finds the transactions after which an operation must end.
func (p *replay) boundaries() {
	p.seen = make([]bool, len(p.rec.Txns))
	for i, k := range p.known {
		for a, n := range k {
			if a != p.rec.Txns[i].Agent && n > 0 {
				p.seen[p.queues[a][n-1]] = true
			}
		}
	}
}

// create makes the document with what the recording begins with.
func (p *replay) create(ctx context.Context) error {
	content := ot.New().Insert(p.rec.Start)
	body := fmt.Appendf(nil, `{"id":%q,"type":"text","content":%s}`, p.doc, content.AppendJSON(nil))
	_, err := p.call(ctx, http.MethodPost, p.urls[0]+"/v1/docs", body)
	return err
}

// call makes one request of the API.
func (p *replay) call(ctx context.Context, method, url string, body []byte) ([]byte, error) {
	token, err := p.tokenFor(ctx, "replay")
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, usageError{err}
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: the server answers %s: %s", method, url, response.Status, data)
	}
	return data, err
}

func (p *replay) tokenFor(ctx context.Context, user string) (string, error) {
	switch {
	case p.token != "":
		return p.token, nil
	case p.secret != "":
		return jwt.Sign(p.secret, jwt.Claims{User: user, Name: user, Expires: time.Now().Add(time.Hour), Docs: map[string]collab.Role{p.doc: collab.Manage}})
	}
	body, _ := json.Marshal(map[string]string{"doc": p.doc, "sub": user, "name": user, "role": "manage"}) // strings alone: cannot fail
	response, err := http.Post(p.urls[0]+"/dev/token", "application/json", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var got struct{ Token string }
	if response.StatusCode != http.StatusOK || json.NewDecoder(response.Body).Decode(&got) != nil {
		return "", usage("%s is no development server: give --jwt-secret or --token", p.urls[0])
	}
	return got.Token, nil
}

func (p *replay) start(ctx context.Context, cancel context.CancelCauseFunc) {
	p.agents = map[string]int{}
	p.turned = make(chan struct{}, 1)
	var configs []client.Config
	for a := range p.rec.Agents {
		w := &writer{replay: p, agent: a, known: make([]int, p.rec.Agents)}
		p.writers = append(p.writers, w)
		id := rand.Text()
		p.agents[id] = a
		name := fmt.Sprint("author ", a)
		c := client.Config{
			Servers: append(slices.Clone(p.urls[a%len(p.urls):]), p.urls[:a%len(p.urls)]...),
			Doc:     p.doc, Type: ot.Text, ID: id,
			Token: func(ctx context.Context) (string, error) { return p.tokenFor(ctx, name) },
			OnWelcome: func(r *client.Replica, node string) {
				w.node = node
				w.write(r, cancel)
			},
			OnOperation: func(r *client.Replica, op protocol.Committed, own bool) { w.operation(r, op, own, cancel) },
		}
		if p.order != nil {
			c.MaySend = w.mayNext
		}
		configs = append(configs, c)
	}
	for a, c := range configs {
		p.writers[a].client = client.Open(ctx, c)
	}
}

// mayNext reports whether the next commit is this author's.
func (w *writer) mayNext() bool {
	turn := w.turn.Load()
	return turn < int64(len(w.order)) && w.rec.Txns[w.order[turn]].Agent == w.agent
}

func (w *writer) operation(r *client.Replica, op protocol.Committed, own bool, cancel context.CancelCauseFunc) {
	from, ours := w.agents[op.Client]
	switch {
	case own:
		n := w.sizes[0]
		w.sizes = w.sizes[1:]
		w.operations.Add(1)
		w.acknowledged.Add(int64(n))
		w.turn.Add(int64(n))
		select {
		case w.turned <- struct{}{}:
		default:
		}
		return
	case !ours:
		return // what the recording began with
	}
	// How many transactions an operation holds follows from the boundaries, as its author cut it by them.
	w.known[from] += w.span(from, w.known[from])
	w.write(r, cancel)
}

// span is how many transactions an author puts into the operation that begins with its n-th.
func (p *replay) span(agent, n int) int {
	size := 0
	for _, i := range p.queues[agent][n:] {
		if size > 0 && !p.sameSight(agent, i) {
			break
		}
		size++
		if size == p.batch || p.seen[i] {
			break
		}
	}
	return size
}

// sameSight reports whether a transaction's author had seen no more of others than at the one before.
func (p *replay) sameSight(agent, i int) bool {
	n := p.known[i][agent] - 1 // its index among the author's
	if n == 0 {
		return true
	}
	before := p.known[p.queues[agent][n-1]]
	for a, k := range p.known[i] {
		if a != agent && k != before[a] {
			return false
		}
	}
	return true
}

// write makes every edit for which the author has seen what it had seen then.
func (w *writer) write(r *client.Replica, cancel context.CancelCauseFunc) {
	mine := w.queues[w.agent]
	for w.next < len(mine) && w.err == nil {
		for a, n := range w.known {
			if a != w.agent && n != w.replay.known[mine[w.next]][a] {
				return
			}
		}
		size := w.span(w.agent, w.next)
		for _, i := range mine[w.next : w.next+size] {
			d, err := w.rec.Txns[i].delta(r.View())
			if err == nil {
				err = r.Edit(d)
			}
			if err != nil {
				w.err = fmt.Errorf("transaction %d of the recording: %w", i, err)
				cancel(w.err)
				return
			}
		}
		r.Seal()
		w.sizes = append(w.sizes, size)
		w.next += size
	}
}

// finish waits until every edit is stored and everyone has seen all of them.
func (p *replay) finish(ctx context.Context) error {
	for _, w := range p.writers {
		if err := w.client.Wait(ctx, func(r *client.Replica) bool { return w.next == len(p.queues[w.agent]) && r.Unsent() == 0 }); err != nil {
			return fmt.Errorf("author %d: %w", w.agent, err)
		}
	}
	var newest int64
	for _, w := range p.writers {
		w.client.Do(func(r *client.Replica) { newest = max(newest, r.Version()) })
	}
	for _, w := range p.writers {
		if err := w.client.Wait(ctx, func(r *client.Replica) bool { return r.Version() >= newest }); err != nil {
			return fmt.Errorf("author %d: %w", w.agent, err)
		}
	}
	return nil
}

// watch shows progress, hands on the turn, and gives up when nothing happens any more.
func (p *replay) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	total := len(p.rec.Txns)
	show := progress(p.quiet, total, "replaying", "edits")
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	last, since := int64(-1), time.Now()
	for {
		select {
		case <-ctx.Done():
			show(total)
			return
		case <-p.turned:
			if turn := p.turn.Load(); p.order != nil && turn < int64(total) {
				p.writers[p.rec.Txns[p.order[turn]].Agent].client.Kick()
			}
		case <-ticker.C:
			n := p.acknowledged.Load()
			show(int(n))
			if n != last {
				last, since = n, time.Now()
			} else if time.Since(since) > stalled {
				cancel(fmt.Errorf("nothing has happened for %v, after %d of %d transactions", stalled, n, total))
				return
			}
		}
	}
}

// check compares every replica, and the store as each node reads it.
func (p *replay) check(ctx context.Context) error {
	want := p.writers[0].client.Content().Text()
	if !p.free && want != p.rec.End {
		return fmt.Errorf("it ends differently from the recording: %s", firstDifference(want, p.rec.End))
	}
	if n := utf8.RuneCountInString(want); n != p.rec.length() {
		return fmt.Errorf("it ends in %d code points, the recording in %d", n, p.rec.length())
	}
	for _, w := range p.writers[1:] {
		if got := w.client.Content().Text(); got != want {
			return fmt.Errorf("the replicas of authors 0 and %d differ: %s", w.agent, firstDifference(got, want))
		}
	}
	for _, url := range p.urls {
		got, err := p.call(ctx, http.MethodGet, url+"/v1/docs/"+p.doc+"?format=text", nil)
		if err != nil {
			return err
		}
		if string(got) != want {
			return fmt.Errorf("the store, as %s reads it, differs from the replicas: %s", url, firstDifference(string(got), want))
		}
	}
	return nil
}

func firstDifference(got, want string) string {
	n := 0
	for n < len(got) && n < len(want) && got[n] == want[n] {
		n++
	}
	around := func(s string) string { return s[max(0, n-20):min(len(s), n+20)] }
	return fmt.Sprintf("at byte %d there is %q instead of %q", n, around(got), around(want))
}

func (p *replay) report(took time.Duration) {
	var nodes []string
	slow := 0
	for _, w := range p.writers {
		if !slices.Contains(nodes, w.node) {
			nodes = append(nodes, w.node)
		}
		slow += w.client.Slowed()
	}
	end := "end as the recording does"
	if p.free {
		end = "have its length"
	}
	fmt.Fprintf(p.out, "%s: %d edits of %d authors, in %d operations, over %s, in %.1f s (%.0f edits/s)\n",
		p.doc, len(p.rec.Txns), p.rec.Agents, p.operations.Load(), strings.Join(nodes, " and "), took.Seconds(), float64(len(p.rec.Txns))/took.Seconds())
	fmt.Fprintf(p.out, "every replica and the store agree, and %s\n", end)
	if slow > 0 {
		fmt.Fprintf(p.out, "the server asked %d times to wait, as it allows %d operations a second; --max-ops-per-second of `weft serve` allows more\n",
			slow, p.writers[0].client.Limits().OpsPerS)
	}
}
