// Command weft is the collaborative editing server and its tools.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes: 1 where something failed, 2 where the command or its configuration is wrong.
const (
	exitFailure = 1
	exitUsage   = 2
)

// usageError is an error in how the command was called or configured.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// Who interrupts again does not want to wait for what is being finished.
	context.AfterFunc(ctx, func() { signal.Reset(os.Interrupt) })
	err := root().ExecuteContext(ctx)
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "weft:", err)
	var u usageError
	if errors.As(err, &u) {
		os.Exit(exitUsage)
	}
	os.Exit(exitFailure)
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "weft",
		Short:         "Collaborative documents: the server and its tools",
		Long:          "Weft serves documents that many people edit at once. `weft serve --dev` starts a server to try it on.\n\nEvery flag has an environment variable: --database-url is WEFT_DATABASE_URL.",
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	cmd.AddCommand(serveCommand(), migrateCommand(), tokenCommand(), docCommand(), backupCommand(), restoreCommand(), replayCommand(), healthCommand())
	return cmd
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return info.Main.Version + " (" + s.Value[:min(12, len(s.Value))] + ")"
		}
	}
	return info.Main.Version
}

// noCommand refuses a command that there is not.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "see --help"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + near[0] + "?"
	}
	return usage("there is no command %q; %s", args[0], hint)
}

// noArgs refuses arguments as a usage error.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%q is more than this command takes; see --help", args[0])
	}
	return nil
}
