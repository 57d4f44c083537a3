package ot

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
)

// Document is a content of one type. An edit takes time in proportion to its own
// size and to the logarithm of the content's. A Document is edited by one goroutine
// at a time; a Clone may be read by another while the original is edited.
type Document struct {
	typ    Type
	root   *node
	mine   ownership // of the nodes that it makes
	lent   []loan    // to clones, the newest last
	floor  int       // nodes up to this epoch are lent for ever
	loans  []loan    // that it has as a clone
	finger finger
}

// NewDocument is a newborn document: "\n" for Rich, empty for Text.
func NewDocument(t Type) *Document {
	doc := &Document{typ: t, mine: newOwnership()}
	doc.root = &node{ownership: doc.mine}
	if t == Rich {
		doc.apply(Delta{{Insert: "\n"}})
	}
	return doc
}

// DocumentOf is a document with a content: inserts only, in the form that Decode
// takes, for Rich ending in a newline. Null attributes are left out. Errors are *Error.
func DocumentOf(t Type, content Delta) (*Document, error) {
	doc := &Document{typ: t, mine: newOwnership()}
	doc.root = &node{ownership: doc.mine}
	at := 0
	for i, c := range content {
		if !c.IsInsert() {
			return nil, &Error{Component: i, Offset: at, Want: "inserts only, in a content"}
		}
		if err := t.check(i, at, c); err != nil {
			return nil, err
		}
		at += c.Len()
	}
	if t == Rich && (len(content) == 0 || !strings.HasSuffix(content[len(content)-1].Insert, "\n")) {
		return nil, &Error{Component: len(content) - 1, Offset: at, Want: "a newline at the end of rich content"}
	}
	doc.apply(content)
	return doc, nil
}

// Clone is the same content, to be edited or read apart from doc, also by another goroutine. It copies nothing. From
// then on each side copies a node, of a kilobyte or two, when it alters it for the first time, until the clone is
// released. Clone counts as an edit of doc: the goroutine that edits doc calls it.
func (doc *Document) Clone() *Document {
	doc.settle()
	l := loan{doc.mine.epoch, new(atomic.Int64)}
	clone := &Document{typ: doc.typ, root: doc.root, mine: newOwnership(), loans: append(slices.Clone(doc.loans), l)}
	for _, l := range clone.loans {
		l.held.Add(1)
	}
	if n := len(clone.loans) - lentMost; n > 0 { // what it was cloned from through so many others copies for ever
		clone.loans = slices.Delete(clone.loans, 0, n)
	}
	doc.lent, doc.finger = append(doc.lent, l), finger{}
	doc.mine.epoch++
	return clone
}

// Release says that nobody needs a clone any more: what it was cloned from copies nothing for its sake from then on. The
// goroutine that used the clone last calls it, and the clone is not to be used afterwards. A clone that is dropped without
// it costs those copies, and nothing else. Of a document that is no clone it does nothing.
func (doc *Document) Release() {
	if len(doc.loans) == 0 {
		return
	}
	for _, l := range doc.loans {
		l.held.Add(-1)
	}
	*doc = Document{}
}

// Type is what the document holds.
func (doc *Document) Type() Type { return doc.typ }

// Len is the length of the content in UTF-16 units.
func (doc *Document) Len() int { return doc.root.size.units }

// Check reports, as an *Error, why d cannot be applied: it is longer than the
// content, cuts a surrogate pair, or breaks a rule of the type.
func (doc *Document) Check(d Delta) error {
	at, length := 0, doc.Len()
	for i, c := range d {
		if err := doc.typ.check(i, at, c); err != nil {
			return err
		}
		n := c.Retain + c.Delete
		switch {
		case n > length-at:
			return &Error{Component: i, Offset: at, Want: fmt.Sprintf("at most %d more units, not %d: the content has %d", length-at, n, length)}
		case n == 0 && doc.typ == Rich && at == length:
			return &Error{Component: i, Offset: at, Want: "nothing after the last newline"}
		case c.Delete > 0 && doc.typ == Rich && at+n == length:
			return &Error{Component: i, Offset: at, Want: "the last newline to stay"}
		}
		if at += n; n > 0 && at < length && !doc.root.boundary(at) {
			return &Error{Component: i, Offset: at, Want: "no boundary inside a surrogate pair"}
		}
	}
	return nil
}

