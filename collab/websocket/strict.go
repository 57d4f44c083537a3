package websocket

import (
	"net"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// strict is a connection that reads frames by the letter where the library does
// not: a length takes the fewest bytes that hold it, its highest bit is 0, and a
// close frame has no payload of one byte (RFC 6455, 5.2 and 5.5.1). Nor may a message go
// on for ever in fragments of nothing, which no bound of its size would end, and a long one
// has to find room. Text and the reasons of close frames are UTF-8, which is judged as they
// come. What is wrong is a violation, from Read.
type strict struct {
	net.Conn
	place  place    // of the message that is under way
	header [10]byte // of a frame, but for the mask
	mask   [4]byte
	text   bool   // the message that is under way is text
	point  string // bytes of a code point that has begun in it
	code   int    // of a close frame
	empty  int    // fragments of nothing, in the message that is under way
	have   int    // bytes of the header that have passed
	past   int    // bytes of mask and payload that have passed
	skip   uint64 // and that have not
	wrong  error
}

// violation is what a frame has that no frame may have, and the code that tells of it.
type violation struct {
	code int
	what string
}

func (v violation) Error() string { return v.what }

func broken(what string) error { return violation{websocket.CloseProtocolError, what} }

func (s *strict) Read(p []byte) (int, error) {
	if s.wrong != nil {
		return 0, s.wrong
	}
	n, err := s.Conn.Read(p)
	if s.place.late() {
		s.wrong = broken("a message takes too long to come")
		return 0, s.wrong
	}
	for rest := p[:n]; len(rest) > 0; {
		took := 1
		if s.skip > 0 {
			took = int(min(s.skip, uint64(len(rest))))
			s.wrong = s.pass(rest[:took])
		} else {
			s.wrong = s.begin(rest[0])
		}
		if s.wrong != nil {
			if n -= len(rest); n > 0 { // what came before it is read first
				return n, nil
			}
			return 0, s.wrong
		}
		rest = rest[took:]
	}
	return n, err
}

// begin takes a byte of a header.
func (s *strict) begin(b byte) error {
	s.header[s.have] = b
	s.have++
	if s.have < 2 || s.have < s.headerLen() {
		return nil
	}
	return s.judge()
}

// pass takes bytes of mask and payload.
func (s *strict) pass(p []byte) error {
	s.skip -= uint64(len(p))
	for ; len(p) > 0 && s.past < len(s.mask); p = p[1:] {
		s.mask[s.past] = p[0]
		s.past++
	}
	op, last := s.op()
	if op == opClose {
		for ; len(p) > 0 && s.past < len(s.mask)+2; p = p[1:] {
			s.code = s.code<<8 | int(p[0]^s.mask[s.past%4])
			s.past++
		}
	}
	if (op == opClose || op < opControl && s.text) && !s.valid(p, s.skip == 0 && last) {
		return violation{websocket.CloseInvalidFramePayloadData, "text is UTF-8"}
	}
	switch {
	case s.skip > 0 || !last:
	case op == opClose && s.code == closeBadGateway: // the library does not know it, and would call it wrong
		return violation{code: s.code}
	case op < opControl:
		s.place.leave()
	}
	return nil
}

// valid reports whether text may go on, or end, with these bytes, which are masked.
func (s *strict) valid(p []byte, end bool) bool {
	var piece [512]byte
	for len(p) > 0 {
		n := copy(piece[:], s.point)
		took := min(len(p), len(piece)-n)
		for i, b := range p[:took] {
			piece[n+i] = b ^ s.mask[(s.past+i)%4]
		}
		p, n, s.past = p[took:], n+took, s.past+took
		whole := n
		for begun := n - 1; begun >= max(0, n-utf8.UTFMax); begun-- { // is the last code point whole?
			if utf8.RuneStart(piece[begun]) {
				if !utf8.FullRune(piece[begun:n]) {
					whole = begun
				}
				break
			}
		}
		if !utf8.Valid(piece[:whole]) {
			return false
		}
		s.point = string(piece[whole:n])
	}
	return !end || s.point == ""
}

// headerLen is the length of the header, without the mask.
func (s *strict) headerLen() int {
	switch s.header[1] & 0x7f {
	case 126:
		return 4
	case 127:
		return 10
	}
	return 2
}

const (
	opContinuation = 0
	opText         = 1
	opControl      = 8 // and above
	opClose        = 8
	emptyMost      = 1000 // fragments of nothing in a message

	closeBadGateway = 1014 // registered after RFC 6455, as 1012 and 1013 were
)

// op is the frame's opcode, and whether it is the last of its message.
func (s *strict) op() (op byte, last bool) { return s.header[0] & 0x0f, s.header[0]&0x80 != 0 }

// judge reads a whole header, and sets how much follows it.
func (s *strict) judge() error {
	length, extended := uint64(s.header[1]&0x7f), s.headerLen()-2
	if extended > 0 {
		length = 0
		for _, b := range s.header[2 : 2+extended] {
			length = length<<8 | uint64(b)
		}
	}
	if s.skip = length; s.header[1]&0x80 != 0 {
		s.skip += 4
	}
	op, last := s.op()
	s.have, s.past = 0, 0
	if op == opClose || op < opControl && op != opContinuation {
		s.text, s.point, s.code = op == opText, "", 0
	}
	switch {
	case op < opControl && last:
		s.empty = 0
	case op == opContinuation && length == 0:
		s.empty++
	}
	switch {
	case s.empty > emptyMost:
		return broken("a message comes in too many fragments of nothing")
	case length > 1<<63-1:
		return broken("a length has 63 bits")
	case extended == 2 && length < 126, extended == 8 && length < 1<<16:
		return broken("a length takes the fewest bytes that hold it")
	case op == opClose && length == 1:
		return broken("a close frame has a code of two bytes, or no payload")
	case op < opControl:
		return s.place.grow(length, last)
	}
	return nil
}
