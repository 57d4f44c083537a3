package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/weft-collab/weft/ot"
)

const maxSafe = 1<<53 - 1 // the largest integer that JavaScript counts to

// Decode reads a client's frame, strictly: each name once and in its own case, no
// half surrogate pairs, integers that are integers. Fields that it does not know
// it ignores. Errors are *Error with BadMessage, BadOp, BadSeq or TooLarge.
func Decode(frame []byte, limits Limits) (ClientMessage, error) {
	f, err := object(frame)
	if err != nil {
		return nil, err
	}
	var m ClientMessage
	switch t := f.text("t", true); t {
	case "hello":
		m = f.hello()
	case "op":
		m, err = f.op(limits)
	case "presence":
		m, err = f.presence(limits)
	case "token":
		m = Token{Token: f.text("token", true)}
	case "ping":
		m = Ping{}
	default:
		f.fail("t", "hello, op, presence, token or ping")
	}
	switch {
	case f.err != nil:
		return nil, f.err
	case err != nil:
		return nil, err
	}
	return m, nil
}

// fields are the members of one JSON object, and the first thing wrong with them.
type fields struct {
	names  []string
	values []jsontext.Value
	index  map[string]int // where names are many: a megabyte holds a hundred thousand
	err    *Error
}

const fewNames = 16

func (f *fields) add(name string, value jsontext.Value) {
	if f.index == nil && len(f.names) == fewNames {
		f.index = make(map[string]int, 2*fewNames)
		for i, n := range f.names {
			f.index[n] = i
		}
	}
	if f.index != nil {
		f.index[name] = len(f.names)
	}
	f.names, f.values = append(f.names, name), append(f.values, value)
}

