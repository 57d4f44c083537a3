package websocket_test

import (
	"bytes"
	"testing"

	"github.com/weft-collab/weft/collab"
	"github.com/weft-collab/weft/collab/websocket"
)

// A code point may be cut by fragments, frames and packets at any of its bytes; what is
// no UTF-8 is found at any of them, and as soon as it comes.
func TestUTF8IsJudgedAcrossEverySplit(t *testing.T) {
	addr, _ := start(t, collab.Config{}, websocket.Config{})
	for _, c := range []struct {
		text string
		last byte // of its frames
		want string
	}{
		{"aé日😀z", fin | more, "text aé日😀z"},
		{"aé日\xf0\x9f\x98", fin | more, "close 1007|end"},
		{"aé日\xf0\x9f\x98z", fin | more, "close 1007|end"},
		{"aé日\xf0\x9f\x98z", more, "close 1007|end"},
	} {
		for i := range len(c.text) + 1 {
			for j := i; j <= len(c.text); j++ {
				socket := open(t, addr, "/", "ada")
				socket.write(frame{first: text, payload: c.text[:i]}, frame{first: more, payload: c.text[i:j]}, frame{first: c.last, payload: c.text[j:]})
				if got := socket.answers(c.want); got != c.want {
					t.Errorf("%q cut at %d and %d: the server says %q", c.text, i, j, got)
				}
				socket.Close()
			}
		}
	}
}

// wellFormed is table 3-7 of the Unicode standard: which bytes make a code point.
var wellFormed = []struct{ first, last, low, high, more byte }{ // first bytes, second bytes, and how many come after those
	{0xc2, 0xdf, 0x80, 0xbf, 0},
	{0xe0, 0xe0, 0xa0, 0xbf, 1},
	{0xe1, 0xec, 0x80, 0xbf, 1},
	{0xed, 0xed, 0x80, 0x9f, 1},
	{0xee, 0xef, 0x80, 0xbf, 1},
	{0xf0, 0xf0, 0x90, 0xbf, 2},
	{0xf1, 0xf3, 0x80, 0xbf, 2},
	{0xf4, 0xf4, 0x80, 0x8f, 2},
}

// The first and last code points of each length and kind are text. Those that are written too long,
// surrogates, those above U+10FFFF, and bytes that are too few, too many or nothing at all are not.
func TestTextIsWellFormed(t *testing.T) {
	addr, _ := start(t, collab.Config{}, websocket.Config{})
	judge := func(s, want string) {
		socket := open(t, addr, "/", "ada")
		defer socket.Close()
		socket.write(frame{first: fin | text, payload: s})
		if got := socket.answers(want); got != want {
			t.Errorf("% x: the server says %q, not %q", s, got, want)
		}
	}
	good := func(b ...byte) { judge("a"+string(b)+"z", "text a"+string(b)+"z") }
	bad := func(b ...byte) { judge("a"+string(b)+"z", "close 1007|end"); judge(string(b), "close 1007|end") }
	good(0)
	good(0x7f)
	starts := map[byte]bool{}
	for _, w := range wellFormed {
		for first := int(w.first); first <= int(w.last); first++ {
			starts[byte(first)] = true
		}
		for _, first := range []byte{w.first, w.last} {
			tail := func(b byte) []byte { return bytes.Repeat([]byte{b}, int(w.more)) }
			with := func(second byte, tail ...byte) []byte { return append([]byte{first, second}, tail...) }
			good(with(w.low, tail(0x80)...)...)
			good(with(w.high, tail(0xbf)...)...)
			bad(with(w.low-1, tail(0x80)...)...)
			bad(with(w.high+1, tail(0x80)...)...)
			bad(with(w.low, tail(0x80)...)[:w.more+1]...)
			bad(append(with(w.low, tail(0x80)...), 0x80)...)
			if w.more > 0 {
				bad(with(w.low, tail(0x7f)...)...)
				bad(with(w.low, tail(0xc0)...)...)
			}
		}
	}
	for b := 0x80; b <= 0xff; b++ {
		if !starts[byte(b)] {
			bad(byte(b))
			bad(byte(b), 0x80, 0x80, 0x80, 0x80, 0x80)
		}
	}
}
