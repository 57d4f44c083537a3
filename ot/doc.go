// Package ot is operational transformation for rich text: the Delta of Quill, its
// algebra, and Document, a content that takes deltas in logarithmic time.
//
// # Units
//
// Lengths and positions count UTF-16 code units, as JavaScript strings do; an embed
// counts one. Go strings stay UTF-8. A boundary never lies inside a surrogate pair.
//
// # Laws
//
// Where a and b are edits of the same content x, and xa means "x, then a":
//
//	x a (a.Transform(b, true))  =  x b (b.Transform(a, false))     convergence, TP1
//	x (a.Compose(c))            =  x a c
//	a.Compose(c).Compose(e)     =  a.Compose(c.Compose(e))         as content, and as edits in form
//	x a (a.Invert(x))           =  x
//	x (Diff(t, x, y))           =  y
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
// # Cost
//
// Compose and Transform take time in proportion to the components of both deltas, and Apply to the size
// of the edit and the logarithm of the content. Clone takes no time; afterwards each side copies
// the nodes that it alters, about a kilobyte each, once.
package ot
