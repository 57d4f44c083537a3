package ot

// Normal is d in normal form, in which two edits that do the same are equal bytes: without null
// attributes on inserts, which set nothing; an insert before a delete at the same place; neighbours that can be
// one component as one; nothing of no length; no retain without attributes at the end; and numbers of one kind. AppendJSON
// sorts the keys. Two edits do the same where they make the same of every content that both can be applied to.
//
// Decode gives operations back as they were sent: clients transform what was sent, and a null
// attribute is part of it.
func (d Delta) Normal() Delta {
	out := make(Delta, 0, len(d))
	for _, c := range d {
		c.Attributes, c.Embed = decodedObject(c.Attributes), decodedObject(c.Embed)
		switch {
		case c.IsInsert():
			c.Attributes = composeAttributes(nil, c.Attributes, false)
		case c.Delete > 0:
			c.Attributes = nil
		case c.Retain <= 0:
			continue
		}
		c.Attributes = some(c.Attributes)
		out = out.push(c)
	}
	return out.Chop()
}
