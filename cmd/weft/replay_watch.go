package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/weft-collab/weft/collab/client"
)

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
