package websocket

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
)

// mutant makes a client's frames from a seed, and damages every one of them: a little, so that the
// session goes on, or so that it cannot.
type mutant struct {
	*rand.Rand
	v, seq int64
}

// message is a message in order, at the version and seq that the client has.
func (m *mutant) message() string {
	switch m.IntN(8) {
	case 0:
		return fmt.Sprintf(`{"t":"presence","v":%d,"cursor":{"index":%d,"length":%d},"state":{"a":[1,"b",null]}}`, m.v, m.IntN(9), m.IntN(3))
	case 1:
		return fmt.Sprintf(`{"t":"presence","v":%d,"cursor":null}`, m.v)
	case 2:
		return `{"t":"ping"}`
	case 3:
		return `{"t":"token","token":"mutant"}`
	default:
		m.seq++
		return fmt.Sprintf(`{"t":"op","v":%d,"seq":%d,"d":%s}`, m.v, m.seq, m.delta())
	}
}

func (m *mutant) delta() string {
	return [...]string{
		`[{"insert":"a"}]`, `[{"insert":"\ud83d\ude00\n","attributes":{"bold":true,"link":"x"}}]`, `[]`,
		`[{"insert":{"image":"x"}},{"insert":"é日"}]`, `[{"retain":1},{"insert":"z","attributes":{"a":{"b":[1.5,null]}}}]`,
		`[{"retain":1,"attributes":{"bold":null}}]`, `[{"delete":1}]`, `[{"insert":"xy"},{"delete":1},{"retain":1}]`,
	}[m.IntN(8)]
}

// nasty are values where others are expected.
var nasty = []string{
	`-1`, `0`, `1.5`, `1e3`, `-0`, `1e400`, `9007199254740992`, `9007199254740993`, `9223372036854775807`, `18446744073709551616`,
	`NaN`, `Infinity`, `01`, `+1`, `.5`, `null`, `true`, `"x"`, `""`, `[]`, `{}`, `[[]]`, `{"t":"op"}`, `"\ud83d"`, `"\ude00\ud83d"`, `"\u0000"`, "\"\xff\"",
	`"\x"`, `"__proto__"`, `{"a":1,"a":2}`, `{"constructor":1}`, `'x'`, `//`, "\x00", `[{"insert":""}]`, `[{"retain":0}]`, `[{"delete":9007199254740991}]`,
	`[{"insert":"a"},{"insert":"b"}]`, `[{"insert":"a","delete":1}]`, `[{"insert":"\r"}]`, `[{"retain":1,"attributes":{}}]`,
}

