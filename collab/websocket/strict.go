package websocket

import "net"

// strict is a connection that reads frames by the letter where the library does
// not: a length takes the fewest bytes that hold it, its highest bit is 0, and a
// close frame has no payload of one byte (RFC 6455, 5.2 and 5.5.1). Nor may a message go
// on for ever in fragments of nothing, which no bound of its size would end, and a long one
// has to find room. It looks at headers alone, as they pass by. What is wrong is a violation, from Read.
type strict struct {
	net.Conn
	place  place    // of the message that is under way
	header [10]byte // of a frame, but for the mask
	empty  int      // fragments of nothing, in the message that is under way
	have   int      // bytes of the header that have passed
	skip   uint64   // bytes of mask and payload that have not
	wrong  error
}

// violation is what a frame's header has that no frame may have.
type violation string

func (v violation) Error() string { return string(v) }

func (s *strict) Read(p []byte) (int, error) {
	if s.wrong != nil {
		return 0, s.wrong
	}
	n, err := s.Conn.Read(p)
	if s.place.late() {
		s.wrong = violation("a message takes too long to come")
		return 0, s.wrong
	}
	for rest := p[:n]; len(rest) > 0; {
		if s.skip > 0 {
			pass := min(s.skip, uint64(len(rest)))
			s.skip -= pass
			rest = rest[pass:]
			if op, last := s.op(); s.skip == 0 && last && op < opControl {
				s.place.leave()
			}
			continue
		}
		s.header[s.have] = rest[0]
		s.have++
		rest = rest[1:]
		if s.have < 2 || s.have < s.headerLen() {
			continue
		}
		if s.wrong = s.judge(); s.wrong != nil {
			if n -= len(rest) + 1; n > 0 { // what came before it is read first
				return n, nil
			}
			return 0, s.wrong
		}
		s.have = 0
	}
	return n, err
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
	opControl      = 8 // and above
	opClose        = 8
	emptyMost      = 1000 // fragments of nothing in a message
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
	switch {
	case op < opControl && last:
		s.empty = 0
	case op == opContinuation && length == 0:
		s.empty++
	}
	switch {
	case s.empty > emptyMost:
		return violation("a message comes in too many fragments of nothing")
	case length > 1<<63-1:
		return violation("a length has 63 bits")
	case extended == 2 && length < 126, extended == 8 && length < 1<<16:
		return violation("a length takes the fewest bytes that hold it")
	case op == opClose && length == 1:
		return violation("a close frame has a code of two bytes, or no payload")
	case op < opControl:
		return s.place.grow(length, last)
	}
	return nil
}
