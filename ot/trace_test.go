package ot_test

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"unicode/utf8"

	"github.com/weft-collab/weft/ot"
)

// A trace is a recorded history of one writer, from an empty document.
type trace struct {
	deltas []ot.Delta // one an edit
	bytes  []byteEdit // the same, for a buffer of bytes
	end    string
}

type byteEdit struct {
	at, deleted int
	inserted    string
}

// readTrace reads a recording. It counts in code points: its edits are played on an
// array of characters to find their UTF-16 units and bytes.
func readTrace(file string) (tr trace, err error) {
	f, err := os.Open(file)
	if err != nil {
		return tr, err
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		return tr, err
	}
	var recorded struct {
		EndContent string
		Txns       []struct{ Patches [][3]any }
	}
	if err := json.NewDecoder(unzipped).Decode(&recorded); err != nil {
		return tr, err
	}
	var content pieces
	for _, txn := range recorded.Txns {
		for _, p := range txn.Patches {
			at, deleted, inserted := int(p[0].(float64)), int(p[1].(float64)), p[2].(string)
			before := content.size(0, at)
			gone := content.size(at, at+deleted)
			content = content.edit(at, deleted, inserted)
			tr.deltas = append(tr.deltas, ot.New().Retain(before.units).Insert(inserted).Delete(gone.units))
			tr.bytes = append(tr.bytes, byteEdit{before.bytes, gone.bytes, inserted})
		}
	}
	tr.end = recorded.EndContent
	return tr, nil
}

// pieces is a content as an array of characters, of which it knows whether all are ASCII.
type pieces struct {
	chars []rune
	wide  int // characters that are not ASCII
}

type size struct{ units, bytes int }

func (p pieces) size(from, to int) (s size) {
	if p.wide == 0 {
		return size{to - from, to - from}
	}
	for _, r := range p.chars[from:to] {
		s.bytes += utf8.RuneLen(r)
		s.units += ot.Units(string(r))
	}
	return s
}

func (p pieces) edit(at, deleted int, inserted string) pieces {
	put := []rune(inserted)
	for _, r := range p.chars[at : at+deleted] {
		if r >= utf8.RuneSelf {
			p.wide--
		}
	}
	for _, r := range put {
		if r >= utf8.RuneSelf {
			p.wide++
		}
	}
	tail := len(p.chars) - at - deleted
	grown := append(p.chars, put...)
	copy(grown[at+len(put):], grown[at+deleted:at+deleted+tail])
	copy(grown[at:], put)
	p.chars = grown[:at+len(put)+tail]
	return p
}

// A gapBuffer is bytes with the free space where the last edit was: the
// least that an editor of text must do.
type gapBuffer struct {
	buf        []byte
	start, end int // the gap
}

func (g *gapBuffer) len() int { return len(g.buf) - (g.end - g.start) }

func (g *gapBuffer) edit(at, deleted int, inserted string) {
	if g.end-g.start < len(inserted) {
		grown := make([]byte, 2*len(g.buf)+len(inserted)+1024)
		tail := len(g.buf) - g.end
		copy(grown, g.buf[:g.start])
		copy(grown[len(grown)-tail:], g.buf[g.end:])
		g.buf, g.end = grown, len(grown)-tail
	}
	if n := g.start - at; n > 0 {
		copy(g.buf[g.end-n:g.end], g.buf[at:g.start])
		g.start, g.end = at, g.end-n
	} else if n < 0 {
		copy(g.buf[g.start:], g.buf[g.end:g.end-n])
		g.start, g.end = at, g.end-n
	}
	g.end += deleted
	g.start += copy(g.buf[g.start:], inserted)
}
