package postgrestest

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Programs is the folder of PostgreSQL's programs; "" where they are not installed.
func Programs() string { return binaries() }

// Over starts a server on a cluster that is there already, restored from a backup. The
// folder is given to the user that the server runs as.
func Over(tb testing.TB, data string) *Server {
	tb.Helper()
	s := &Server{bin: binaries(), data: data, port: freePort(tb), log: &bytes.Buffer{}}
	if os.Geteuid() == 0 {
		s.user = unprivileged(tb)
		give := func(path string) error { return os.Lchown(path, int(s.user.Uid), int(s.user.Gid)) }
		err := filepath.WalkDir(data, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return give(path)
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	if err := os.Chmod(data, 0o700); err != nil {
		tb.Fatal(err)
	}
	s.Restart(tb)
	tb.Cleanup(s.Kill)
	return s
}
