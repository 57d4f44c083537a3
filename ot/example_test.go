package ot_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/weft-collab/weft/ot"
)

// Two authors edit the same content at the same time, and both end with the same.
func Example() {
	base := ot.New().Insert("The fox\n")
	ada := ot.New().Retain(4).Insert("quick ")
	bob := ot.New().Retain(4).Retain(3, ot.Attributes{"bold": true})

	var ends []string
	for _, edits := range [][]ot.Delta{
		{ada, ada.Transform(bob, true)},
		{bob, bob.Transform(ada, false)},
	} {
		doc, err := ot.DocumentOf(ot.Rich, base)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, d := range edits {
			if err := doc.Apply(d); err != nil {
				fmt.Println(err)
				return
			}
		}
		ends = append(ends, doc.Delta().String())
	}
	fmt.Println(ends[0])
	fmt.Println(ends[0] == ends[1])
	// Output:
	// +"The quick " +"fox"{"bold":true} +"\n"
	// true
}

// Of two inserts at one place that of the operation with priority stands first.
func ExampleDelta_Transform() {
	a, b := ot.New().Insert("a"), ot.New().Insert("b")
	fmt.Println(a.Transform(b, true))
	fmt.Println(a.Transform(b, false))
	// Output:
	// =1 +"b"
	// +"b"
}

func ExampleDelta_Compose() {
	typed := ot.New().Retain(5).Insert("helo").
		Compose(ot.New().Retain(8).Insert("l")).
		Compose(ot.New().Retain(5).Insert("H").Delete(1))
	fmt.Println(typed)
	// Output: =5 +"Hello"
}

func ExampleDelta_TransformPosition() {
	d := ot.New().Insert("😀 ") // three UTF-16 units
	fmt.Println(d.TransformPosition(4, false))
	fmt.Println(d.TransformPosition(0, false), "moves behind what is inserted at it")
	fmt.Println(d.TransformPosition(0, true), "stays before it")
	// Output:
	// 7
	// 3 moves behind what is inserted at it
	// 0 stays before it
}

func ExampleDelta_Invert() {
	base := ot.New().Insert("Hello\n")
	d := ot.New().Retain(1).Insert("a").Delete(4)
	fmt.Println(d.Invert(base))
	// Output: =1 +"ello" -1
}

func ExampleDiff() {
	was := ot.New().Insert("one\ntwo\n")
	is := ot.New().Insert("one").Insert("\n", ot.Attributes{"header": 1}).Insert("zwei\ntwo\n")
	fmt.Println(ot.Diff(ot.Rich, was, is))
	// Output: =3 =1{"header":1} +"zwei\n"
}

// Two edits that do the same have one normal form.
func ExampleDelta_Normal() {
	a, _ := ot.Decode([]byte(`[{"insert":"x","attributes":{"bold":null}},{"delete":1},{"retain":3}]`))
	b := ot.New().Delete(1).Insert("x")
	fmt.Println(string(a.Normal().AppendJSON(nil)))
	fmt.Println(string(b.Normal().AppendJSON(nil)))
	// Output:
	// [{"insert":"x"},{"delete":1}]
	// [{"insert":"x"},{"delete":1}]
}

func ExampleDelta_EachLine() {
	doc := ot.New().Insert("Title").Insert("\n", ot.Attributes{"header": 1}).Insert("Some ").Insert("text", ot.Attributes{"bold": true}).Insert("\n")
	doc.EachLine(func(line ot.Delta, attrs ot.Attributes, i int) bool {
		fmt.Println(i, line, attrs["header"])
		return true
	})
	// Output:
	// 0 +"Title" 1
	// 1 +"Some " +"text"{"bold":true} <nil>
}

// An edit is taken as a whole or not at all, and the error says what is wrong where.
func ExampleDocument_Apply() {
	doc := ot.NewDocument(ot.Text)
	_ = doc.Apply(ot.New().Insert("😀!"))
	err := doc.Apply(ot.New().Retain(1).Insert("x"))
	fmt.Println(err)
	fmt.Println(doc.Text())
	// Output:
	// delta, component 0, at 1: expected no boundary inside a surrogate pair
	// 😀!
}

func ExampleDecode() {
	_, err := ot.Decode([]byte(`[{"insert":"a"},{"retain":1.5}]`))
	var wrong *ot.Error
	if errors.As(err, &wrong) {
		fmt.Printf("component %d, byte %d: %s\n", wrong.Component, wrong.Offset, wrong.Want)
	}
	// Output: component 1, byte 27: retain as an integer
}

// A place found with package strings becomes a position in an edit.
func ExampleDocument_UnitAtByte() {
	doc := ot.NewDocument(ot.Text)
	_ = doc.Apply(ot.New().Insert("日本 😀 Go"))
	at := doc.UnitAtByte(strings.Index(doc.Text(), "Go"))
	_ = doc.Apply(ot.New().Retain(at).Insert("in "))
	fmt.Println(at, doc.Text())
	// Output: 6 日本 😀 in Go
}

// What a document was can be read while it goes on being edited.
func ExampleDocument_Clone() {
	doc := ot.NewDocument(ot.Text)
	_ = doc.Apply(ot.New().Insert("draft"))
	snapshot := doc.Clone()
	_ = doc.Apply(ot.New().Retain(5).Insert(" two"))
	fmt.Println(snapshot.Text(), "/", doc.Text())
	snapshot.Release() // from now on doc copies nothing for it
	// Output: draft / draft two
}
