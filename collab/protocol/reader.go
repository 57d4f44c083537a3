package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// reader walks JSON value by value and keeps the first error; after that it reads nothing more.
// A value that is null reads as the zero value.
type reader struct {
	dec *jsontext.Decoder
	err error
}

var decoders = sync.Pool{New: func() any { return new(jsontext.Decoder) }}

// read has walk take the one value that data is.
func read(data []byte, walk func(r *reader)) error {
	r := reader{dec: decoders.Get().(*jsontext.Decoder)}
	defer decoders.Put(r.dec)
	r.dec.Reset(bytes.NewBuffer(data))
	if walk(&r); r.err != nil {
		return r.err
	}
	if rest := bytes.TrimLeft(data[r.dec.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return errors.New("something follows the JSON value")
	}
	return nil
}

// expected keeps the error that something else stands here.
func (r *reader) expected(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s was expected", what)
	}
}

// value is the next value as it stands there, until the next call.
func (r *reader) value() jsontext.Value {
	if r.err != nil {
		return nil
	}
	var v jsontext.Value
	v, r.err = r.dec.ReadValue()
	return v
}

// open takes the beginning of an object or array; false is null, or an error.
func (r *reader) open(kind jsontext.Kind) bool {
	if r.err != nil {
		return false
	}
	t, err := r.dec.ReadToken()
	switch {
	case err != nil:
		r.err = err
	case t.Kind() == 'n':
	case t.Kind() != kind:
		r.expected(map[jsontext.Kind]string{'{': "an object", '[': "an array"}[kind])
	default:
		return true
	}
	return false
}

func (r *reader) more(end jsontext.Kind) bool {
	if r.err != nil {
		return false
	}
	if r.dec.PeekKind() != end {
		return true
	}
	_, r.err = r.dec.ReadToken()
	return false
}

// object has member take the value of each name; false is null, or an error.
func (r *reader) object(member func(name []byte)) bool {
	if !r.open('{') {
		return false
	}
	for r.more('}') {
		quoted := r.value()
		if r.err != nil {
			return false
		}
		name := quoted[1 : len(quoted)-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			name, r.err = jsontext.AppendUnquote(nil, quoted)
		}
		member(name)
	}
	return r.err == nil
}

// array has element take each.
func (r *reader) array(element func()) {
	if !r.open('[') {
		return
	}
	for r.more(']') {
		element()
	}
}

func (r *reader) skip() { r.value() }

func (r *reader) text() string {
	v := r.value()
	switch {
	case r.err != nil || v.Kind() == 'n':
		return ""
	case v.Kind() != '"':
		r.expected("a string")
		return ""
	case bytes.IndexByte(v, '\\') < 0:
		return string(v[1 : len(v)-1])
	}
	s, err := jsontext.AppendUnquote(nil, v)
	r.err = err
	return string(s)
}

func (r *reader) int64() int64 {
	v := r.value()
	if r.err != nil || v.Kind() == 'n' {
		return 0
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		r.expected("an integer")
	}
	return n
}

func (r *reader) int() int { return int(r.int64()) }

func (r *reader) bool() bool {
	v := r.value()
	if k := v.Kind(); k != 't' && k != 'f' && k != 'n' {
		r.expected("true or false")
	}
	return v.Kind() == 't'
}

// raw is a copy of the next value; null is nil.
func (r *reader) raw() json.RawMessage {
	v := r.value()
	if r.err != nil || v.Kind() == 'n' {
		return nil
	}
	return json.RawMessage(bytes.Clone(v))
}
