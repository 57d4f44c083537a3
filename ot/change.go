package ot

import (
	"encoding/binary"
	"slices"

	"github.com/aymanbagabas/go-udiff/lcs"
)

// A change replaces the symbols from one index to another by those of the other sequence from start to end.
type change struct{ from, to, start, end int }

// changesOf is what turns x into y. Lines are compared first, and within the lines that differ
// symbols: so a paragraph that moved in is one insert, and not letters found here and there.
func changesOf(x, y []rune) []change {
	xs, ys := linesOf(x), linesOf(y)
	ids := map[string]rune{}
	var out []change
	for _, c := range compare(identify(x, xs, ids), identify(y, ys, ids)) {
		from, start := xs[c.from], ys[c.start]
		for _, inside := range compare(x[from:xs[c.to]], y[start:ys[c.end]]) {
			out = append(out, change{from + inside.from, from + inside.to, start + inside.start, start + inside.end})
		}
	}
	return out
}

// compare is what turns x into y, by the search that the Go tools use. That gives up after a number of
// changes and leaves one large one in the middle, which is searched again for as long as it gets smaller: so
// the time is in proportion to the length and to the changes.
func compare(x, y []rune) (out []change) {
	pending := []change{{0, len(x), 0, len(y)}}
	for len(pending) > 0 {
		block := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		if block.from == block.to || block.start == block.end {
			out = append(out, block)
			continue
		}
		found := lcs.DiffRunes(x[block.from:block.to], y[block.start:block.end])
		for _, d := range slices.Backward(found) {
			c := change{block.from + d.Start, block.from + d.End, block.start + d.ReplStart, block.start + d.ReplEnd}
			pending = append(pending, c)
		}
		if len(found) == 1 && pending[len(pending)-1] == block { // nothing in common
			pending = pending[:len(pending)-1]
			out = append(out, block)
		}
	}
	return slices.DeleteFunc(out, func(c change) bool { return c.from == c.to && c.start == c.end })
}

// linesOf is where the lines begin, and the end of the last.
func linesOf(x []rune) []int {
	out := []int{0}
	for i, r := range x {
		if r == '\n' {
			out = append(out, i+1)
		}
	}
	if out[len(out)-1] != len(x) {
		out = append(out, len(x))
	}
	return out
}

// identify gives equal lines equal numbers.
func identify(x []rune, lines []int, ids map[string]rune) []rune {
	out := make([]rune, 0, len(lines))
	var key []byte
	for i, end := range lines[1:] {
		key = key[:0]
		for _, r := range x[lines[i]:end] {
			key = binary.LittleEndian.AppendUint32(key, uint32(r))
		}
		id, known := ids[string(key)]
		if !known {
			id = rune(len(ids))
			ids[string(key)] = id
		}
		out = append(out, id)
	}
	return out
}

// coarser joins changes with no more than gap symbols between them.
func coarser(changes []change, gap int) []change {
	out := []change{changes[0]}
	for _, c := range changes[1:] {
		if last := &out[len(out)-1]; c.from-last.to <= gap {
			last.to, last.end = c.to, c.end
			continue
		}
		out = append(out, c)
	}
	return out
}
