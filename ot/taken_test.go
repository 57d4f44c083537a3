package ot_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/weft-collab/weft/ot"
)

// taken reads a delta by the rules of the protocol, on a well-kept JSON reader: the other opinion that Decode
// is held to. It builds a tree first and looks at the rules afterwards.
func taken(text []byte) (ot.Delta, error) {
	tree, err := readTree(text)
	if err != nil {
		return nil, err
	}
	list, ok := tree.([]any)
	if !ok || len(list) > 10_000 {
		return nil, errors.New("no array, or a long one")
	}
	d := ot.Delta{}
	for i, element := range list {
		object, ok := element.(object)
		if !ok {
			return nil, fmt.Errorf("component %d is no object", i)
		}
		c, err := takenComponent(object)
		if err != nil {
			return nil, fmt.Errorf("component %d: %w", i, err)
		}
		if i > 0 && !mayFollow(d[i-1], c) {
			return nil, fmt.Errorf("component %d and its neighbour", i)
		}
		d = append(d, c)
	}
	return d, nil
}

func mayFollow(a, b ot.Component) bool {
	kind := func(c ot.Component) string {
		switch {
		case c.Insert != "":
			return "text"
		case c.Embed != nil:
			return "embed"
		case c.Retain > 0:
			return "retain"
		}
		return "delete"
	}
	x, y := kind(a), kind(b)
	if x == "delete" {
		return y == "retain"
	}
	return x != y || x == "embed" || jsonOf(a.Attributes) != jsonOf(b.Attributes)
}

func takenComponent(fields object) (c ot.Component, err error) {
	actions := 0
	for _, f := range fields {
		switch v := f.value.(type) {
		case string:
			if f.name != "insert" || v == "" {
				return c, fmt.Errorf("%s is text", f.name)
			}
			c.Insert = v
			actions++
		case number:
			n, err := strconv.ParseUint(string(v), 10, 53)
			if err != nil || n == 0 {
				return c, fmt.Errorf("%s is %s", f.name, v)
			}
			switch f.name {
			case "retain":
				c.Retain = int(n)
			case "delete":
				c.Delete = int(n)
			default:
				return c, fmt.Errorf("%s is a number", f.name)
			}
			actions++
		case object:
			m, err := valued(v, 1)
			if err != nil {
				return c, err
			}
			switch {
			case f.name == "insert" && len(v) == 1:
				c.Embed = m.(map[string]any)
				actions++
			case f.name == "attributes" && len(v) > 0:
				c.Attributes = m.(map[string]any)
			default:
				return c, fmt.Errorf("%s is an object", f.name)
			}
		default:
			return c, fmt.Errorf("%s is of no kind that it may be", f.name)
		}
	}
	if actions != 1 || c.Delete > 0 && c.Attributes != nil {
		return c, errors.New("not one action")
	}
	return c, nil
}

// valued is a tree as values, checked.
func valued(v any, depth int) (any, error) {
	switch v := v.(type) {
	case object:
		out := map[string]any{}
		for _, f := range v {
			if slices.Contains(strings.Fields(objectPrototype), f.name) {
				return nil, errors.New("a name of Object.prototype")
			}
			value, err := valued(f.value, depth+1)
			if err != nil {
				return nil, err
			}
			out[f.name] = value
		}
		if depth > 16 {
			return nil, errors.New("too deep")
		}
		return out, nil
	case []any:
		out := []any{}
		for _, e := range v {
			value, err := valued(e, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, value)
		}
		if depth > 16 {
			return nil, errors.New("too deep")
		}
		return out, nil
	case number:
		return v.double()
	}
	return v, nil
}

// As Node.js lists Object.getOwnPropertyNames(Object.prototype).
const objectPrototype = `constructor __defineGetter__ __defineSetter__ hasOwnProperty __lookupGetter__ __lookupSetter__
	isPrototypeOf propertyIsEnumerable toString valueOf __proto__ toLocaleString`

// double is the number, if a double holds it: an integer without exponent either exactly or as JavaScript
// writes that double; everything else if it does not become infinite, or zero without being zero.
func (n number) double() (any, error) {
	f, err := strconv.ParseFloat(string(n), 64)
	if err != nil {
		return nil, err
	}
	if f == 0 {
		if strings.ContainsAny(strings.FieldsFunc(string(n), func(r rune) bool { return r == 'e' || r == 'E' })[0], "123456789") {
			return nil, errors.New("underflow")
		}
		return 0.0, nil
	}
	if whole, ok := new(big.Int).SetString(string(n), 10); ok && math.Abs(f) >= 1<<53 {
		double, _ := big.NewFloat(f).Int(nil)
		if whole.Cmp(double) != 0 && strconv.FormatFloat(f, 'f', -1, 64) != string(n) {
			return nil, errors.New("an integer that is no double")
		}
	}
	return f, nil
}

// A tree is nil, bool, string, number, []any or object; these keep what values lose.
type (
	number string
	field  struct {
		name  string
		value any
	}
	object []field
)

func readTree(text []byte) (any, error) {
	d := jsontext.NewDecoder(bytes.NewReader(text))
	v, err := readValue(d)
	if err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return nil, errors.New("something behind the value")
	}
	return v, nil
}

func readValue(d *jsontext.Decoder) (any, error) {
	if d.PeekKind() == '0' {
		raw, err := d.ReadValue()
		return number(raw), err
	}
	token, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case 'n':
		return nil, nil
	case 't', 'f':
		return token.Bool(), nil
	case '"':
		return token.String(), nil
	case '[':
		list := []any{}
		for d.PeekKind() != ']' {
			v, err := readValue(d)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = d.ReadToken()
		return list, err
	}
	fields := object{}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String() // a token is good until the next
		v, err := readValue(d)
		if err != nil {
			return nil, err
		}
		fields = append(fields, field{key, v})
	}
	_, err = d.ReadToken()
	return fields, err
}
