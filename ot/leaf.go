package ot

import "slices"

// A run is text, or one embed, with one set of attributes.
type run struct {
	bytes, units int
	attrs        *format // nil for none
	embed        Embed   // of an embed: bytes is 0 and units is 1
}

// format is a set of attributes that runs share.
type format struct{ Attributes }

func formatOf(a Attributes) *format {
	if len(a) == 0 {
		return nil
	}
	return &format{a}
}

func (f *format) attributes() Attributes {
	if f == nil {
		return nil
	}
	return f.Attributes
}

func (r *run) same(f *format) bool {
	return r.attrs == f || equalAttributes(r.attrs.attributes(), f.attributes())
}

// perform does what is left of a delta in a leaf, from a unit of it on.
func (n *node) perform(at int, d Delta) {
	for i := range d {
		c := &d[i]
		switch {
		case c.Attributes != nil || c.Embed != nil || len(n.runs) != 1 || n.runs[0].attrs != nil || n.runs[0].embed != nil:
			if c.Retain == 0 || c.Attributes != nil {
				e := editOf(c)
				n.edit(at, at+c.Retain+c.Delete, &e)
				at += e.units
			}
		case c.Insert != "":
			at += n.insertPlain(at, c.Insert)
		case c.Delete > 0:
			n.deletePlain(at, at+c.Delete)
		}
		at += c.Retain
	}
}

// isTyped reports whether the leaf is one run of ASCII without attributes.
func (n *node) isTyped() bool {
	return len(n.runs) == 1 && n.size.bytes == n.size.units && n.runs[0].attrs == nil && n.runs[0].embed == nil
}

// strike is perform of keys, in a leaf that is typed: a unit is a byte in both.
func (n *node) strike(at int, d Delta) {
	grown := 0
	for i := range d {
		if c := &d[i]; c.Insert != "" {
			n.put(at, c.Insert)
			at += len(c.Insert)
			grown += len(c.Insert)
		} else {
			n.text = append(n.text[:at], n.text[at+c.Delete:]...)
			grown -= c.Delete
		}
	}
	n.size.units, n.size.bytes = n.size.units+grown, n.size.bytes+grown
	if r := &n.runs[0]; n.size.bytes > 0 {
		r.bytes, r.units = n.size.bytes, n.size.units
	} else {
		n.runs = n.runs[:0]
	}
}

// insertPlain is insert into the one run of a leaf, with its attributes. It returns the units of the text.
func (n *node) insertPlain(at int, text string) int {
	r := &n.runs[0]
	n.put(r.offset(n.text, at), text)
	s := sizeOf(text)
	n.size.add(s)
	r.bytes, r.units = r.bytes+s.bytes, r.units+s.units
	return s.units
}

// deletePlain is a deletion from the one run of a leaf.
func (n *node) deletePlain(from, to int) {
	r := &n.runs[0]
	i, j := r.offset(n.text, from), r.offset(n.text, to)
	n.remove(i, j, to-from)
	if r.bytes, r.units = r.bytes-(j-i), r.units-(to-from); r.units == 0 {
		n.runs = n.runs[:0]
	}
}

// edit performs e between two units of a leaf.
func (n *node) edit(from, to int, e *edit) {
	if e.IsInsert() {
		n.insert(from, e)
		return
	}
	if e.Delete > 0 && len(n.runs) == 1 { // most text has one run
		n.deletePlain(from, to)
		return
	}
	first, last := n.cut(from), n.cut(to)
	if e.Delete > 0 {
		i, j := n.textAt(first), n.textAt(last)
		n.remove(i, j, to-from)
		n.runs = slices.Delete(n.runs, first, last)
		n.heal(first, first)
		return
	}
	for i := first; i < last; i++ {
		r := &n.runs[i]
		if e.is == nil || r.attrs != e.was {
			e.was = r.attrs
			e.is = formatOf(composeAttributes(r.attrs.attributes(), e.Attributes, false))
		}
		r.attrs = e.is
	}
	n.heal(first, last)
}

