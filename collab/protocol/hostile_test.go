package protocol_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/weft-collab/weft/collab/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What JSON allows and a message may not have, and what JSON does not allow.
func TestHostileJSONIsRefusedWithItsCode(t *testing.T) {
	op := func(d string) string { return `{"t":"op","v":0,"seq":1,"d":` + d + `}` }
	insert := func(s string) string { return op(`[{"insert":` + s + `}]`) }
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	const badMessage, badOp, taken = protocol.BadMessage, protocol.BadOp, protocol.Code("")
	for name, c := range map[string]struct {
		frame string
		code  protocol.Code
	}{
		"an unknown type":                    {`{"t":"dance"}`, badMessage},
		"a type in another case":             {`{"t":"PING"}`, badMessage},
		"a name in another case":             {`{"T":"ping"}`, badMessage},
		"a name twice":                       {`{"t":"ping","t":"ping"}`, badMessage},
		"a name twice, once escaped":         {`{"t":"ping","\u0074":"ping"}`, badMessage},
		"an unknown name twice":              {`{"t":"ping","x":1,"x":1}`, badMessage},
		"half a pair as a name":              {`{"t":"ping","\ud83d":1}`, badMessage},
		"half a pair in a token":             {`{"t":"token","token":"\ud83d"}`, badMessage},
		"half a pair in an insert":           {insert(`"\ud83d"`), badOp},
		"the second half in an insert":       {insert(`"\ude00"`), badOp},
		"the halves the wrong way round":     {insert(`"\ude00\ud83d"`), badOp},
		"half a pair in an attribute":        {op(`[{"insert":"x","attributes":{"a":"\ud83d"}}]`), badOp},
		"a byte that is no UTF-8":            {insert("\"\xff\""), badOp},
		"a control character":                {insert("\"\x01\""), badMessage},
		"a name twice in attributes":         {op(`[{"insert":"x","attributes":{"a":1,"a":2}}]`), badOp},
		"a name twice in a component":        {op(`[{"insert":"x","insert":"y"}]`), badOp},
		"a v with a fraction":                {`{"t":"op","v":1.5,"seq":1,"d":[]}`, badMessage},
		"a v as 1.0":                         {`{"t":"op","v":1.0,"seq":1,"d":[]}`, badMessage},
		"a v as 1e3":                         {`{"t":"op","v":1e3,"seq":1,"d":[]}`, badMessage},
		"a v of 2^53-1":                      {`{"t":"op","v":9007199254740991,"seq":1,"d":[]}`, taken},
		"a v of 2^53":                        {`{"t":"op","v":9007199254740992,"seq":1,"d":[]}`, badMessage},
		"a v of 2^64":                        {`{"t":"op","v":18446744073709551616,"seq":1,"d":[]}`, badMessage},
		"a v that is NaN":                    {`{"t":"op","v":NaN,"seq":1,"d":[]}`, badMessage},
		"a v that is Infinity":               {`{"t":"op","v":Infinity,"seq":1,"d":[]}`, badMessage},
		"a seq with a fraction":              {`{"t":"op","v":0,"seq":1.5,"d":[]}`, badMessage},
		"a seq of 2^63":                      {`{"t":"op","v":0,"seq":9223372036854775808,"d":[]}`, badMessage},
		"a retain with a fraction":           {op(`[{"retain":1.5}]`), badOp},
		"a retain of 2^53":                   {op(`[{"retain":9007199254740992}]`), badOp},
		"a retain of 0":                      {op(`[{"retain":0}]`), badOp},
		"a delete below 0":                   {op(`[{"delete":-1}]`), badOp},
		"an attribute that is NaN":           {op(`[{"insert":"x","attributes":{"a":NaN}}]`), badMessage},
		"an attribute that no double holds":  {op(`[{"insert":"x","attributes":{"a":1e400}}]`), badOp},
		"an attribute of 2^53+1":             {op(`[{"insert":"x","attributes":{"a":9007199254740993}}]`), badOp},
		"a number with a leading 0":          {`{"t":"ping","x":01}`, badMessage},
		"a comma at the end":                 {`{"t":"ping",}`, badMessage},
		"a comment":                          {`{"t":"ping"/**/}`, badMessage},
		"a byte order mark":                  {"\ufeff" + `{"t":"ping"}`, badMessage},
		"nothing":                            {``, badMessage},
		"depth in an unknown field":          {`{"t":"ping","x":` + deep(1000) + `}`, taken},
		"more depth than any reader takes":   {`{"t":"ping","x":` + deep(100_000) + `}`, badMessage},
		"depth in an attribute":              {op(`[{"insert":"x","attributes":{"a":` + deep(17) + `}}]`), badOp},
		"a hundred thousand parts":           {op(`[` + strings.Repeat(`{"insert":"x"},{"retain":1},`, 50_000) + `{"delete":1}]`), protocol.TooLarge},
		"an open string":                     {`{"t":"ping`, badMessage},
		"half an object in an unknown field": {`{"t":"ping","x":{`, badMessage},
		"a client id of a megabyte":          {`{"t":"hello","client":"` + strings.Repeat("a", 1<<20) + `"}`, badMessage},
		"a cursor of 2^53":                   {`{"t":"presence","v":0,"cursor":{"index":9007199254740992,"length":0}}`, badMessage},
		"a cursor below 0":                   {`{"t":"presence","v":0,"cursor":{"index":-1,"length":0}}`, badMessage},
		"a state that is too large":          {`{"t":"presence","v":0,"cursor":null,"state":{"x":"` + strings.Repeat("x", 2<<10) + `"}}`, protocol.TooLarge},
		"attributes that are too large":      {op(`[{"insert":"x","attributes":{"a":"` + strings.Repeat("x", 4<<10) + `"}}]`), protocol.TooLarge},
	} {
		m, err := protocol.Decode([]byte(c.frame), limits)
		var e *protocol.Error
		switch {
		case err == nil && c.code != taken:
			t.Errorf("%s: it is taken, as %#v", name, m)
		case errors.As(err, &e) && e.Code != c.code:
			t.Errorf("%s: it is refused with %v, not %s", name, e, c.code)
		case err != nil && e == nil:
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is refused is not quoted: an error goes into logs, and the words of a document do not.
func TestRefusalsAreShortAndHoldNoText(t *testing.T) {
	secret := "the-text-of-a-document"
	for _, frame := range []string{
		`{"t":"op","v":0,"seq":1,"d":[{"insert":"` + secret + `","delete":1}]}`,
		`{"t":"op","v":0,"seq":1,"d":[{"insert":"` + secret + `"},{"insert":"` + secret + `"}]}`,
		`{"t":"token","token":{"` + secret + `":1}}`,
		`{"t":"op","v":"` + secret + `","seq":1,"d":[]}`,
	} {
		if _, err := protocol.Decode([]byte(frame), limits); err == nil || strings.Contains(err.Error(), secret) || len(err.Error()) > 300 {
			t.Errorf("%s: %v", frame, err)
		}
	}
}

// names is a ping with n fields that nobody knows.
func names(n int) []byte {
	frame := []byte(`{"t":"ping"`)
	for i := range n {
		frame = fmt.Appendf(frame, `,"%d":0`, i)
	}
	return append(frame, '}')
}

func TestAMegabyteOfNamesIsReadAndEachIsThereOnce(t *testing.T) {
	for _, n := range []int{14, 15, 16, 17, 100_000} {
		frame := names(n)
		if _, err := protocol.Decode(frame, limits); err != nil {
			t.Errorf("%d names: %v", n, err)
		}
		for _, twice := range []string{"0", fmt.Sprint(n - 1), "t"} {
			again := append(frame[:len(frame)-1:len(frame)-1], `,"`+twice+`":0}`...)
			if _, err := protocol.Decode(again, limits); err == nil {
				t.Errorf("%d names, and %s twice: it is taken", n, twice)
			}
		}
	}
}

// The work of reading a message grows with its length and no faster.
func BenchmarkDecodeManyNames(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		frame := names(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				if _, err := protocol.Decode(frame, limits); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
