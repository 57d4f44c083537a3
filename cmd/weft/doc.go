package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
	"github.com/weft-collab/weft/persistence/sqlite"
)

func docCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doc",
		Short: "Look after the documents in a store",
		Long: `Look after documents, in the store itself: PostgreSQL, or the embedded store.

What only reads works beside running servers. What writes does so too on PostgreSQL, where
running nodes notice within seconds; the embedded store belongs to its server alone, so stop
that first (or use the HTTP API, and --retention of weft serve).`,
		Args: noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(docListCommand(), docShowCommand(), docExportCommand(), docHistoryCommand(), docCompactCommand(), docDeleteCommand(), docAuditCommand())
	return cmd
}

// reader opens the store for a command that only reads.
func (c *config) reader(ctx context.Context) (collab.Store, error) {
	log, err := c.logger(os.Stderr)
	if err != nil {
		return nil, err
	}
	if c.databaseURL != "" {
		return c.store(ctx, false, log)
	}
	return typedOrNil(sqlite.OpenReader(ctx, c.dataDir, log))
}

// writer opens the store for a command that writes.
func (c *config) writer(ctx context.Context) (collab.Store, error) {
	log, err := c.logger(os.Stderr)
	if err != nil {
		return nil, err
	}
	if c.databaseURL == "" { // a folder that is not there is not made
		reader, err := sqlite.OpenReader(ctx, c.dataDir, log)
		if err != nil {
			return nil, err
		}
		reader.Close()
	}
	store, err := c.store(ctx, false, log)
	if errors.Is(err, sqlite.ErrInUse) {
		return nil, fmt.Errorf("the embedded store in %s belongs to a server that is running: stop it first, or use its HTTP API (DELETE /v1/docs/{doc}) and its --retention", c.dataDir)
	}
	return store, err
}

// oneDoc takes the id of a document as the only argument.
func oneDoc(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usage("name one document; see --help")
	}
	return validDocs(args)
}

func validDocs(ids []string) error {
	for _, id := range ids {
		if !protocol.ValidDoc(id) {
			return usage("%q is not the id of a document", id)
		}
	}
	return nil
}

// reading is a command that reads the store.
func reading(cmd *cobra.Command, run func(cmd *cobra.Command, store collab.Store, args []string) error) *cobra.Command {
	c := &config{}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		store, err := c.reader(cmd.Context())
		if err != nil {
			return err
		}
		return errors.Join(run(cmd, store, args), store.Close())
	}
	c.storeFlags(cmd.Flags())
	return configured(cmd)
}

func when(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func docListCommand() *cobra.Command {
	prefix := ""
	cmd := &cobra.Command{Use: "list", Short: "List documents", Args: noArgs}
	cmd.Flags().StringVar(&prefix, "prefix", "", "only documents whose id begins so")
	return reading(cmd, func(cmd *cobra.Command, store collab.Store, _ []string) error {
		out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(out, "ID\tTYPE\tVERSION\tLOG FROM\tCREATED\tUPDATED")
		for after := ""; ; {
			docs, err := store.List(cmd.Context(), prefix, after, 1000)
			if err != nil {
				return err
			}
			for _, m := range docs {
				fmt.Fprintf(out, "%s\t%s\t%d\t%d\t%s\t%s\n", m.ID, m.Type, m.Version, m.Folded, when(m.Created), when(m.Updated))
				after = m.ID
			}
			if err := out.Flush(); err != nil || len(docs) == 0 {
				return err
			}
		}
	})
}

func docShowCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "show ID", Short: "Show what the store knows of a document", Args: oneDoc}
	return reading(cmd, func(cmd *cobra.Command, store collab.Store, args []string) error {
		doc, err := collab.ReadAt(cmd.Context(), store, args[0], -1)
		if err != nil {
			return err
		}
		versions, err := store.Versions(cmd.Context(), doc.ID)
		if err != nil {
			return err
		}
		content, err := contentOf(doc)
		if err != nil {
			return err
		}
		out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintf(out, "id\t%s\ntype\t%s\nversion\t%d\nlog from\t%d\ncreated\t%s\nupdated\t%s\nlength\t%d UTF-16 units\n",
			doc.ID, doc.Type, doc.Version, doc.Folded, when(doc.Created), when(doc.Updated), content.Len())
		for _, v := range versions {
			fmt.Fprintf(out, "version %d\t%q, named by %s at %s\n", v.Version, v.Name, v.User, when(v.At))
		}
		return out.Flush()
	})
}

func contentOf(doc collab.Document) (*ot.Document, error) {
	delta, err := ot.DecodeCommitted(doc.Content)
	if err != nil {
		return nil, err
	}
	return ot.DocumentOf(doc.Type, delta)
}

