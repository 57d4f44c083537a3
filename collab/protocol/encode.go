package protocol

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// appendQuoted writes any string as JSON; what is not UTF-8 in it becomes U+FFFD.
func appendQuoted(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // its error says no more than that
	return dst
}

func appendText(dst []byte, name, s string) []byte {
	return appendQuoted(append(dst, name...), s)
}

func appendInt(dst []byte, name string, n int64) []byte {
	return strconv.AppendInt(append(dst, name...), n, 10)
}

// AppendCommitted appends an operation of the log: {"c","seq","u","d"}.
func AppendCommitted(dst []byte, c Committed) []byte {
	dst = appendText(dst, `{"c":`, c.Client)
	dst = appendInt(dst, `,"seq":`, c.Seq)
	dst = appendText(dst, `,"u":`, c.User)
	dst = append(append(dst, `,"d":`...), c.Delta...)
	return append(dst, '}')
}

// AppendOps appends a frame of operations, each as AppendCommitted made it. The first turns version v into v+1.
func AppendOps(dst []byte, v int64, ops ...[]byte) []byte {
	dst = appendInt(dst, `{"t":"ops","v":`, v)
	return append(appendArray(append(dst, `,"ops":`...), ops), '}')
}

func appendArray[T ~[]byte](dst []byte, values []T) []byte {
	dst = append(dst, '[')
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, v...)
	}
	return append(dst, ']')
}

// Append appends the answer to hello.
func (w Welcome) Append(dst []byte) []byte {
	dst = appendInt(dst, `{"t":"welcome","v":`, w.V)
	dst = appendText(dst, `,"type":`, string(w.Type))
	if w.Doc != nil {
		dst = append(append(dst, `,"doc":`...), w.Doc...)
	} else {
		dst = appendArray(append(dst, `,"ops":`...), w.Ops)
	}
	dst = appendText(dst, `,"session":`, w.Session)
	dst = appendText(dst, `,"role":`, w.Role)
	dst = appendInt(dst, `,"expires_in_ms":`, w.ExpiresInMS)
	dst = w.User.append(append(dst, `,"user":`...))
	dst = appendInt(dst, `,"seq":`, w.Seq)
	if w.Last != nil {
		dst = w.Last.append(append(dst, `,"last":`...))
	}
	dst = appendPeers(append(dst, `,"peers":`...), w.Peers)
	dst = w.Limits.append(append(dst, `,"limits":`...))
	dst = append(dst, `,"features":[`...)
	for i, f := range w.Features {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendQuoted(dst, f)
	}
	return append(dst, `]}`...)
}

func (o Origin) append(dst []byte) []byte {
	dst = appendQuoted(append(dst, '['), o.Client)
	return append(appendInt(dst, ",", o.Seq), ']')
}

func (l Limits) append(dst []byte) []byte {
	dst = appendInt(dst, `{"message":`, int64(l.Message))
	dst = appendInt(dst, `,"document":`, int64(l.Document))
	dst = appendInt(dst, `,"attributes":`, int64(l.Attributes))
	dst = appendInt(dst, `,"ops_per_s":`, int64(l.OpsPerS))
	dst = appendInt(dst, `,"presence":`, int64(l.Presence))
	return append(appendInt(dst, `,"components":`, int64(l.Components)), '}')
}

func (u User) append(dst []byte) []byte {
	dst = appendText(dst, `{"id":`, u.ID)
	if u.Name != "" {
		dst = appendText(dst, `,"name":`, u.Name)
	}
	if u.Picture != "" {
		dst = appendText(dst, `,"picture":`, u.Picture)
	}
	return append(dst, '}')
}

func (c *Cursor) append(dst []byte) []byte {
	if c == nil {
		return append(dst, "null"...)
	}
	dst = appendInt(dst, `{"index":`, int64(c.Index))
	return append(appendInt(dst, `,"length":`, int64(c.Length)), '}')
}

func (p Peer) append(dst []byte) []byte {
	dst = appendText(dst, `{"s":`, p.Session)
	if p.Left {
		return append(dst, `,"left":true}`...)
	}
	dst = p.User.append(append(dst, `,"user":`...))
	dst = p.Cursor.append(append(dst, `,"cursor":`...))
	if p.State != nil {
		dst = append(append(dst, `,"state":`...), p.State...)
	}
	return append(dst, '}')
}

func appendPeers(dst []byte, peers []Peer) []byte {
	dst = append(dst, '[')
	for i, p := range peers {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = p.append(dst)
	}
	return append(dst, ']')
}

// AppendPresence appends changes in who is here and where, in terms of version v.
func AppendPresence(dst []byte, v int64, peers []Peer) []byte {
	dst = appendInt(dst, `{"t":"presence","v":`, v)
	return append(appendPeers(append(dst, `,"peers":`...), peers), '}')
}

// AppendRole appends the session's new rights.
func AppendRole(dst []byte, role string, expiresInMS int64) []byte {
	dst = appendText(dst, `{"t":"role","role":`, role)
	return append(appendInt(dst, `,"expires_in_ms":`, expiresInMS), '}')
}

// AppendError appends a refusal; seq and retry_ms only where they are set.
func AppendError(dst []byte, e Error) []byte {
	dst = appendText(dst, `{"t":"error","code":`, string(e.Code))
	dst = appendText(dst, `,"msg":`, e.Msg)
	if e.Seq != 0 {
		dst = appendInt(dst, `,"seq":`, e.Seq)
	}
	if e.RetryMS != 0 {
		dst = appendInt(dst, `,"retry_ms":`, e.RetryMS)
	}
	return append(dst, '}')
}

// AppendBye appends the word that the server is about to close.
func AppendBye(dst []byte, e Error) []byte {
	dst = appendText(dst, `{"t":"bye","code":`, string(e.Code))
	dst = appendText(dst, `,"msg":`, e.Msg)
	return append(appendInt(dst, `,"retry_ms":`, e.RetryMS), '}')
}

// AppendPong appends the answer to a ping.
func AppendPong(dst []byte) []byte { return append(dst, `{"t":"pong"}`...) }

// Append appends the first message of a session.
func (m Hello) Append(dst []byte) []byte {
	dst = appendText(dst, `{"t":"hello","client":`, m.Client)
	if m.V != nil {
		dst = appendInt(dst, `,"v":`, *m.V)
	}
	if m.Last != nil {
		dst = m.Last.append(append(dst, `,"last":`...))
	}
	if m.Type != "" {
		dst = appendText(dst, `,"type":`, string(m.Type))
	}
	return append(dst, '}')
}

// Append appends an operation.
func (m Op) Append(dst []byte) []byte {
	dst = appendInt(dst, `{"t":"op","v":`, m.V)
	dst = appendInt(dst, `,"seq":`, m.Seq)
	return append(m.Delta.AppendJSON(append(dst, `,"d":`...)), '}')
}

// Append appends where the user is.
func (m Presence) Append(dst []byte) []byte {
	dst = appendInt(dst, `{"t":"presence","v":`, m.V)
	dst = m.Cursor.append(append(dst, `,"cursor":`...))
	if m.State != nil {
		dst = append(append(dst, `,"state":`...), m.State...)
	}
	return append(dst, '}')
}

// Append appends a newer token.
func (m Token) Append(dst []byte) []byte {
	return append(appendText(dst, `{"t":"token","token":`, m.Token), '}')
}

// Append appends a ping.
func (m Ping) Append(dst []byte) []byte { return append(dst, `{"t":"ping"}`...) }
