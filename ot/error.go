package ot

import "fmt"

// Error says why a delta is not taken, by Decode, Parse, Document and DocumentOf.
type Error struct {
	// Component is the index of the component, from 0; -1 where it is none in particular, as in JSON that is no array.
	Component int
	// Offset is where: the byte of the JSON or of the notation that was read; in an edit of a Document, the
	// UTF-16 unit of the content at which the component begins, or ends if its end is what is wrong.
	Offset int
	// Want is what was expected.
	Want string
}

func (e *Error) Error() string {
	if e.Component < 0 {
		return fmt.Sprintf("delta, at %d: expected %s", e.Offset, e.Want)
	}
	return fmt.Sprintf("delta, component %d, at %d: expected %s", e.Component, e.Offset, e.Want)
}
