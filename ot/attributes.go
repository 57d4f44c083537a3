package ot

// Attributes are formats by name. Values are what JSON has: string, float64,
// bool, nil, []any and map[string]any; nil, on a retain, removes the attribute.
type Attributes map[string]any

func equalAttributes(a, b Attributes) bool {
	if len(a) != len(b) {
		return false
	}
	if len(a) == 0 {
		return true
	}
	for k, v := range a {
		w, ok := b[k]
		if !ok || !equalValues(v, w) {
			return false
		}
	}
	return true
}

// equalValues compares JSON values in depth.
func equalValues(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && equalAttributes(a, b)
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !equalValues(a[i], b[i]) {
				return false
			}
		}
		return true
	}
	switch b.(type) {
	case map[string]any, []any:
		return false
	}
	return a == b
}

// composeAttributes is a, then b. On a retain, keepNull is true: "remove" stays.
func composeAttributes(a, b Attributes, keepNull bool) Attributes {
	if len(b) == 0 {
		return a
	}
	out := make(Attributes, len(a)+len(b))
	for k, v := range b {
		if v != nil || keepNull {
			out[k] = v
		}
	}
	for k, v := range a {
		if _, ok := b[k]; !ok {
			out[k] = v
		}
	}
	return some(out)
}

func some(a Attributes) Attributes {
	if len(a) == 0 {
		return nil
	}
	return a
}

// transformAttributes is b after a; with priority, what a sets stays.
func transformAttributes(a, b Attributes, priority bool) Attributes {
	if len(a) == 0 || len(b) == 0 || !priority {
		return b
	}
	out := make(Attributes, len(b))
	for k, v := range b {
		if _, ok := a[k]; !ok {
			out[k] = v
		}
	}
	return some(out)
}

// invertAttributes undoes attrs on base. As in quill-delta, an object is never
// the same as another one, however equal.
func invertAttributes(attrs, base Attributes) Attributes {
	out := Attributes{}
	for k, was := range base {
		if v, ok := attrs[k]; ok && !identical(v, was) {
			out[k] = was
		}
	}
	for k := range attrs {
		if _, ok := base[k]; !ok {
			out[k] = nil
		}
	}
	return some(out)
}

func identical(a, b any) bool {
	switch a.(type) {
	case map[string]any, []any:
		return false
	}
	return equalValues(a, b)
}
