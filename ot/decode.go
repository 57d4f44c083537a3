package ot

import (
	"bytes"
	"math"
	"strconv"
)

// Bounds of what Decode takes.
const (
	MaxComponents = 10_000 // components of a delta that a client makes
	MaxDepth      = 16     // objects and arrays inside one another, in an attribute or embed
	maxLength     = 1<<53 - 1
)

// Decode reads a delta as strictly as the protocol takes it: one action a
// component, lengths from 1 to 2⁵³−1, the form of quill-delta's own builder, no half
// surrogate pairs, no duplicate or unknown keys, no names of JavaScript's
// Object.prototype, no numbers that a double does not hold. Errors are *Error.
func Decode(data []byte) (Delta, error) { return decode(data, MaxComponents) }

// DecodeCommitted reads what was made of deltas that were taken: an operation as it stands in
// the log, or a content. It is as strict as Decode, but takes any number of components,
// since transforming and composing make more of them.
func DecodeCommitted(data []byte) (Delta, error) { return decode(data, math.MaxInt) }

func decode(data []byte, most int) (Delta, error) {
	p := parser{data: data, component: -1, most: most}
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
	most      int // components
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
	if p.at < len(p.data) && p.data[p.at] > ' ' {
		return p.data[p.at]
	}
	return p.peekBehindSpace()
}

func (p *parser) peekBehindSpace() byte {
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
	if p.peek() == ']' {
		p.at++
		return Delta{}
	}
	d := make(Delta, 0, min(bytes.Count(p.data, []byte{'{'}), 16)) // the size of most
	for p.err == nil {
		p.component = len(d)
		if len(d) == p.most {
			p.fail("at most " + strconv.Itoa(p.most) + " components")
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
		switch p.action() {
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

// action is the key of a component. As everybody writes it, without space, it costs nothing.
func (p *parser) action() string {
	switch rest := p.data[p.at:]; {
	case len(rest) > 9 && string(rest[:9]) == `"retain":`:
		p.at += 9
		return "retain"
	case len(rest) > 9 && string(rest[:9]) == `"insert":`:
		p.at += 9
		return "insert"
	case len(rest) > 9 && string(rest[:9]) == `"delete":`:
		p.at += 9
		return "delete"
	}
	return p.key()
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
