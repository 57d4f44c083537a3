package ot

import "strconv"

// String is the delta in one line, for tests and errors: retain as =5, insert as
// +"text" or +{"image":"…"}, delete as -3, each with its attributes behind it, and
// a space in between. The empty delta is "nothing".
func (d Delta) String() string {
	if len(d) == 0 {
		return "nothing"
	}
	var out []byte
	for i, c := range d {
		if i > 0 {
			out = append(out, ' ')
		}
		switch {
		case c.Insert != "":
			out = appendString(append(out, '+'), c.Insert)
		case c.Embed != nil:
			out = appendObject(append(out, '+'), c.Embed)
		case c.Retain > 0:
			out = strconv.AppendInt(append(out, '='), int64(c.Retain), 10)
		default:
			out = strconv.AppendInt(append(out, '-'), int64(c.Delete), 10)
		}
		if len(c.Attributes) > 0 {
			out = appendObject(out, c.Attributes)
		}
	}
	return string(out)
}

// Parse reads what String writes. It is as strict as Decode, the offsets of its errors are bytes of s.
func Parse(s string) (Delta, error) {
	if s == "nothing" {
		return Delta{}, nil
	}
	p := parser{data: []byte(s)}
	d := Delta{}
	for p.err == nil && p.peek() != 0 {
		p.component = len(d)
		c := p.notation()
		if p.err == nil {
			p.fits(d, c)
		}
		d = append(d, c)
	}
	if p.err != nil {
		return nil, p.err
	}
	return d, nil
}

func (p *parser) notation() (c Component) {
	sign := p.peek()
	p.at++
	switch sign {
	case '+':
		p.insert(&c)
	case '=':
		c.Retain = p.count()
	case '-':
		c.Delete = p.count()
	default:
		p.at--
		p.fail("=, + or -")
	}
	if c.Delete == 0 && p.err == nil && p.at < len(p.data) && p.data[p.at] == '{' {
		c.Attributes = p.attributes()
	}
	return c
}

func (p *parser) count() int {
	start := p.at
	p.digits()
	n, err := strconv.ParseInt(string(p.data[start:p.at]), 10, 54)
	if err != nil || n == 0 {
		p.at = start
		p.fail("a length of at least 1")
	}
	return int(n)
}
