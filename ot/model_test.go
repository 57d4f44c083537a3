package ot_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/weft-collab/weft/ot"
)

// A model is a content as an array of units, edited the slow and plain way. It is the referee
// of the other tests, and uses nothing of the package but the fields of a Component.
type unit struct {
	code  uint16 // UTF-16; 0 for an embed
	embed string // JSON; empty for text
	attrs string // entries of name and value, see set
}

func (u unit) trails() bool { return u.embed == "" && u.code >= 0xDC00 && u.code < 0xE000 }

func jsonOf(v any) string {
	switch v := v.(type) {
	case string:
		if !strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' || r > 0x7f }) {
			return `"` + v + `"`
		}
	case bool:
		return fmt.Sprint(v)
	case nil:
		return "null"
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// Neither byte stands in JSON.
const entryEnd, nameEnd = "\x1f", "\x1e"

// set is a set of attributes after an edit sets others; nil removes. Equal sets are equal strings.
func set(attrs string, with ot.Attributes) string {
	if len(with) == 0 {
		return attrs
	}
	var entries []string
	for entry := range strings.SplitSeq(attrs, entryEnd) {
		name, _, _ := strings.Cut(entry, nameEnd)
		if _, again := with[name]; entry != "" && !again {
			entries = append(entries, entry)
		}
	}
	for name, v := range with {
		if v != nil {
			entries = append(entries, name+nameEnd+jsonOf(v))
		}
	}
	slices.Sort(entries)
	return strings.Join(entries, entryEnd)
}

func unitsOf(c ot.Component) (out []unit) {
	attrs := set("", c.Attributes)
	if c.Embed != nil {
		return []unit{{embed: jsonOf(map[string]any(c.Embed)), attrs: attrs}}
	}
	for _, u := range utf16.Encode([]rune(c.Insert)) {
		out = append(out, unit{code: u, attrs: attrs})
	}
	return out
}

// modelApply edits a content. The edit must be one that modelRefuses lets pass.
func modelApply(content []unit, d ot.Delta) []unit {
	out := make([]unit, 0, len(content)+8)
	at := 0
	for _, c := range d {
		switch {
		case c.Insert != "" || c.Embed != nil:
			out = append(out, unitsOf(c)...)
		case c.Delete > 0:
			at += c.Delete
		default:
			was, is := "?", ""
			for _, u := range content[at : at+c.Retain] {
				if u.attrs != was {
					was, is = u.attrs, set(u.attrs, c.Attributes)
				}
				u.attrs = is
				out = append(out, u)
			}
			at += c.Retain
		}
	}
	return append(out, content[at:]...)
}

func modelOf(content ot.Delta) []unit { return modelApply(nil, content) }

// modelRefuses says why an edit in form may not be done on a content: the rules of the protocol, once more.
func modelRefuses(typ ot.Type, content []unit, d ot.Delta) error {
	at := 0
	for i, c := range d {
		if typ == ot.Text && (c.Attributes != nil || c.Embed != nil) {
			return fmt.Errorf("component %d: formats in plain text", i)
		}
		if typ == ot.Rich && strings.Contains(c.Insert, "\r") {
			return fmt.Errorf("component %d: U+000D", i)
		}
		if typ == ot.Rich && (c.Insert != "" || c.Embed != nil) && at == len(content) {
			return fmt.Errorf("component %d: after the last newline", i)
		}
		if c.Retain > len(content)-at || c.Delete > len(content)-at {
			return fmt.Errorf("component %d: past the end", i)
		}
		at += c.Retain + c.Delete
		if c.Delete > 0 && typ == ot.Rich && at == len(content) {
			return fmt.Errorf("component %d: deletes the last newline", i)
		}
		if at < len(content) && content[at].trails() {
			return fmt.Errorf("component %d: ends inside a pair", i)
		}
	}
	return nil
}

// modelBroken says what is wrong with a content as such: half a pair, or no newline at the end of a rich one.
func modelBroken(typ ot.Type, content []unit) error {
	if typ == ot.Rich && (len(content) == 0 || content[len(content)-1].code != '\n') {
		return errors.New("no newline at the end")
	}
	for i, u := range content {
		leads := u.code >= 0xD800 && u.code < 0xDC00
		if leads && (i+1 == len(content) || !content[i+1].trails() || content[i+1].attrs != u.attrs) {
			return fmt.Errorf("half a pair at %d", i)
		}
		if u.trails() && (i == 0 || content[i-1].code < 0xD800 || content[i-1].code >= 0xDC00) {
			return fmt.Errorf("half a pair at %d", i)
		}
	}
	return nil
}

// deltaOf is a model as a content in normal form.
func deltaOf(content []unit) ot.Delta {
	out := ot.Delta{}
	for from := 0; from < len(content); {
		c := ot.Component{}
		first := content[from]
		to := from + 1
		if first.embed != "" {
			_ = json.Unmarshal([]byte(first.embed), &c.Embed)
		} else {
			var text []uint16
			for to = from; to < len(content) && content[to].embed == "" && content[to].attrs == first.attrs; to++ {
				text = append(text, content[to].code)
			}
			c.Insert = string(utf16.Decode(text))
		}
		for entry := range strings.SplitSeq(first.attrs, entryEnd) {
			if name, text, found := strings.Cut(entry, nameEnd); found {
				var v any
				_ = json.Unmarshal([]byte(text), &v)
				if c.Attributes == nil {
					c.Attributes = ot.Attributes{}
				}
				c.Attributes[name] = v
			}
		}
		out = append(out, c)
		from = to
	}
	return out
}

func same(a, b []unit) bool { return slices.Equal(a, b) }
