package ot_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/weft-collab/weft/ot"
)

func TestBuildersMakeTheForm(t *testing.T) {
	bold, red := ot.Attributes{"bold": true}, ot.Attributes{"color": "red"}
	for want, d := range map[string]ot.Delta{
		`nothing`:                               ot.New().Insert("").Retain(0).Retain(-1).Delete(0),
		`=5 +"xy"`:                              ot.New().Retain(2).Retain(3).Insert("x").Insert("y"),
		`+"xy" -3`:                              ot.New().Delete(1).Insert("x").Delete(2).Insert("y"),
		`+"x"{"bold":true} +"y" -1`:             ot.New().Delete(1).Insert("x", bold).Insert("y"),
		`+"x"{"bold":true} +"y"`:                ot.New().Insert("x", bold).Insert("y", ot.Attributes{}),
		`=1{"bold":true} =2{"color":"red"}`:     ot.New().Retain(1, bold).Retain(1, red).Retain(1, red),
		`+{"image":"a"} +{"image":"a"} -1`:      ot.New().Delete(1).InsertEmbed(ot.Embed{"image": "a"}).InsertEmbed(ot.Embed{"image": "a"}),
		`+"a" =1`:                               ot.New().Insert("a").Retain(1),
		`+"ab" =1 -1`:                           ot.New().Insert("a").Concat(ot.New().Insert("b").Retain(1).Delete(1)),
		`+"a"{"header":2,"list":[1,{"of":3}]}`:  ot.New().Insert("a", ot.Attributes{"header": 2, "list": []any{1, ot.Attributes{"of": int64(3)}}}),
		`=4{"size":1.5}`:                        ot.New().Retain(2, ot.Attributes{"size": float32(1.5)}).Retain(2, ot.Attributes{"size": 1.5}),
		`+{"formula":{"level":7}} =1{"h":null}`: ot.New().InsertEmbed(ot.Embed{"formula": map[string]any{"level": uint8(7)}}).Retain(1, ot.Attributes{"h": nil}),
	} {
		if d.String() != want {
			t.Errorf("%v, not %s", d, want)
		}
		inForm(t, d)
		sameDelta(t, notation(t, want), d) // the same Go values, numbers too
	}
}

func TestSliceTakesWholeCharacters(t *testing.T) {
	content := notation(t, `+"a😀b"{"bold":true} +{"image":"x"} +"\n"`)
	units := modelOf(content)
	for from := range len(units) + 2 {
		for to := range len(units) + 2 {
			i, j := min(from, len(units)), min(to, len(units))
			for i < len(units) && units[i].trails() {
				i++
			}
			for j < len(units) && units[j].trails() {
				j++
			}
			if got := modelOf(content.Slice(from, to)); !same(got, units[i:max(i, j)]) {
				t.Errorf("from %d to %d: %v", from, to, content.Slice(from, to))
			}
		}
	}
	if got := notation(t, `=5{"b":1} +"xyz" -3`).Slice(3, 10).String(); got != `=2{"b":1} +"xyz" -2` {
		t.Error(got)
	}
}

func TestEachLineGoesLineByLine(t *testing.T) {
	for content, want := range map[string][]string{
		`nothing`:                       nil,
		`+"\n"`:                         {`nothing nothing`},
		`+"a\nb\n"`:                     {`+"a" nothing`, `+"b" nothing`},
		`+"a\n\nb"`:                     {`+"a" nothing`, `nothing nothing`, `+"b" nothing`},
		`+"a"{"bold":true} +"b\n"`:      {`+"a"{"bold":true} +"b" nothing`},
		`+"a" +"\n"{"header":1} +"b\n"`: {`+"a" =1{"header":1}`, `+"b" nothing`},
		`+{"image":"x"} +"y\nz"{"b":1}`: {`+{"image":"x"} +"y"{"b":1} =1{"b":1}`, `+"z"{"b":1} nothing`},
		`+"\n\n"{"list":"o"} +"😀\n"`:    {`nothing =1{"list":"o"}`, `nothing =1{"list":"o"}`, `+"😀" nothing`},
	} {
		var got []string
		notation(t, content).EachLine(func(line ot.Delta, attrs ot.Attributes, i int) bool {
			if i != len(got) {
				t.Errorf("%s: line %d is called %d", content, len(got), i)
			}
			got = append(got, line.String()+" "+ot.New().Retain(1, attrs).Chop().String())
			return true
		})
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, not %q", content, got, want)
		}
	}
	n := 0
	notation(t, `+"a\nb\nc\n"`).EachLine(func(ot.Delta, ot.Attributes, int) bool { n++; return n < 2 })
	if n != 2 {
		t.Errorf("it went on after false, for %d lines", n)
	}
}

// Two edits have one normal form if, and only if, they do the same. What they do is seen on a content whose units all differ,
// with every attribute that they touch on it: there no two effects look alike. Every sequence of up to four
// components is tried, whether in form or not.
func TestNormalFormsAreEqualWhereTheEffectsAre(t *testing.T) {
	content := modelOf(notation(t, `+"0"{"b":"0"} +"1"{"b":"1"} +"2"{"b":"2"} +"3"{"b":"3"} +"4"{"b":"4"} +"5"{"b":"5"} +"6"{"b":"6"} +"7"{"b":"7"}`))
	set, clear := ot.Attributes{"b": true}, ot.Attributes{"b": nil}
	choices := []ot.Component{
		{Insert: "x"}, {Insert: "y"}, {Insert: "x", Attributes: set}, {Insert: "x", Attributes: clear}, {Insert: "x", Attributes: ot.Attributes{}},
		{Embed: ot.Embed{"i": 1}}, {Embed: ot.Embed{"i": 1.0}}, {Delete: 1}, {Delete: 2}, {Retain: 1}, {Retain: 2}, {Retain: 1, Attributes: set}, {Retain: 1, Attributes: clear}, {Retain: 1, Attributes: ot.Attributes{}},
	}
	byEffect, byForm := map[string]string{}, map[string]string{}
	var d ot.Delta
	n := 0
	var try func(left int)
	try = func(left int) {
		n++
		effect := deltaOf(modelApply(content, d)).String()
		normal := d.Normal()
		form := string(normal.AppendJSON(nil))
		if was, seen := byEffect[effect]; seen && was != form {
			t.Errorf("%v does what another does, and its normal form is %s, not %s", d, form, was)
		}
		if was, seen := byForm[form]; seen && was != effect {
			t.Errorf("%v has the normal form %s of one that does something else: %s, not %s", d, form, effect, was)
		}
		byEffect[effect], byForm[form] = form, effect
		if again, err := ot.Decode(normal.AppendJSON(nil)); err != nil || !bytes.Equal(again.Normal().AppendJSON(nil), []byte(form)) {
			t.Errorf("the normal form %s of %v: %v", form, d, err)
		}
		if left == 0 || t.Failed() {
			return
		}
		for _, c := range choices {
			d = append(d, c)
			try(left - 1)
			d = d[:len(d)-1]
		}
	}
	try(4)
	t.Logf("%d edits, %d normal forms", n, len(byForm))
}
