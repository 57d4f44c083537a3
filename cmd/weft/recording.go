package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/weft-collab/weft/ot"
)

// A recording is an editing history: of one author, or, where transactions have
// parents, of several at once. Positions are code points.
type recording struct {
	Start  string        `json:"startContent"`
	End    string        `json:"endContent"`
	Agents int           `json:"numAgents"`
	Txns   []transaction `json:"txns"`
}

// transaction is patches of one author, made on what its parents, and all before them, left.
type transaction struct {
	Parents []int   `json:"parents"`
	Agent   int     `json:"agent"`
	Patches []patch `json:"patches"`
}

// patch deletes code points at a position, and then inserts text there.
type patch struct {
	At, Deleted int
	Inserted    string
}

func (p *patch) UnmarshalJSON(data []byte) error {
	parts := []any{&p.At, &p.Deleted, &p.Inserted}
	if err := json.Unmarshal(data, &parts); err != nil || len(parts) != 3 {
		return fmt.Errorf("a patch is [position, deleted, inserted]; not %.60s", data)
	}
	return nil
}

// readRecording reads a file, gzipped or not.
func readRecording(file string) (*recording, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		r, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		if data, err = io.ReadAll(r); err != nil {
			return nil, err
		}
	}
	rec := &recording{}
	if err := json.Unmarshal(data, rec); err != nil {
		return nil, fmt.Errorf("%s is no recording: %w", file, err)
	}
	if len(rec.Txns) == 0 {
		return nil, fmt.Errorf("%s is no recording: it has no txns", file)
	}
	return rec, rec.check()
}

func (rec *recording) check() error {
	if rec.Agents == 0 { // one author, each transaction on the one before
		rec.Agents = 1
		for i := range rec.Txns {
			rec.Txns[i].Agent = 0
			if rec.Txns[i].Parents = nil; i > 0 {
				rec.Txns[i].Parents = []int{i - 1}
			}
		}
	}
	for i, t := range rec.Txns {
		if t.Agent < 0 || t.Agent >= rec.Agents {
			return fmt.Errorf("transaction %d is of author %d, of %d", i, t.Agent, rec.Agents)
		}
		for _, p := range t.Parents {
			if p < 0 || p >= i {
				return fmt.Errorf("transaction %d has parent %d, which is not before it", i, p)
			}
		}
		for _, p := range t.Patches {
			if p.At < 0 || p.Deleted < 0 {
				return fmt.Errorf("transaction %d has a position or length below 0", i)
			}
		}
	}
	return nil
}

// delta is the transaction as an edit of the content that its author saw.
func (t transaction) delta(content *ot.Document) (ot.Delta, error) {
	if len(t.Patches) == 1 {
		return t.Patches[0].delta(content)
	}
	whole := ot.Delta{}
	content = content.Clone()
	for _, p := range t.Patches {
		d, err := p.delta(content)
		if err != nil {
			return nil, err
		}
		if err := content.Apply(d); err != nil {
			return nil, err
		}
		whole = whole.Compose(d)
	}
	return whole, nil
}

func (p patch) delta(content *ot.Document) (ot.Delta, error) {
	at, end := content.UnitAt(p.At), content.UnitAt(p.At+p.Deleted)
	if end-at < p.Deleted {
		return nil, fmt.Errorf("a patch deletes %d at %d, and the content has %d units", p.Deleted, p.At, content.Len())
	}
	return ot.New().Retain(at).Insert(p.Inserted).Delete(end - at), nil
}

// knowledge is, for each transaction, how many transactions of each author it and its
// parents have behind them. Authors see their own, always.
func (rec *recording) knowledge() [][]int {
	known := make([][]int, len(rec.Txns))
	made := make([]int, rec.Agents)
	for i, t := range rec.Txns {
		k := make([]int, rec.Agents)
		for _, p := range t.Parents {
			for a, n := range known[p] {
				k[a] = max(k[a], n)
			}
		}
		made[t.Agent]++
		k[t.Agent] = made[t.Agent]
		known[i] = k
	}
	return known
}

// order is in which order transactions are committed: of the authors whose next one has
// all its parents behind it, the lowest goes first.
func (rec *recording) order() []int {
	queues := make([][]int, rec.Agents)
	for i, t := range rec.Txns {
		queues[t.Agent] = append(queues[t.Agent], i)
	}
	done := make([]bool, len(rec.Txns))
	order := make([]int, 0, len(rec.Txns))
	ready := func(i int) bool {
		for _, p := range rec.Txns[i].Parents {
			if !done[p] {
				return false
			}
		}
		return true
	}
	for len(order) < len(rec.Txns) {
		for a := range queues {
			if len(queues[a]) > 0 && ready(queues[a][0]) {
				done[queues[a][0]] = true
				order = append(order, queues[a][0])
				queues[a] = queues[a][1:]
				break
			}
		}
	}
	return order
}

// text is what the recording ends in, in code points.
func (rec *recording) length() int { return utf8.RuneCountInString(rec.End) }
