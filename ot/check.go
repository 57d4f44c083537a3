package ot

import (
	"strings"
	"unicode/utf8"
)

// check holds component i, which begins at unit at of the content, against the rules of the type, and
// against what Decode would have refused where the delta was not decoded but made by hand.
func (t Type) check(i, at int, c Component) *Error {
	want := c.malformed()
	switch {
	case want != "":
	case t == Text && len(c.Attributes) > 0:
		want = "no attributes in a document of type text"
	case t == Text && c.Embed != nil:
		want = "no embeds in a document of type text"
	case t == Rich && strings.IndexByte(c.Insert, '\r') >= 0:
		want = "newlines as U+000A, without U+000D"
	default:
		return nil
	}
	return &Error{Component: i, Offset: at, Want: want}
}

// malformed says what a component should have been; nothing where it is one.
func (c Component) malformed() string {
	actions := 0
	if c.Insert != "" {
		actions++
	}
	if c.Embed != nil {
		actions++
	}
	if c.Retain != 0 {
		actions++
	}
	if c.Delete != 0 {
		actions++
	}
	switch {
	case actions != 1:
		return "exactly one of insert, embed, retain and delete"
	case c.Retain < 0 || c.Delete < 0:
		return "a length of at least 1"
	case c.Embed != nil && len(c.Embed) != 1:
		return "an embed with exactly one key"
	case c.Delete > 0 && len(c.Attributes) > 0:
		return "no attributes on a delete"
	case !utf8.ValidString(c.Insert):
		return "text that is UTF-8, without halves of surrogate pairs"
	}
	return ""
}