// Apply performs d as a whole, or returns the error of Check and leaves the content as it was.
func (doc *Document) Apply(d Delta) error {
	if doc.near(d) {
		return nil
	}
	if err := doc.Check(d); err != nil {
		return err
	}
	doc.apply(d)
	return nil
}

func (doc *Document) apply(d Delta) {
	doc.finger = finger{}
	doc.root = doc.tree().apply(doc.root, d)
}

// settle forgets the loans of clones that were released.
func (doc *Document) settle() {
	if len(doc.lent) == 0 {
		return
	}
	doc.lent = slices.DeleteFunc(doc.lent, func(l loan) bool { return l.held.Load() == 0 })
	if n := len(doc.lent) - lentMost; n > 0 { // dropped without Release, more likely than not
		doc.floor = doc.lent[n-1].epoch
		doc.lent = slices.Delete(doc.lent, 0, n)
	}
}

// tree is what edits nodes for doc.
func (doc *Document) tree() tree {
	doc.settle()
	t := tree{mine: doc.mine, lent: doc.floor}
	if n := len(doc.lent); n > 0 {
		t.lent = doc.lent[n-1].epoch
	}
	return t
}

// Delta is the content in normal form: inserts, equal neighbours merged.
func (doc *Document) Delta() Delta { return doc.Slice(0, doc.Len()) }

// Slice is the content between two positions, in UTF-16 units, in normal form.
// Positions inside a surrogate pair are moved behind it.
func (doc *Document) Slice(from, to int) Delta {
	out := Delta{}
	var text strings.Builder
	var last run
	flush := func() {
		if text.Len() > 0 {
			out = append(out, Component{Insert: text.String(), Attributes: last.attrs.attributes()})
			text.Reset()
		}
	}
	doc.root.each(from, to, func(part []byte, r run) bool {
		if r.embed != nil {
			flush()
			out = append(out, Component{Embed: r.embed, Attributes: r.attrs.attributes()})
			return true
		}
		if text.Len() > 0 && !last.same(r.attrs) {
			flush()
		}
		last = r
		text.Write(part)
		return true
	})
	flush()
	return out
}

// Text is the content's text, without attributes and embeds.
func (doc *Document) Text() string {
	var b strings.Builder
	b.Grow(doc.root.size.bytes)
	doc.root.all(func(part []byte, _ run) bool {
		b.Write(part)
		return true
	})
	return b.String()
}

// AppendJSON appends the content in normal form as JSON. Equal contents are equal bytes.
func (doc *Document) AppendJSON(dst []byte) []byte {
	size := doc.root.size.bytes
	dst = append(slices.Grow(dst, size+size/16+32), '[') // the size of most
	var last run
	open := false // a string is being written, with the attributes of last
	finish := func() {
		if open {
			dst = append(dst, '"')
			dst = appendAttributes(dst, last.attrs.attributes())
			open = false
		}
	}
	comma := func() {
		if dst[len(dst)-1] == '}' {
			dst = append(dst, ',')
		}
	}
	doc.root.all(func(part []byte, r run) bool {
		if !open || r.embed != nil || !last.same(r.attrs) {
			finish()
			comma()
			dst = append(dst, `{"insert":`...)
			if r.embed != nil {
				dst = appendAttributes(appendObject(dst, r.embed), r.attrs.attributes())
				return true
			}
			dst, open = append(dst, '"'), true
		}
		last = r
		dst = appendEscaped(dst, part)
		return true
	})
	finish()
	return append(dst, ']')
}
