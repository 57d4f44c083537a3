package ot

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

func (p *parser) string() string {
	if !p.take('"', "a string") {
		return ""
	}
	start := p.at
	for p.at < len(p.data) {
		switch b := p.data[p.at]; {
		case b == '"':
			s := p.data[start:p.at]
			p.at++
			if !utf8.Valid(s) {
				p.fail("text that is UTF-8")
			}
			return string(s)
		case b == '\\':
			var space [64]byte
			return p.escaped(append(space[:0], p.data[start:p.at]...))
		case b < 0x20:
			p.fail("control characters escaped")
		default:
			p.at++
		}
	}
	p.fail("the end of the string")
	return ""
}

// escaped goes on with a string from its first backslash.
func (p *parser) escaped(s []byte) string {
	for p.at < len(p.data) {
		b := p.data[p.at]
		p.at++
		switch {
		case b == '"':
			if !utf8.Valid(s) {
				p.fail("text that is UTF-8")
			}
			return string(s)
		case b < 0x20:
			p.fail("control characters escaped")
		case b != '\\':
			s = append(s, b)
		default:
			s = p.escape(s)
		}
	}
	p.fail("the end of the string")
	return ""
}

func (p *parser) escape(s []byte) []byte {
	if p.at >= len(p.data) {
		return s
	}
	b := p.data[p.at]
	p.at++
	switch b {
	case '"', '\\', '/':
		return append(s, b)
	case 'b':
		return append(s, '\b')
	case 'f':
		return append(s, '\f')
	case 'n':
		return append(s, '\n')
	case 'r':
		return append(s, '\r')
	case 't':
		return append(s, '\t')
	case 'u':
		r := p.hex()
		if utf16.IsSurrogate(r) {
			if !p.next("\\") || !p.next("u") {
				p.fail("no half of a surrogate pair")
				return s
			}
			if r = utf16.DecodeRune(r, p.hex()); r == utf8.RuneError {
				p.fail("no half of a surrogate pair")
				return s
			}
		}
		return utf8.AppendRune(s, r)
	}
	p.fail("an escape that JSON has")
	return s
}

func (p *parser) hex() rune {
	if len(p.data)-p.at < 4 {
		p.fail("four hexadecimal digits")
		return 0
	}
	n, err := strconv.ParseUint(string(p.data[p.at:p.at+4]), 16, 16)
	if err != nil {
		p.fail("four hexadecimal digits")
		return 0
	}
	p.at += 4
	return rune(n)
}
