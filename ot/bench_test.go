package ot_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/weft-collab/weft/ot"
)

// The peers of these benchmarks, by the same names, are in testdata/peers; `make bench` runs
// both and writes what comes of it into docs/benchmarks.md.

var traces = flag.String("ot.traces", "../../shared/traces", "folder of recorded editing histories, for the benchmarks")

// BenchmarkTrace replays a recording of one writer, one edit at a time, on a document and on a bare gap buffer.
func BenchmarkTrace(b *testing.B) {
	for _, name := range []string{"seph-blog1", "sveltecomponent"} {
		b.Run("trace="+name, func(b *testing.B) {
			tr, err := readTrace(filepath.Join(*traces, name+".json.gz"))
			if err != nil {
				b.Skip(err)
			}
			b.Run("of=weft", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					doc := ot.NewDocument(ot.Text)
					for _, d := range tr.deltas {
						if err := doc.Apply(d); err != nil {
							b.Fatal(err)
						}
					}
					if doc.Len() != ot.Units(tr.end) {
						b.Fatal("the recording ends elsewhere")
					}
				}
			})
			b.Run("of=gap-buffer", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					var buf gapBuffer
					for _, e := range tr.bytes {
						buf.edit(e.at, e.deleted, e.inserted)
					}
					if buf.len() != len(tr.end) {
						b.Fatal("the recording ends elsewhere")
					}
				}
			})
		})
	}
}

// BenchmarkRuns types a character into the middle of 10,000 runs, every other one bold.
func BenchmarkRuns(b *testing.B) {
	var content ot.Delta
	for i := range 10_000 {
		content = content.Insert("word ", []ot.Attributes{nil, {"bold": true}}[i%2])
	}
	edits := []ot.Delta{ot.New().Retain(25_002).Insert("x"), ot.New().Retain(25_002).Delete(1)}
	b.Run("of=weft", func(b *testing.B) { typeInto(b, ot.Rich, content.Insert("\n"), edits) })
}