// remove drops the text between two bytes, which with its embeds is so many units long.
func (n *node) remove(i, j, units int) {
	gone := size{units: units, bytes: j - i}
	if n.size.pairs > 0 {
		gone.pairs = pairs(n.text[i:j])
	}
	n.size.sub(gone)
	n.text = append(n.text[:i], n.text[j:]...)
}

// insert puts the text or embed of e at a unit of a leaf.
func (n *node) insert(at int, e *edit) {
	i, start, from := 0, 0, 0 // run, its byte and its unit
	for i < len(n.runs) && at > from+n.runs[i].units {
		start += n.runs[i].bytes
		from += n.runs[i].units
		i++
	}
	n.size.units += e.units
	n.size.bytes += len(e.Insert)
	if len(e.Insert) > e.units {
		n.size.pairs += pairs(e.Insert)
	}
	if i < len(n.runs) && e.Embed == nil {
		r := &n.runs[i]
		if at == from+r.units && i+1 < len(n.runs) && !r.takes(e) {
			start += r.bytes
			from += r.units
			i++
			r = &n.runs[i]
		}
		if r.takes(e) {
			n.put(start+r.offset(n.text[start:], at-from), e.Insert)
			r.bytes += len(e.Insert)
			r.units += e.units
			return
		}
	}
	i = n.cut(at)
	n.put(n.textAt(i), e.Insert)
	n.runs = slices.Insert(n.runs, i, e.run())
}

// takes reports whether the text that e inserts can be part of the run.
func (r *run) takes(e *edit) bool { return r.embed == nil && r.same(e.format) }

// room is an empty slice for n bytes, and for what the allocator would waste behind them.
func room(n int) []byte { return slices.Grow([]byte(nil), n) }

// put inserts text at a byte of the leaf's. Room is made for little more than the text, as most leaves are
// at rest.
func (n *node) put(at int, s string) {
	old := n.text
	if len(old)+len(s) > cap(old) {
		n.text = append(room(len(old)+len(s)+slack+len(old)/4), old[:at]...)
	}
	n.text = n.text[:len(old)+len(s)]
	copy(n.text[at+len(s):], old[at:])
	if len(s) == 1 {
		n.text[at] = s[0]
		return
	}
	copy(n.text[at:], s)
}

// cut makes a run begin at a position, and returns its index.
func (n *node) cut(at int) int {
	start := 0
	for i := range n.runs {
		if at == 0 {
			return i
		}
		r := n.runs[i]
		if at < r.units {
			k := r.offset(n.text[start:], at)
			left, right := r, r
			left.bytes, left.units = k, at
			right.bytes, right.units = r.bytes-k, r.units-at
			n.runs[i] = left
			n.runs = slices.Insert(n.runs, i+1, right)
			return i + 1
		}
		at -= r.units
		start += r.bytes
	}
	return len(n.runs)
}

// textAt is the byte at which run i begins.
func (n *node) textAt(i int) int {
	at := 0
	for _, r := range n.runs[:i] {
		at += r.bytes
	}
	return at
}

// heal merges equal neighbours among runs first-1 to last.
func (n *node) heal(first, last int) {
	for i := min(last, len(n.runs)-1); i >= max(first, 1); i-- {
		a, b := &n.runs[i-1], n.runs[i]
		if a.embed == nil && b.embed == nil && a.same(b.attrs) {
			a.bytes += b.bytes
			a.units += b.units
			n.runs = slices.Delete(n.runs, i, i+1)
		}
	}
}

// offset is the byte of unit at in the run, whose text begins text.
func (r *run) offset(text []byte, at int) int {
	if r.bytes == r.units || at == 0 {
		return at
	}
	if at == r.units {
		return r.bytes
	}
	i, _ := offset(text, at)
	return i
}
