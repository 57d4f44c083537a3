package protocol

// ValidDoc reports whether id is in the form of a document's id: 1 to 128 characters
// A–Z a–z 0–9 . _ ~ : -, the first a letter or digit.
func ValidDoc(id string) bool {
	if len(id) < 1 || len(id) > 128 || !alphanumeric(id[0]) {
		return false
	}
	for i := range len(id) {
		switch b := id[i]; b {
		case '.', '_', '~', ':', '-':
		default:
			if !alphanumeric(b) {
				return false
			}
		}
	}
	return true
}

// ValidClient reports whether id is in the form of a client's id: 16 to 64 characters A–Z a–z 0–9 _ -.
func ValidClient(id string) bool {
	if len(id) < 16 || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		if b := id[i]; b != '_' && b != '-' && !alphanumeric(b) {
			return false
		}
	}
	return true
}

func alphanumeric(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z'
}
