package main

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// toNodesAtWork has the answers of PostgreSQL watched for an error, by its SQLSTATE, and
// reports whether every node that had sessions when this was called has been told so.
func (s *system) toNodesAtWork(t *testing.T, sqlstate string) (told func() bool) {
	t.Helper()
	var ears []<-chan struct{}
	for i, n := range s.nodes {
		f, err := measure(n)
		if err != nil {
			t.Fatal(err)
		}
		if f["weft_sessions"] > 0 {
			ears = append(ears, s.backs[i].Hear([]byte("C"+sqlstate+"\x00")))
		}
	}
	if len(ears) == 0 {
		t.Error("no node has a session")
	}
	return func() bool {
		for _, heard := range ears {
			select {
			case <-heard:
			default:
				return false
			}
		}
		return true
	}
}

func readOnly(t *testing.T, s *system, _ int) {
	const all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname <> current_database()"
	told := s.toNodesAtWork(t, "25006")
	s.postgres.Exec(t, s.postgres.URL(), "ALTER SYSTEM SET default_transaction_read_only = on")
	s.postgres.Exec(t, s.postgres.URL(), "SELECT pg_reload_conf()")
	s.postgres.Exec(t, s.postgres.URL(), all)
	pause(time.Second)
	meets(t, "PostgreSQL refuses no write", told)
	s.postgres.Exec(t, s.postgres.URL()+"&default_transaction_read_only=off", "ALTER SYSTEM RESET default_transaction_read_only")
	s.postgres.Exec(t, s.postgres.URL(), "SELECT pg_reload_conf()")
	s.postgres.Exec(t, s.postgres.URL(), all)
}

// poolUsedUp has every statement of every node wait for a lock, and more readers come than
// its pool has connections, so that each of those is taken; in the full round for longer
// than a node waits for the store.
func poolUsedUp(t *testing.T, s *system, round int) {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.database)
	if err != nil {
		t.Error(err)
		return
	}
	var readers sync.WaitGroup
	defer readers.Wait()
	defer conn.Close(ctx)
	if _, err = conn.Exec(ctx, "BEGIN"); err == nil {
		_, err = conn.Exec(ctx, "LOCK TABLE documents IN ACCESS EXCLUSIVE MODE")
	}
	if err != nil {
		t.Error(err)
		return
	}
	for i := range s.nodes {
		for range 2 * chaosPool {
			readers.Go(func() { s.read(t, i, newDoc()) })
		}
	}
	watch, err := pgx.Connect(ctx, s.postgres.URL())
	if err != nil {
		t.Error(err)
		return
	}
	defer watch.Close(ctx)
	lasts := time.After(time.Duration(times(2, 3+4*(round%4))) * time.Second)
	for i := range s.nodes {
		meets(t, chaosNode(i)+" has connections left", func() bool {
			waiting := 0
			err := watch.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'", chaosNode(i)).Scan(&waiting)
			if err != nil {
				t.Error(err)
			}
			return waiting == chaosPool || err != nil
		})
	}
	<-lasts
}

// connectionsUsedUp takes every connection that the server has, those of the nodes too.
func connectionsUsedUp(t *testing.T, s *system, _ int) {
	ctx := context.Background()
	var all []*pgx.Conn
	defer func() {
		for _, conn := range all {
			conn.Close(ctx)
		}
	}()
	told := s.toNodesAtWork(t, "53300")
	// Others are sent away, and what they leave is taken, from the first refusal on for a
	// while, until every node has been refused one.
	var end time.Time
	lasts := func() bool { return end.IsZero() || time.Now().Before(end) }
	for lasts() || !told() {
		conn, err := pgx.Connect(ctx, s.postgres.URL())
		if err == nil {
			all = append(all, conn)
			continue
		}
		if end.IsZero() {
			end = time.Now().Add(time.Duration(times(2, 5)) * time.Second)
		}
		if time.Now().After(end.Add(patience)) {
			t.Error("a node is refused no connection")
			return
		}
		if _, err := all[0].Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname <> current_database()"); err != nil {
			t.Error(err)
			return
		}
		pause(20 * time.Millisecond)
	}
}
