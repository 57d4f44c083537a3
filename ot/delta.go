package ot

import "slices"

// Type is what a document holds.
type Type string

// The types of documents.
const (
	Rich Type = "rich" // formatted text with embeds; always ends in a newline
	Text Type = "text" // plain text: no attributes, no embeds
)

// Delta is an edit, or a content: components in order. The zero Delta changes nothing.
type Delta []Component

// Component inserts, retains or deletes. Exactly one of Insert, Embed, Retain and
// Delete is set; lengths count UTF-16 code units.
type Component struct {
	Insert     string     // text
	Embed      Embed      // an embed; counts one unit
	Retain     int        // units that stay
	Delete     int        // units that go
	Attributes Attributes // of an insert or a retain; nil for none
}

// Embed is an object with exactly one key, its type.
type Embed map[string]any

// IsInsert reports whether the component inserts text or an embed.
func (c Component) IsInsert() bool { return c.Insert != "" || c.Embed != nil }

// Len is the component's length in UTF-16 units.
func (c Component) Len() int {
	switch {
	case c.Insert != "":
		return Units(c.Insert)
	case c.Embed != nil:
		return 1
	case c.Retain > 0:
		return c.Retain
	}
	return c.Delete
}

// New begins a delta. The builders are like append: they may change the delta they
// are called on, so go on with what they return.
func New() Delta { return nil }

// Insert appends text, with attributes where any are given. Here and in the other builders numbers of every kind
// are taken as values, and become float64, as Decode gives them.
func (d Delta) Insert(text string, attrs ...Attributes) Delta {
	if text == "" {
		return d
	}
	return d.push(Component{Insert: text, Attributes: given(attrs)})
}

// InsertEmbed appends an embed.
func (d Delta) InsertEmbed(embed Embed, attrs ...Attributes) Delta {
	return d.push(Component{Embed: decodedObject(embed), Attributes: given(attrs)})
}

// Retain passes over n units, and sets attributes on them where there are any. A null value removes one.
func (d Delta) Retain(n int, attrs ...Attributes) Delta {
	if n <= 0 {
		return d
	}
	return d.push(Component{Retain: n, Attributes: given(attrs)})
}

// Delete removes n units.
func (d Delta) Delete(n int) Delta {
	if n <= 0 {
		return d
	}
	return d.push(Component{Delete: n})
}

func given(attrs []Attributes) Attributes {
	if len(attrs) > 0 && len(attrs[0]) > 0 {
		return decodedObject(attrs[0])
	}
	return nil
}

// push appends a component in the form of quill-delta's builder: neighbours that
// can be one are one, and an insert stands before a delete at the same place.
func (d Delta) push(c Component) Delta {
	at := len(d)
	if at == 0 {
		return append(d, c)
	}
	last := &d[at-1]
	if last.Delete > 0 {
		if c.Delete > 0 {
			last.Delete += c.Delete
			return d
		}
		if c.IsInsert() {
			at--
			if at == 0 {
				return slices.Insert(d, 0, c)
			}
			last = &d[at-1]
		}
	}
	switch {
	case c.Insert != "" && last.Insert != "" && equalAttributes(c.Attributes, last.Attributes):
		last.Insert += c.Insert
		return d
	case c.Retain > 0 && last.Retain > 0 && equalAttributes(c.Attributes, last.Attributes):
		last.Retain += c.Retain
		return d
	case at == len(d):
		return append(d, c)
	}
	return slices.Insert(d, at, c)
}

// Chop drops a last retain without attributes, which says nothing.
func (d Delta) Chop() Delta {
	if n := len(d); n > 0 && d[n-1].Retain > 0 && d[n-1].Attributes == nil {
		return d[:n-1]
	}
	return d
}

// BaseLen is the length of content that the delta speaks of: what it retains and deletes, in UTF-16 units.
func (d Delta) BaseLen() int {
	n := 0
	for i := range d {
		n += d[i].Retain + d[i].Delete
	}
	return n
}

// Growth is what the delta adds to a content's length, in UTF-16 units; negative where it shrinks.
func (d Delta) Growth() int {
	n := 0
	for i := range d {
		switch c := &d[i]; {
		case c.Insert != "":
			n += units(c.Insert)
		case c.Embed != nil:
			n++
		default:
			n -= c.Delete
		}
	}
	return n
}

// Slice is the part of a delta from unit from to unit to, counted along its components; of a content, those units.
// Positions inside a surrogate pair are moved behind it.
func (d Delta) Slice(from, to int) Delta {
	var out Delta
	at := 0
	for _, c := range d {
		if at >= to {
			break
		}
		n := c.Len()
		first, last := max(from-at, 0), min(to-at, n)
		at += n
		if first >= last {
			continue
		}
		switch {
		case c.Insert != "":
			if c.Insert = c.Insert[byteBehind(c.Insert, first):byteBehind(c.Insert, last)]; c.Insert == "" {
				continue
			}
		case c.Retain > 0:
			c.Retain = last - first
		case c.Delete > 0:
			c.Delete = last - first
		}
		out = append(out, c)
	}
	return out
}

// byteBehind is the byte at which unit n begins, or ends where that is the middle of a surrogate pair.
func byteBehind(text string, n int) int {
	at, inside := offset(text, n)
	if inside {
		at += 4
	}
	return at
}

// Concat appends other as it is.
func (d Delta) Concat(other Delta) Delta {
	out := slices.Clone(d)
	for _, c := range other {
		out = out.push(c)
	}
	return out
}