// object reads the members of an object. Half surrogate pairs and duplicate names
// inside a value are left to whoever reads the value: in a delta they are a bad_op.
func object(data []byte) (*fields, error) {
	f := &fields{}
	dec := jsontext.NewDecoder(bytes.NewBuffer(data), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	notJSON := func(err error) error {
		return &Error{Code: BadMessage, Msg: "a message is one JSON object: " + err.Error()}
	}
	if dec.PeekKind() != '{' {
		return nil, &Error{Code: BadMessage, Msg: "a message is one JSON object"}
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, notJSON(err)
	}
	for dec.PeekKind() != '}' {
		quoted, err := dec.ReadValue()
		if err != nil {
			return nil, notJSON(err)
		}
		name, err := jsontext.AppendUnquote(nil, quoted)
		if err != nil {
			return nil, notJSON(err)
		}
		if f.value(string(name)) != nil {
			return nil, &Error{Code: BadMessage, Msg: fmt.Sprintf("%q stands there twice", name)}
		}
		value, err := dec.ReadValue()
		if err != nil {
			return nil, notJSON(err)
		}
		f.add(string(name), bytes.Clone(value))
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, notJSON(err)
	}
	if rest := bytes.TrimLeft(data[dec.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return nil, &Error{Code: BadMessage, Msg: "something follows the JSON object"}
	}
	return f, nil
}

func (f *fields) value(name string) jsontext.Value {
	if f.index != nil {
		if i, ok := f.index[name]; ok {
			return f.values[i]
		}
		return nil
	}
	for i, n := range f.names {
		if n == name {
			return f.values[i]
		}
	}
	return nil
}

func (f *fields) fail(name, want string) {
	if f.err == nil {
		f.err = &Error{Code: BadMessage, Msg: fmt.Sprintf("%q should be %s", name, want)}
	}
}

func (f *fields) text(name string, required bool) string {
	v := f.value(name)
	if v == nil && !required {
		return ""
	}
	if v.Kind() != '"' {
		f.fail(name, "a string")
		return ""
	}
	s, err := jsontext.AppendUnquote(nil, v)
	if err != nil {
		f.fail(name, "a string of whole characters")
	}
	return string(s)
}

// integer reads an integer from least to 2⁵³−1, written without fraction and exponent.
func (f *fields) integer(name string, least int64) int64 {
	n, ok := whole(f.value(name))
	if !ok || n < least || n > maxSafe {
		f.fail(name, "an integer from "+strconv.FormatInt(least, 10)+" to 2^53-1")
		return 0
	}
	return n
}

func whole(v jsontext.Value) (int64, bool) {
	if v.Kind() != '0' {
		return 0, false
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	return n, err == nil
}

func (f *fields) hello() (m Hello) {
	if m.Client = f.text("client", true); f.err == nil && !ValidClient(m.Client) {
		f.fail("client", "16 to 64 characters A-Z a-z 0-9 _ -")
	}
	if f.value("v") != nil {
		v := f.integer("v", 0)
		m.V = &v
	}
	if last := f.value("last"); last != nil {
		origin, err := decodeOrigin(last)
		if err != nil || !ValidClient(origin.Client) || origin.Seq < 1 {
			f.fail("last", "a client and a seq, as an array")
		}
		m.Last = origin
	}
	m.Type = ot.Type(f.text("type", false))
	if f.value("type") != nil && m.Type != ot.Rich && m.Type != ot.Text {
		f.fail("type", "rich or text")
	}
	return m
}

func decodeOrigin(v jsontext.Value) (o *Origin, err error) {
	err = read(v, func(r *reader) {
		if o = readOrigin(r); o == nil {
			r.expected("an array of a client and a seq")
		}
	})
	return o, err
}

func (f *fields) op(limits Limits) (Op, error) {
	m := Op{V: f.integer("v", 0)}
	seq, ok := whole(f.value("seq"))
	if !ok {
		f.fail("seq", "an integer")
	}
	d := f.value("d")
	if d == nil {
		f.fail("d", "a delta")
	}
	if f.err != nil {
		return m, nil
	}
	if seq < 1 {
		return m, &Error{Code: BadSeq, Msg: "the first seq is 1", Seq: seq}
	}
	m.Seq = seq
	return m, m.setDelta(d, limits)
}

// setDelta decodes the delta of an operation whose seq is known.
func (m *Op) setDelta(raw []byte, limits Limits) error {
	d, err := ot.Decode(raw)
	if err != nil {
		return &Error{Code: notTaken(err), Msg: err.Error(), Seq: m.Seq}
	}
	m.Delta = d
	return m.fits(limits)
}

// notTaken is the code of an error of ot.Decode: a delta of too many components is as much too large
// as one beyond a lower limit.
func notTaken(err error) Code {
	var wrong *ot.Error
	if errors.As(err, &wrong) && wrong.Component == ot.MaxComponents {
		return TooLarge
	}
	return BadOp
}

// fits reports what of the operation is larger than the limits allow.
func (m *Op) fits(limits Limits) error {
	if most := limits.Components; most > 0 && len(m.Delta) > most {
		return &Error{Code: TooLarge, Seq: m.Seq, Msg: fmt.Sprintf("an operation has at most %d components", most)}
	}
	for i, c := range m.Delta {
		if len(c.Attributes) == 0 && c.Embed == nil {
			continue
		}
		part, around := ot.Delta{{Insert: "x", Attributes: c.Attributes}}, `[{"insert":"x"}]`
		if c.Embed != nil {
			part, around = ot.Delta{{Embed: c.Embed, Attributes: c.Attributes}}, `[{"insert":}]`
		}
		n := len(part.AppendJSON(nil)) - len(around)
		if len(c.Attributes) > 0 {
			n -= len(`,"attributes":`)
		}
		if limits.Attributes > 0 && n > limits.Attributes {
			return &Error{Code: TooLarge, Seq: m.Seq, Msg: fmt.Sprintf("component %d has more than %d bytes of attributes and embed", i, limits.Attributes)}
		}
	}
	return nil
}

func (f *fields) presence(limits Limits) (Presence, error) {
	m := Presence{V: f.integer("v", 0)}
	switch cursor := f.value("cursor"); cursor.Kind() {
	case 'n':
	case '{':
		c, err := object(cursor)
		if err != nil {
			return m, err
		}
		m.Cursor = &Cursor{Index: int(c.integer("index", 0)), Length: int(c.integer("length", 0))}
		if c.err != nil {
			return m, c.err
		}
	default:
		f.fail("cursor", "null, or an object with index and length")
	}
	if state := f.value("state"); state != nil {
		if state.Kind() != '{' || !state.IsValid() {
			f.fail("state", "an object")
			return m, nil
		}
		if err := state.Compact(); err != nil {
			f.fail("state", "an object")
		}
		if limits.Presence > 0 && len(state) > limits.Presence {
			return m, &Error{Code: TooLarge, Msg: fmt.Sprintf("a presence state has at most %d bytes", limits.Presence)}
		}
		m.State = json.RawMessage(state)
	}
	return m, nil
}

// DecodeOp reads the operation in the body of an HTTP request, as strictly as Decode reads
// a message: {"client","seq","v"?,"d"}. Without v newest is true.
func DecodeOp(body []byte, limits Limits) (client string, op Op, newest bool, err error) {
	f, err := object(body)
	if err != nil {
		return "", Op{}, false, err
	}
	if client = f.text("client", true); f.err == nil && !ValidClient(client) {
		f.fail("client", "16 to 64 characters A-Z a-z 0-9 _ -")
	}
	if newest = f.value("v") == nil; newest {
		f.add("v", jsontext.Value("0"))
	}
	op, err = f.op(limits)
	if f.err != nil {
		err = f.err
	}
	return client, op, newest, err
}

// DecodeDoc reads the body of an HTTP request that makes a document, as strictly:
// {"id"?,"type"?,"content"?}. What is left out, or null, is "", ot.Rich and nil.
func DecodeDoc(body []byte, limits Limits) (id string, typ ot.Type, content ot.Delta, err error) {
	f, err := object(body)
	if err != nil {
		return "", "", nil, err
	}
	given := func(name string) bool { v := f.value(name); return v != nil && v.Kind() != 'n' }
	if given("id") {
		if id = f.text("id", true); f.err == nil && !ValidDoc(id) {
			f.fail("id", "1 to 128 characters A-Z a-z 0-9 . _ ~ : -, the first a letter or digit")
		}
	}
	typ = ot.Rich
	if given("type") {
		if typ = ot.Type(f.text("type", true)); typ != ot.Rich && typ != ot.Text {
			f.fail("type", "rich or text")
		}
	}
	if f.err != nil {
		return "", "", nil, f.err
	}
	if given("content") {
		if content, err = ot.Decode(f.value("content")); err != nil {
			return "", "", nil, &Error{Code: notTaken(err), Msg: err.Error()}
		}
		made := Op{Delta: content}
		if err := made.fits(limits); err != nil {
			return "", "", nil, err
		}
	}
	return id, typ, content, nil
}