func docExportCommand() *cobra.Command {
	format, v := "", int64(-1)
	cmd := &cobra.Command{
		Use: "export ID", Short: "Write the content of a document to standard output", Args: oneDoc,
		Example: "  weft doc export handbook --format text\n  weft doc export handbook --v 120 > handbook.json",
	}
	cmd.Flags().StringVar(&format, "format", "delta", "delta or text")
	cmd.Flags().Int64Var(&v, "v", -1, "version; the newest by default")
	return reading(cmd, func(cmd *cobra.Command, store collab.Store, args []string) error {
		if format != "delta" && format != "text" {
			return usage("--format is delta or text; not %q", format)
		}
		doc, err := collab.ReadAt(cmd.Context(), store, args[0], v)
		if err != nil {
			return err
		}
		if format == "delta" {
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", doc.Content)
			return err
		}
		content, err := contentOf(doc)
		if err == nil {
			_, err = fmt.Fprint(cmd.OutOrStdout(), content.Text())
		}
		return err
	})
}

func docHistoryCommand() *cobra.Command {
	from, limit := int64(-1), int64(0)
	cmd := &cobra.Command{
		Use: "history ID", Short: "Write the operations of a document, a line of JSON each", Args: oneDoc,
		Long: "Write the operations of a document, a line of JSON each: the version that it made, client, seq, user, time and delta.",
	}
	cmd.Flags().Int64Var(&from, "from", -1, "from the operation after this version on; all that the log holds by default")
	cmd.Flags().Int64Var(&limit, "limit", 0, "operations at most; 0 for all")
	return reading(cmd, func(cmd *cobra.Command, store collab.Store, args []string) error {
		if limit < 0 {
			return usage("--limit %d: a number of operations, or 0 for all", limit)
		}
		meta, err := store.Meta(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if from < 0 {
			from = meta.Folded
		}
		out := bufio.NewWriter(cmd.OutOrStdout())
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		for v, last := from, meta.Version; v < last && (limit == 0 || v < from+limit); {
			ops, err := store.Log(cmd.Context(), meta.ID, v, 1000, 8<<20)
			if err != nil {
				return err
			}
			for _, op := range ops {
				if limit > 0 && v == from+limit {
					break
				}
				v++
				line := struct {
					V      int64           `json:"v"`
					Client string          `json:"c"`
					Seq    int64           `json:"seq"`
					User   string          `json:"u"`
					At     time.Time       `json:"at"`
					Delta  json.RawMessage `json:"d"`
				}{v, op.Client, op.Seq, op.User, op.At, op.Delta}
				if err := encoder.Encode(line); err != nil {
					return err
				}
			}
			if len(ops) == 0 {
				break
			}
		}
		return out.Flush()
	})
}

func docAuditCommand() *cobra.Command {
	limit := 0
	cmd := &cobra.Command{
		Use: "audit [ID]", Short: "Show which documents were deleted and purged, and by whom",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage("name one document, or none for all; see --help")
			}
			return validDocs(args)
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 1000, "lines at most, the newest first")
	return reading(cmd, func(cmd *cobra.Command, store collab.Store, args []string) error {
		if limit < 1 {
			return usage("--limit %d: a number of lines, 1 at least", limit)
		}
		entries, err := store.Audit(cmd.Context(), strings.Join(args, ""), limit)
		if err != nil {
			return err
		}
		out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(out, "TIME\tACTION\tDOCUMENT\tOPERATIONS\tBY")
		for _, e := range entries {
			fmt.Fprintf(out, "%s\t%s\t%s\t%d\t%q\n", when(e.At), e.Action, e.Doc, e.Operations, e.User)
		}
		return out.Flush()
	})
}

func docDeleteCommand() *cobra.Command {
	c := &config{}
	purge, yes, by := false, false, ""
	cmd := &cobra.Command{
		Use:   "delete ID…",
		Short: "Delete documents; with --purge remove them and their history for good",
		Long: `Delete documents: their sessions end, and their ids are not used again. What was deleted
stays in the store until it is purged: --purge removes content, history and names of a
document for good, also of one that was deleted before. Either leaves a line in the audit.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("name the documents to delete; see --help")
			}
			return validDocs(args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				if err := confirm(cmd, args, purge); err != nil {
					return err
				}
			}
			store, err := c.writer(cmd.Context())
			if err != nil {
				return err
			}
			for _, id := range args {
				if err = store.Delete(cmd.Context(), id, by, purge); err != nil {
					break
				}
				done := "deleted"
				if purge {
					done = "purged"
				}
				fmt.Fprintln(cmd.OutOrStdout(), id, "was", done)
			}
			return errors.Join(err, store.Close())
		},
	}
	cmd.Flags().BoolVar(&purge, "purge", false, "remove content and history for good")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().StringVar(&by, "by", operator(), "who the audit says it was")
	c.storeFlags(cmd.Flags())
	return configured(cmd)
}

// operator names who runs the command.
func operator() string {
	if u, err := user.Current(); err == nil {
		return "operator " + u.Username
	}
	return "operator"
}

// confirm asks for the ids again.
func confirm(cmd *cobra.Command, ids []string, purge bool) error {
	what := "delete"
	if purge {
		what = "purge for good"
	}
	want := strings.Join(ids, " ")
	fmt.Fprintf(cmd.ErrOrStderr(), "To %s, type what is to go (%s): ", what, want)
	line, _ := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if strings.TrimSpace(line) != want {
		return usage("nothing was deleted; --yes deletes without asking")
	}
	return nil
}
