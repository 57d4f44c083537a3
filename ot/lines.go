package ot

import "strings"

// EachLine calls f for each line of a content: its inserts, without the newline,
// the attributes of the newline, and the line's index from 0. What follows the last newline,
// if anything does, is a line too. It ends where f returns false.
func (d Delta) EachLine(f func(line Delta, attrs Attributes, i int) bool) {
	i := 0
	var line Delta
	for _, c := range d {
		text := c.Insert
		if text == "" {
			line = append(line, c)
			continue
		}
		for {
			before, after, found := strings.Cut(text, "\n")
			line = line.Insert(before, c.Attributes)
			if !found {
				break
			}
			if !f(line, c.Attributes, i) {
				return
			}
			line, text, i = nil, after, i+1
		}
	}
	if len(line) > 0 {
		f(line, nil, i)
	}
}
