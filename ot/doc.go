// Package ot is operational transformation for rich text: the Delta of Quill, its
// algebra, and Document, a content that takes deltas in logarithmic time. It needs no server
// and no other package of the project.
//
// A [Delta] is an edit, or a content, which is an edit of nothing. Build one with [New] and what
// Insert, Retain and Delete return, read one with [Decode], write one with [Delta.AppendJSON]. A
// [Document] holds a content and takes edits of it, each as a whole or not at all.
//
// # Units
//
// Lengths and positions count UTF-16 code units, as JavaScript strings do; an embed
// counts one. Go strings stay UTF-8, and [Document.UnitAt], [Document.UnitAtByte], [Document.PointAt] and
// [Document.ByteAt] go from one way of counting to another. A boundary never lies inside a surrogate pair: what has one there
// is refused by Document, and no function here makes one of deltas that have none.
//
// # Laws
//
// Where a and b are edits of the same content x, and xa means "x, then a":
//
//	x a (a.Transform(b, true))  =  x b (b.Transform(a, false))     convergence, TP1
//	x (a.Compose(c))            =  x a c
//	a.Compose(c).Compose(e)     =  a.Compose(c.Compose(e))         as contents, and as edits in normal form
//	x a (a.Invert(x))           =  x
//	x (Diff(t, x, y))           =  y
//	i <= j  implies  d.TransformPosition(i, p) <= d.TransformPosition(j, p)
//	Decode(d.AppendJSON(nil))   =  d                               where d is in form
//
// The tests hold these for every pair of edits of every short content, for random ones, and against npm's
// quill-delta and rich-text.
//
// A sequence is transformed over a sequence one operation at a time, on both sides.
// Over the composition of several the result may be another one: in "a", delete
// the "a" and then insert "x" compose to an insert in front of the delete,
// while an insert of another author before or behind the "a" tells the two apart.
//
// # Ties
//
// Of two inserts at one place, the one with priority stands first; of two values
// for one attribute, its value stays. A server gives priority to what was committed first. Results
// are those of npm's quill-delta 5.1, component by component.
//
// # Forms
//
// [Decode] takes deltas in form alone: what quill-delta's own builder makes, and the builders here do. An insert stands
// before a delete at the same place, and neighbours that can be one component are one. It gives the
// operation back as it was sent. [Delta.Normal] goes further: two edits that do the same are equal bytes in normal form.
// [Document.AppendJSON] writes contents that way.
//
// # Cost
//
// Compose, Transform and TransformPosition take time in proportion to the components of both deltas and to the text that
// they cut, Invert also to the content. Apply takes time in proportion to the size of the edit and the logarithm of the
// content, and so do positions and slices. Clone takes no time; afterwards each side copies
// the nodes that it alters, about a kilobyte each, once, until the clone is released ([Document.Release]). Diff takes time in proportion to both contents and to their changes.
//
// # Goroutines
//
// A delta is not altered by any function but the builders, and may be read by many goroutines at once. A Document is edited by
// one at a time; another reads a Clone.
//
// # Errors
//
// Every error is an [*Error], and says which component it is about, where it is, and what was expected there.
package ot
