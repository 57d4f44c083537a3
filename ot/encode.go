package ot

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// AppendJSON appends the delta as it is, as compact JSON, with the keys of
// attributes and embeds sorted by UTF-16 units and numbers as in RFC 8785.
func (d Delta) AppendJSON(dst []byte) []byte {
	if dst == nil {
		dst = make([]byte, 0, d.jsonLen())
	}
	dst = append(dst, '[')
	for i := range d {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = d[i].appendJSON(dst)
	}
	return append(dst, ']')
}

// jsonLen is about the length of the JSON, without attributes and escapes.
func (d Delta) jsonLen() int {
	n := len("[]")
	for i := range d {
		n += len(`{"retain":12345},`) + len(d[i].Insert)
	}
	return n
}

func (c *Component) appendJSON(dst []byte) []byte {
	switch {
	case c.Insert != "":
		dst = appendString(append(dst, `{"insert":`...), c.Insert)
	case c.Embed != nil:
		dst = appendObject(append(dst, `{"insert":`...), c.Embed)
	case c.Retain > 0:
		dst = strconv.AppendInt(append(dst, `{"retain":`...), int64(c.Retain), 10)
	default:
		dst = strconv.AppendInt(append(dst, `{"delete":`...), int64(c.Delete), 10)
	}
	return appendAttributes(dst, c.Attributes)
}

// appendAttributes ends a component.
func appendAttributes(dst []byte, a Attributes) []byte {
	if len(a) > 0 {
		dst = appendObject(append(dst, `,"attributes":`...), a)
	}
	return append(dst, '}')
}

// MarshalJSON is AppendJSON, for encoding/json.
func (d Delta) MarshalJSON() ([]byte, error) { return d.AppendJSON(nil), nil }

// UnmarshalJSON is Decode, for encoding/json.
func (d *Delta) UnmarshalJSON(data []byte) error {
	decoded, err := Decode(data)
	if err == nil {
		*d = decoded
	}
	return err
}

func appendObject(dst []byte, m map[string]any) []byte {
	dst = append(dst, '{')
	if len(m) == 1 {
		for k, v := range m {
			dst = appendValue(append(appendString(dst, k), ':'), v)
		}
		return append(dst, '}')
	}
	for i, k := range slices.SortedFunc(maps.Keys(m), compareUTF16) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendValue(append(appendString(dst, k), ':'), m[k])
	}
	return append(dst, '}')
}

// compareUTF16 orders strings by their UTF-16 units, as RFC 8785 orders keys.
func compareUTF16(a, b string) int {
	for len(a) > 0 && len(b) > 0 {
		ra, na := utf8.DecodeRuneInString(a)
		rb, nb := utf8.DecodeRuneInString(b)
		if ra != rb {
			return cmp.Compare(leadUnit(ra), leadUnit(rb))*2 + cmp.Compare(ra, rb)
		}
		a, b = a[na:], b[nb:]
	}
	return cmp.Compare(len(a), len(b))
}

func leadUnit(r rune) rune {
	if hi, _ := utf16.EncodeRune(r); hi != utf8.RuneError {
		return hi
	}
	return r
}

func appendValue(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case string:
		return appendString(dst, v)
	case float64:
		return appendNumber(dst, v)
	case int:
		return strconv.AppendInt(dst, int64(v), 10)
	case map[string]any:
		return appendObject(dst, v)
	case []any:
		dst = append(dst, '[')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendValue(dst, e)
		}
		return append(dst, ']')
	}
	panic("ot: a value that JSON does not have")
}

// appendNumber writes a number as ECMAScript does (RFC 8785, 3.2.2.3).
func appendNumber(dst []byte, f float64) []byte {
	if f == 0 {
		return append(dst, '0')
	}
	if a := math.Abs(f); a >= 1e-6 && a < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	// e-07 becomes e-7
	if n := len(dst); n-start >= 4 && dst[n-4] == 'e' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}

const hexDigits = "0123456789abcdef"

// appendString writes a JSON string as RFC 8785 does: what must be escaped, and nothing else.
func appendString(dst []byte, s string) []byte {
	return append(appendEscaped(append(dst, '"'), s), '"')
}

func appendEscaped[T string | []byte](dst []byte, s T) []byte {
	from := 0
	for i := 0; i < len(s); i++ {
		b := s[i]
		if b >= 0x20 && b != '"' && b != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch b {
		case '"', '\\':
			dst = append(dst, '\\', b)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&15])
		}
	}
	return append(dst, s[from:]...)
}
