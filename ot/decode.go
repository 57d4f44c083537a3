package ot

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds of what Decode takes.
const (
	MaxComponents = 10_000 // components of a delta
	MaxDepth      = 16     // objects and arrays inside one another, in an attribute or embed
	maxLength     = 1<<53 - 1
)

// Decode reads a delta as strictly as the protocol takes it: one action a
// component, lengths from 1 to 2⁵³−1, the form of quill-delta's own builder, no half
// surrogate pairs, no duplicate or unknown keys, no names of JavaScript's
// Object.prototype, no numbers that a double does not hold. Errors are *Error.
func Decode(data []byte) (Delta, error) {
	p := parser{data: data, component: -1}
	d := p.delta()
	p.space()
	if p.err == nil && p.at < len(data) {
		p.fail("nothing after the array")
	}
	if p.err != nil {
		return nil, p.err
	}
	return d, nil
}

type parser struct {
	data      []byte
	at        int
	component int
	err       *Error
}

func (p *parser) fail(want string) {
	if p.err == nil {
		p.err = &Error{Component: p.component, Offset: p.at, Want: want}
		p.at = len(p.data)
	}
}

func (p *parser) space() {
	for p.at < len(p.data) {
		switch p.data[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// peek skips space and returns the next byte, 0 at the end.
func (p *parser) peek() byte {
	p.space()
	if p.at < len(p.data) {
		return p.data[p.at]
	}
	return 0
}

func (p *parser) take(b byte, want string) bool {
	if p.peek() != b {
		p.fail(want)
		return false
	}
	p.at++
	return true
}

func (p *parser) delta() Delta {
	if !p.take('[', "an array of components") {
		return nil
	}
	d := Delta{}
	if p.peek() == ']' {
		p.at++
		return d
	}
	for p.err == nil {
		p.component = len(d)
		if len(d) == MaxComponents {
			p.fail("at most " + strconv.Itoa(MaxComponents) + " components")
			break
		}
		c := p.componentObject()
		if p.err == nil {
			p.fits(d, c)
		}
		d = append(d, c)
		if p.peek() == ']' {
			p.at++
			break
		}
		p.take(',', "a comma or the end of the array")
	}
	p.component = -1
	return d
}

// fits holds a component to the form that quill-delta's builder makes.
func (p *parser) fits(d Delta, c Component) {
	if len(d) == 0 {
		return
	}
	last := d[len(d)-1]
	switch {
	case last.Delete > 0 && c.IsInsert():
		p.fail("an insert before a delete at the same place, not after it")
	case last.Delete > 0 && c.Delete > 0,
		(last.Insert != "" && c.Insert != "" || last.Retain > 0 && c.Retain > 0) && equalAttributes(last.Attributes, c.Attributes):
		p.fail("neighbours that can be one component to be one")
	}
}

func (p *parser) componentObject() (c Component) {
	if !p.take('{', "a component, an object") {
		return c
	}
	actions, seen := 0, false
	for first := true; p.err == nil; first = false {
		if b := p.peek(); b == '}' && first {
			break
		}
		switch key := p.key(); key {
		case "insert":
			actions++
			p.insert(&c)
		case "retain":
			actions++
			c.Retain = p.length("retain")
		case "delete":
			actions++
			c.Delete = p.length("delete")
		case "attributes":
			if seen {
				p.fail("attributes once")
			}
			seen = true
			c.Attributes = p.attributes()
		default:
			p.fail("insert, retain, delete or attributes as a key")
		}
		if p.peek() == '}' {
			break
		}
		p.take(',', "a comma or the end of the component")
	}
	p.take('}', "the end of the component")
	switch {
	case actions != 1:
		p.fail("exactly one of insert, retain and delete")
	case seen && c.Delete > 0:
		p.fail("no attributes on a delete")
	}
	return c
}

func (p *parser) key() string {
	k := p.string()
	p.take(':', "a colon")
	return k
}

func (p *parser) insert(c *Component) {
	switch p.peek() {
	case '"':
		if c.Insert = p.string(); c.Insert == "" {
			p.fail("an insert that is not empty")
		}
	case '{':
		embed := p.object(1)
		if len(embed) != 1 {
			p.fail("an embed with exactly one key")
		}
		c.Embed = embed
	default:
		p.fail("a string or an object to insert")
	}
}

func (p *parser) attributes() Attributes {
	if p.peek() != '{' {
		p.fail("attributes that are an object")
		return nil
	}
	m := p.object(1)
	if len(m) == 0 {
		p.fail("attributes that are not empty")
	}
	return m
}

// length reads an integer from 1 to 2⁵³−1, written without fraction and exponent.
func (p *parser) length(what string) int {
	p.space()
	start, n := p.at, 0
	for p.at < len(p.data) && p.data[p.at] >= '0' && p.data[p.at] <= '9' {
		n = n*10 + int(p.data[p.at]-'0')
		if n > maxLength {
			p.fail(what + " of at most 2^53-1")
			return 0
		}
		p.at++
	}
	if n == 0 || p.data[start] == '0' {
		p.at = start
		p.fail(what + " as an integer of at least 1")
		return 0
	}
	if b := p.peek(); b != ',' && b != '}' {
		p.fail(what + " as an integer")
	}
	return n
}

func (p *parser) object(depth int) map[string]any {
	p.at++ // the brace
	m := map[string]any{}
	if p.peek() == '}' {
		p.at++
		return m
	}
	for p.err == nil {
		k := p.key()
		if prototypeName(k) {
			p.fail("no name that JavaScript's Object.prototype has")
		}
		if _, twice := m[k]; twice {
			p.fail("each key once")
		}
		m[k] = p.value(depth)
		if p.peek() == '}' {
			p.at++
			return m
		}
		p.take(',', "a comma or the end of the object")
	}
	return m
}

// prototypeName reports the names that quill-delta loses.
func prototypeName(k string) bool {
	switch k {
	case "constructor", "toString", "toLocaleString", "valueOf", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable",
		"__proto__", "__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__":
		return true
	}
	return false
}

func (p *parser) value(depth int) any {
	switch b := p.peek(); {
	case b == '"':
		return p.string()
	case (b == '{' || b == '[') && depth == MaxDepth:
		p.fail("at most " + strconv.Itoa(MaxDepth) + " levels")
		return nil
	case b == '{':
		return p.object(depth + 1)
	case b == '[':
		return p.array(depth + 1)
	case b == '-' || b >= '0' && b <= '9':
		return p.number()
	case p.word("true"):
		return true
	case p.word("false"):
		return false
	case p.word("null"):
		return nil
	}
	p.fail("a value")
	return nil
}

func (p *parser) word(w string) bool {
	if len(p.data)-p.at >= len(w) && string(p.data[p.at:p.at+len(w)]) == w {
		p.at += len(w)
		return true
	}
	return false
}

func (p *parser) array(depth int) any {
	p.at++
	a := []any{}
	if p.peek() == ']' {
		p.at++
		return a
	}
	for p.err == nil {
		a = append(a, p.value(depth))
		if p.peek() == ']' {
			p.at++
			break
		}
		p.take(',', "a comma or the end of the array")
	}
	return a
}

func (p *parser) digits() bool {
	start := p.at
	for p.at < len(p.data) && p.data[p.at] >= '0' && p.data[p.at] <= '9' {
		p.at++
	}
	return p.at > start
}

func (p *parser) next(bytes string) bool {
	for i := range len(bytes) {
		if p.at < len(p.data) && p.data[p.at] == bytes[i] {
			p.at++
			return true
		}
	}
	return false
}

func (p *parser) number() any {
	start := p.at
	p.next("-")
	ok := p.next("0") || p.digits()
	if p.next(".") {
		ok = p.digits() && ok
	}
	if p.next("eE") {
		p.next("+-")
		ok = p.digits() && ok
	}
	f, err := strconv.ParseFloat(string(p.data[start:p.at]), 64)
	if !ok || err != nil || math.IsInf(f, 0) {
		p.at = start
		p.fail("a number that a double holds")
		return nil
	}
	if !exact(string(p.data[start:p.at]), f) {
		p.at = start
		p.fail("a number that a double holds")
		return nil
	}
	if f == 0 {
		return 0.0 // no -0: JSON.stringify writes 0
	}
	return f
}

// exact reports whether a whole number beyond 2⁵³ is a double: written exactly, or as JavaScript writes that
// double. A fraction is taken as the double nearest to it, as every JSON reader does.
func exact(text string, f float64) bool {
	if math.Abs(f) < 1<<53 {
		return f != 0 || zero(text)
	}
	if strings.ContainsAny(text, ".eE") {
		return true
	}
	return strconv.FormatFloat(f, 'f', -1, 64) == text || strconv.FormatFloat(f, 'f', 0, 64) == text
}

// zero reports whether every digit before the exponent is 0: an underflow is no zero.
func zero(text string) bool {
	for i := range len(text) {
		switch b := text[i]; {
		case b == 'e' || b == 'E':
			return true
		case b >= '1' && b <= '9':
			return false
		}
	}
	return true
}

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
			return p.escaped(append([]byte(nil), p.data[start:p.at]...))
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
