package ot

import (
	"math"
	"strconv"
	"strings"
)

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
