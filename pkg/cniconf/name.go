package cniconf

// IsName reports whether s is a letter or digit, followed by letters, digits, '_', '.' or '-', and
// has at most maxLength bytes. The CNI specification allows that as the name of a network (section
// 1) and as the ID of a container (section 2), and no such name leads out of a directory.
//
// IsName uses no regular expression, because compiling one took a quarter of the time in which
// kactus starts.
func IsName(s string, maxLength int) bool {
	if s == "" || len(s) > maxLength || !isAlphanumeric(s[0]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

// IsNetworkName reports whether s can be the name of a network (CNI specification, section 1).
func IsNetworkName(s string) bool { return IsName(s, 253) }

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
