package ot

import "math/bits"

// Units is the length of text in UTF-16 code units.
func Units(text string) int { return units(text) }

// Eight bytes of UTF-8 are looked at in one word: its bytes' high bits.
const highBits = 0x8080808080808080

func word[T string | []byte](text T, at int) uint64 {
	_ = text[at+7]
	return uint64(text[at]) | uint64(text[at+1])<<8 | uint64(text[at+2])<<16 | uint64(text[at+3])<<24 |
		uint64(text[at+4])<<32 | uint64(text[at+5])<<40 | uint64(text[at+6])<<48 | uint64(text[at+7])<<56
}

// wordUnits is how many units begin in a word: one for each byte that continues no other, and one more for
// the first of four.
func wordUnits(w uint64) int {
	if w&highBits == 0 {
		return 8
	}
	return 8 - bits.OnesCount64(w&^(w<<1)&highBits) + bits.OnesCount64(w&(w<<1)&(w<<2)&(w<<3)&highBits)
}

func units[T string | []byte](text T) int {
	n, i := len(text), 0
	for ; i+8 <= len(text); i += 8 {
		n += wordUnits(word(text, i)) - 8
	}
	for ; i < len(text); i++ {
		switch b := text[i]; {
		case b < 0x80:
		case b < 0xC0:
			n--
		case b >= 0xF0:
			n++
		}
	}
	return n
}

// pairs is how many characters of text are surrogate pairs in UTF-16.
func pairs[T string | []byte](text T) int {
	n := 0
	for i := range len(text) {
		if text[i] >= 0xF0 {
			n++
		}
	}
	return n
}

// offset is the byte at which unit n of text begins; inside is true where that
// is the middle of a surrogate pair, and the byte then the pair's. Text is UTF-8.
func offset[T string | []byte](text T, n int) (at int, inside bool) {
	for at+8 <= len(text) {
		u := wordUnits(word(text, at))
		if u > n {
			break
		}
		at, n = at+8, n-u
	}
	for at < len(text) && text[at]&0xC0 == 0x80 { // of a character that began before the word's end
		at++
	}
	for at < len(text) && n > 0 {
		switch b := text[at]; {
		case b < 0x80:
			at++
		case b < 0xE0:
			at += 2
		case b < 0xF0:
			at += 3
		case n == 1:
			return at, true
		default:
			at += 4
			n--
		}
		n--
	}
	return at, false
}

// size is a length in several ways.
type size struct{ units, bytes, pairs int }

func (s *size) add(t size) {
	s.units, s.bytes, s.pairs = s.units+t.units, s.bytes+t.bytes, s.pairs+t.pairs
}

func (s *size) sub(t size) { *s = s.minus(t) }

func (s size) minus(t size) size {
	return size{s.units - t.units, s.bytes - t.bytes, s.pairs - t.pairs}
}

func sizeOf(text string) size {
	s := size{units: units(text), bytes: len(text)}
	if s.bytes > s.units {
		s.pairs = pairs(text)
	}
	return s
}