// gentle changes a message without changing what it says.
func (m *mutant) gentle(s string) string {
	switch m.IntN(5) {
	case 0: // space
		at := strings.IndexAny(s, ":,{")
		return s[:at+1] + strings.Repeat("\n\t \r", 1+m.IntN(20)) + s[at+1:]
	case 1: // fields that nobody knows
		return fmt.Sprintf(`{"x%d":%s,%s`, m.IntN(100), [...]string{`1e5`, `{"t":[{}]}`, `"\ud83d"`, `[[[[[]]]]]`, `{"a":1,"a":2}`, `-0.0`}[m.IntN(6)], s[1:])
	case 2: // many of them
		var more strings.Builder
		for i := range m.IntN(200) {
			fmt.Fprintf(&more, `"y%d":%d,`, i, m.Int())
		}
		return `{` + more.String() + s[1:]
	case 3: // escapes for letters
		return strings.Replace(s, `"t"`, `"\u0074"`, 1)
	default: // depth
		n := 1 + m.IntN(500)
		return `{"z":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "," + s[1:]
	}
}

// harsh changes a message in any way.
func (m *mutant) harsh(s string) []byte {
	b := []byte(s)
	for range 1 + m.IntN(3) {
		at := m.IntN(len(b) + 1)
		to := min(len(b), at+1+m.IntN(8))
		switch m.IntN(9) {
		case 0:
			b = append(b[:at:at], b[to:]...)
		case 1:
			b = append(append(b[:at:at], byte(m.IntN(256))), b[at:]...)
		case 2:
			if at < len(b) {
				b[at] ^= 1 << m.IntN(8)
			}
		case 3:
			b = append(append(b[:to:to], b[at:to]...), b[to:]...)
		case 4:
			b = b[:at]
		case 5, 6:
			b = m.replaceValue(b)
		case 7:
			b = append(append(b[:at:at], nasty[m.IntN(len(nasty))]...), b[at:]...)
		default:
			b = m.huge(b)
		}
		if len(b) == 0 {
			return []byte{byte(m.IntN(256))}
		}
	}
	return b
}

// replaceValue puts a nasty value where some value begins.
func (m *mutant) replaceValue(b []byte) []byte {
	n := bytes.Count(b, []byte(":"))
	if n == 0 {
		return b
	}
	at := 0
	for range 1 + m.IntN(n) {
		at += bytes.IndexByte(b[at:], ':') + 1
	}
	end := at
	for end < len(b) && b[end] != ',' && b[end] != '}' {
		end++
	}
	return append(append(b[:at:at], nasty[m.IntN(len(nasty))]...), b[end:]...)
}

// huge is much of something, now and then; it is dear.
func (m *mutant) huge(b []byte) []byte {
	if m.IntN(200) > 0 {
		return append([]byte(`{"t":`), b...)
	}
	switch m.IntN(5) {
	case 0:
		return []byte(`{"t":"op","v":0,"seq":1,"d":[` + strings.Repeat(`{"retain":1},{"insert":"x"},`, 20_000) + `{"delete":1}]}`)
	case 1:
		return []byte(strings.Repeat("[", 100_000))
	case 2:
		return []byte(`{"t":"op","v":0,"seq":1,"d":[{"insert":"x","attributes":` + strings.Repeat(`{"a":`, 10_000) + `1` + strings.Repeat("}", 10_000) + `}]}`)
	case 3:
		return bytes.Repeat([]byte(`{"t":"op","d":`), 1000)
	default:
		return []byte(`{"t":"presence","v":0,"cursor":null,"state":{"x":"` + strings.Repeat("x", 100_000) + `"}}`)
	}
}

// frame is one mutated message as bytes on the wire.
func (m *mutant) frame() []byte {
	s := m.message()
	switch n := m.IntN(100); {
	case n < 88:
		return m.whole([]byte(m.gentle(s)))
	case n < 98:
		return m.whole(m.harsh(s))
	default:
		return m.broken(m.whole([]byte(s)))
	}
}

// whole frames a message, in any number of fragments, with control frames between them.
func (m *mutant) whole(payload []byte) []byte {
	parts := 1
	if m.IntN(4) == 0 {
		parts += m.IntN(4)
	}
	var out []byte
	for i := range parts {
		first := byte(0)
		if i == 0 {
			first = 1
		}
		part := payload
		if i == parts-1 {
			first |= 0x80
		} else {
			part = payload[:m.IntN(len(payload)+1)]
		}
		payload = payload[len(part):]
		out = append(out, m.bytes(first, part)...)
		if i < parts-1 && m.IntN(20) == 0 {
			out = append(out, m.bytes(0x8a, []byte("unasked"))...)
		}
	}
	return out
}

// bytes is one masked frame.
func (m *mutant) bytes(first byte, payload []byte) []byte {
	out := []byte{first, 0x80}
	switch n := len(payload); {
	case n < 126:
		out[1] |= byte(n)
	case n < 1<<16:
		out[1] |= 126
		out = binary.BigEndian.AppendUint16(out, uint16(n))
	default:
		out[1] |= 127
		out = binary.BigEndian.AppendUint64(out, uint64(n))
	}
	mask := m.Uint32()
	out = binary.LittleEndian.AppendUint32(out, mask)
	for i, b := range payload {
		out = append(out, b^byte(mask>>(8*(i&3))))
	}
	return out
}

// broken damages the frame around a message.
func (m *mutant) broken(b []byte) []byte {
	switch m.IntN(7) {
	case 0:
		b[0] = byte(m.IntN(256))
	case 1:
		b[1] = byte(m.IntN(256))
	case 2:
		b = b[:m.IntN(len(b))]
	case 3:
		return m.bytes(0x88, []byte{byte(m.IntN(20)), byte(m.IntN(256)), byte(m.IntN(256))}[:m.IntN(4)])
	case 4:
		return m.bytes(0x82, []byte("binary"))
	case 5:
		return m.bytes(0x81, []byte{'"', byte(0x80 + m.IntN(128)), '"'})
	default:
		for i := range b {
			if m.IntN(8) == 0 {
				b[i] = byte(m.IntN(256))
			}
		}
	}
	return b
}
