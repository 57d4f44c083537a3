package ot

import "maps"

// decoded is v as Decode would give it: numbers are float64, and objects map[string]any. So what a program writes is
// equal to what comes back. It reports whether that is another value; v itself is not altered.
func decoded(v any) (any, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case int8:
		return float64(v), true
	case int16:
		return float64(v), true
	case int32:
		return float64(v), true
	case int64:
		return float64(v), true
	case uint:
		return float64(v), true
	case uint8:
		return float64(v), true
	case uint16:
		return float64(v), true
	case uint32:
		return float64(v), true
	case uint64:
		return float64(v), true
	case float32:
		return float64(v), true
	case Attributes:
		return map[string]any(decodedObject(v)), true
	case Embed:
		return map[string]any(decodedObject(v)), true
	case map[string]any:
		if out, changed := decodedMap(v); changed {
			return out, true
		}
	case []any:
		var out []any
		for i, e := range v {
			if d, changed := decoded(e); changed {
				if out == nil {
					out = append(out, v...)
				}
				out[i] = d
			}
		}
		if out != nil {
			return out, true
		}
	}
	return v, false
}

func decodedMap(m map[string]any) (out map[string]any, changed bool) {
	for k, v := range m {
		if d, other := decoded(v); other {
			if !changed {
				out, changed = maps.Clone(m), true
			}
			out[k] = d
		}
	}
	return out, changed
}

// decodedObject is m, or where it holds values that Decode would not give, a copy with those that it would.
func decodedObject[M ~map[string]any](m M) M {
	if out, changed := decodedMap(m); changed {
		return out
	}
	return m
}