func typeInto(b *testing.B, typ ot.Type, content ot.Delta, edits []ot.Delta) {
	doc, err := ot.DocumentOf(typ, content)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := doc.Apply(edits[i%len(edits)]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSize types into documents of several sizes: into the middle, all over the place, and into the
// middle while a clone of the last state is held.
func BenchmarkSize(b *testing.B) {
	for _, size := range []int{10_000, 1_000_000, 10_000_000} {
		content := ot.New().Insert(strings.Repeat("lorem ipsum dolor sit amet\n", size/27+1)[:size])
		r := rand.New(rand.NewPCG(1, 2))
		var anywhere []ot.Delta
		for range 10_000 {
			at := r.IntN(size)
			anywhere = append(anywhere, ot.New().Retain(at).Insert("x"), ot.New().Retain(at).Delete(1))
		}
		middle := []ot.Delta{ot.New().Retain(size / 2).Insert("x"), ot.New().Retain(size / 2).Delete(1)}
		b.Run(fmt.Sprintf("at=middle/bytes=%d", size), func(b *testing.B) { typeInto(b, ot.Text, content, middle) })
		b.Run(fmt.Sprintf("at=anywhere/bytes=%d", size), func(b *testing.B) { typeInto(b, ot.Text, content, anywhere) })
		b.Run(fmt.Sprintf("at=cloned/bytes=%d", size), func(b *testing.B) {
			doc, err := ot.DocumentOf(ot.Text, content)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			var held *ot.Document
			for i := 0; b.Loop(); i++ {
				held = doc.Clone()
				if err := doc.Apply(middle[i%2]); err != nil {
					b.Fatal(err)
				}
			}
			runtime.KeepAlive(held)
		})
	}
}

// BenchmarkMemory is what a document of plain text occupies for each byte of its text: read as a
// whole, written in order, and after as many edits at random places as it has characters.
func BenchmarkMemory(b *testing.B) {
	const size = 1_000_000
	for _, c := range []struct {
		name string
		make func() *ot.Document
	}{
		{"read", func() *ot.Document {
			doc, _ := ot.DocumentOf(ot.Text, ot.New().Insert(strings.Repeat("lorem ipsum dolor sit amet\n", size/27)))
			return doc
		}},
		{"typed", func() *ot.Document {
			doc := ot.NewDocument(ot.Text)
			for i := range size {
				_ = doc.Apply(ot.Delta{{Retain: i}, {Insert: "x"}}[min(1, max(0, 1-i)):])
			}
			return doc
		}},
		{"edited", func() *ot.Document {
			r := rand.New(rand.NewPCG(1, 2))
			doc, _ := ot.DocumentOf(ot.Text, ot.New().Insert(strings.Repeat("lorem ipsum dolor sit amet\n", size/27)))
			for range size {
				at := 1 + r.IntN(doc.Len()-1)
				if r.IntN(3) == 0 {
					_ = doc.Apply(ot.Delta{{Retain: at}, {Delete: 1}})
				} else {
					_ = doc.Apply(ot.Delta{{Retain: at}, {Insert: "x"}})
				}
			}
			return doc
		}},
	} {
		b.Run("text="+c.name, func(b *testing.B) {
			for b.Loop() {
				before := heap()
				doc := c.make()
				held := heap() - before
				b.ReportMetric(float64(held)/float64(len(doc.Text())), "B/byte")
			}
		})
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// typing is 1,024 pairs of operations, the same ones as in testdata/peers/bench.mjs: a character typed or, one
// time in five, deleted, by two authors at once; and the next key of the first author, one time in seven backspace.
func typing() (first, second, next []ot.Delta) {
	operation := func(at int, deletes bool) ot.Delta {
		if deletes {
			return ot.New().Retain(at).Delete(1)
		}
		return ot.New().Retain(at).Insert("x")
	}
	for i := range 1024 {
		at, deletes := 1+i*7919%10_000, i%5 == 0
		first = append(first, operation(at, deletes))
		second = append(second, operation(1+(i*7919+4271)%10_000, (i+1)%5 == 0))
		if !deletes {
			at++
		}
		if i%7 == 0 {
			next = append(next, operation(at-1, true))
		} else {
			next = append(next, operation(at, false))
		}
	}
	return first, second, next
}

func BenchmarkTransform(b *testing.B) {
	first, second, _ := typing()
	kept := make([]ot.Delta, len(first))
	b.Run("of=weft", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			n := i & (len(kept) - 1)
			kept[n] = first[n].Transform(second[n], true)
		}
	})
}

func BenchmarkCompose(b *testing.B) {
	first, second, next := typing()
	kept := make([]ot.Delta, len(first))
	for _, pairs := range []struct {
		name string
		then []ot.Delta
	}{{"apart", second}, {"next", next}} {
		b.Run("pairs="+pairs.name+"/of=weft", func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				n := i & (len(kept) - 1)
				kept[n] = first[n].Compose(pairs.then[n])
			}
		})
	}
}

// plain is a component for encoding/json.
type plain struct {
	Insert     any            `json:"insert,omitempty"`
	Retain     int            `json:"retain,omitempty"`
	Delete     int            `json:"delete,omitempty"`
	Attributes map[string]any `json:"attributes,omitempty"`
}

const oneCharacter = `[{"retain":1234},{"insert":"x"}]`

func BenchmarkDecode(b *testing.B) {
	data := []byte(oneCharacter)
	b.Run("of=weft", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ot.Decode(data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("of=encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var d []plain
			if err := json.Unmarshal(data, &d); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	b.Run("of=weft", func(b *testing.B) {
		d := ot.New().Retain(1234).Insert("x")
		b.ReportAllocs()
		for b.Loop() {
			if len(d.AppendJSON(nil)) != len(oneCharacter) {
				b.Fatal("encoded to something else")
			}
		}
	})
	b.Run("of=encoding-json", func(b *testing.B) {
		d := []plain{{Retain: 1234}, {Insert: "x"}}
		b.ReportAllocs()
		for b.Loop() {
			data, err := json.Marshal(d)
			if err != nil || len(data) != len(oneCharacter) {
				b.Fatal("encoded to something else")
			}
		}
	})
}
