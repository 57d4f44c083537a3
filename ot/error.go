package ot

import "fmt"

// Error says why a delta is not taken.
type Error struct {
	Component int    // index of the component, from 0; -1 where it is none in particular
	Offset    int    // byte of the JSON where Decode stopped, or UTF-16 unit of the content; -1 for none
	Want      string // what was expected
}

func (e *Error) Error() string {
	switch {
	case e.Component < 0 && e.Offset < 0:
		return "delta: " + e.Want
	case e.Component < 0:
		return fmt.Sprintf("delta at %d: %s", e.Offset, e.Want)
	case e.Offset < 0:
		return fmt.Sprintf("delta, component %d: %s", e.Component, e.Want)
	}
	return fmt.Sprintf("delta, component %d, at %d: %s", e.Component, e.Offset, e.Want)
}
