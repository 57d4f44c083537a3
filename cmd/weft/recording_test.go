package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/weft-collab/weft/ot"
)

// author is a replica with neither server nor wire.
type author struct {
	v       int
	content *ot.Document // as the author sees it
	unsent  []ot.Delta   // not in the log
	known   []int
	next    int // of its transactions
}

// merge commits a recording in its order without any server, and returns the text.
func merge(t *testing.T, rec *recording) string {
	t.Helper()
	known, order := rec.knowledge(), rec.order()
	begin := ot.NewDocument(ot.Text)
	if err := begin.Apply(ot.New().Insert(rec.Start)); err != nil {
		t.Fatal(err)
	}
	type entry struct {
		agent int
		delta ot.Delta
	}
	var log []entry
	server := begin.Clone()
	authors := make([]*author, rec.Agents)
	queues := make([][]int, rec.Agents)
	for i, txn := range rec.Txns {
		queues[txn.Agent] = append(queues[txn.Agent], i)
	}
	for a := range authors {
		authors[a] = &author{content: begin.Clone(), known: make([]int, rec.Agents)}
	}
	// write makes every edit of an author for which it knows enough.
	write := func(a int) {
		me := authors[a]
		for me.next < len(queues[a]) {
			i := queues[a][me.next]
			for b, n := range known[i] {
				if b != a && n != me.known[b] {
					return
				}
			}
			d, err := rec.Txns[i].delta(me.content)
			if err == nil {
				err = me.content.Apply(d)
			}
			if err != nil {
				t.Fatalf("transaction %d: %v", i, err)
			}
			me.unsent = append(me.unsent, d)
			me.next++
		}
	}
	read := func(a int) {
		me := authors[a]
		write(a)
		for ; me.v < len(log); me.v++ {
			op := log[me.v]
			if op.agent == a {
				me.unsent = me.unsent[1:]
				continue
			}
			remote := op.delta
			for i, mine := range me.unsent {
				remote, me.unsent[i] = mine.Transform(remote, false), remote.Transform(mine, true)
			}
			if err := me.content.Apply(remote); err != nil {
				t.Fatal(err)
			}
			me.known[op.agent]++
			write(a)
		}
	}
	for _, i := range order {
		a := rec.Txns[i].Agent
		read(a)
		d := authors[a].unsent[0]
		if err := server.Apply(d); err != nil {
			t.Fatalf("transaction %d: %v", i, err)
		}
		log = append(log, entry{a, d})
	}
	return server.Text()
}

func TestRecordingsEndAsTheyDid(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.json")
	shared, _ := filepath.Glob("../../../shared/traces/*.json.gz")
	if len(shared) == 0 {
		t.Log("the large recordings are not here; the small ones stand in for them")
	}
	for _, file := range append(files, shared...) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			if _, err := os.Stat(file); err != nil {
				t.Fatal(err)
			}
			rec, err := readRecording(file)
			if err != nil {
				t.Fatal(err)
			}
			if got := merge(t, rec); got != rec.End {
				t.Errorf("it ends in %d bytes instead of %d", len(got), len(rec.End))
			}
		})
	}
}
