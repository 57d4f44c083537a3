package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-collab/weft/collab"
)

// compaction folds old operations.
type compaction struct {
	config
	keep               days
	all, dryRun, quiet bool
}

func docCompactCommand() *cobra.Command {
	p := &compaction{keep: days(30 * day)}
	cmd := &cobra.Command{
		Use:   "compact [ID…]",
		Short: "Fold old operations into a snapshot",
		Long: `Fold the single operations of documents that are older than --keep into one snapshot each.
Content, named versions, the newest operation and what keeps edits from being applied twice
stay; versions in between can no longer be read. A client that comes back from before then
gets the content instead of operations, and keeps its unsent edits.`,
		Example: "  weft doc compact --all --keep 90d --dry-run\n  weft doc compact handbook --keep 0",
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) > 0 && p.all:
				return usage("documents are named, and --all is given: it is one or the other")
			case len(args) == 0 && !p.all:
				return usage("name documents, or take --all of them; see --help")
			}
			return validDocs(args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			open := p.writer
			if p.dryRun {
				open = p.reader
			}
			store, err := open(cmd.Context())
			if err != nil {
				return err
			}
			return errors.Join(p.run(cmd, store, args), store.Close())
		},
	}
	f := cmd.Flags()
	f.Var(&p.keep, "keep", "how long single operations stay: 30d, 12h, or 0")
	f.BoolVar(&p.all, "all", false, "all documents")
	f.BoolVar(&p.dryRun, "dry-run", false, "say what would go, and change nothing")
	f.BoolVar(&p.quiet, "quiet", false, "no progress")
	p.storeFlags(f)
	return configured(cmd)
}

func (p *compaction) run(cmd *cobra.Command, store collab.Store, ids []string) error {
	ctx, before := cmd.Context(), time.Now().Add(-time.Duration(p.keep))
	if p.all {
		var err error
		if ids, err = foldable(ctx, store, before); err != nil {
			return err
		}
	}
	total := int64(0)
	logs := make([]int64, len(ids)) // operations in the log of each
	for i, id := range ids {
		meta, err := store.Meta(ctx, id)
		if err != nil {
			return err
		}
		logs[i] = meta.Version - meta.Folded
		total += logs[i]
	}
	fold, did := collab.Fold, "folded"
	if p.dryRun {
		did = "to fold"
		fold = func(ctx context.Context, store collab.Store, doc string, before time.Time, _ func(int64)) (int64, error) {
			return collab.Old(ctx, store, doc, before)
		}
	}
	show := progress(p.quiet, int(total), "folding", "operations")
	var looked, gone int64
	var failed error
	for i, id := range ids {
		n, err := fold(ctx, store, id, before, func(n int64) { show(int(looked + min(n, logs[i]))) })
		if gone += n; n > 0 {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %d operations %s\n", id, n, did)
		}
		if err != nil { // the other documents are not to wait for this one
			failed = errors.Join(failed, err)
			if ctx.Err() != nil {
				break
			}
		}
		looked += logs[i]
		show(int(looked))
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%d operations %s, of %d in %d documents\n", gone, did, total, len(ids))
	return failed
}

func foldable(ctx context.Context, store collab.Store, before time.Time) (all []string, err error) {
	for after := ""; ; after = all[len(all)-1] {
		ids, err := store.Foldable(ctx, before, after, 1000)
		if err != nil || len(ids) == 0 {
			return all, err
		}
		all = append(all, ids...)
	}
}
