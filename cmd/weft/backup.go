package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weft-collab/weft/persistence/sqlite"
)

// oneFile takes the name of a file as the only argument.
func oneFile(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usage("name one file; see --help")
	}
	return nil
}

// embedded refuses what is for the embedded store where PostgreSQL is configured.
func (c *config) embedded() error {
	if c.databaseURL != "" {
		return usage("this is for the embedded store; PostgreSQL has tools of its own (pg_dump, pg_basebackup), and docs/operations.md says how to use them")
	}
	return nil
}

func backupCommand() *cobra.Command {
	c := &config{}
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write a backup of the embedded store, also while it is served",
		Long:  "Write the embedded store, as it stands at one moment, to a new file. Servers go on meanwhile. The file is checked before it gets its name.",
		Args:  oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.embedded(); err != nil {
				return err
			}
			if err := sqlite.Backup(cmd.Context(), c.dataDir, args[0]); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), args[0], "was written")
			return nil
		},
	}
	c.storeFlags(cmd.Flags())
	return configured(cmd)
}

func restoreCommand() *cobra.Command {
	c := &config{}
	replace := false
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup of the embedded store in place; its server is stopped",
		Long: `Check a backup that weft backup wrote, and put it into the data folder. The server of that
folder is stopped first. What is there already is kept beside it with --replace, and
otherwise nothing is done.`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.embedded(); err != nil {
				return err
			}
			aside, err := sqlite.Restore(cmd.Context(), args[0], c.dataDir, replace)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), args[0], "was restored into", c.dataDir)
			if aside != "" {
				fmt.Fprintln(cmd.OutOrStdout(), "what was there is now", aside)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&replace, "replace", false, "put a database that is there aside")
	c.storeFlags(cmd.Flags())
	return configured(cmd)
}
