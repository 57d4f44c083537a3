package ot

import "encoding/binary"

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
