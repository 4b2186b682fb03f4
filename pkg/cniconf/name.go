package cniconf

// IsName says whether s is a letter or digit, followed by those, '_', '.' or '-', and has at most longest bytes: what the CNI specification allows as
// a network's name (section 1) and as a container's ID (section 2), and what cannot leave a folder. Regular expressions for it took a
// quarter of kactus's start to compile.
func IsName(s string, longest int) bool {
	if s == "" || len(s) > longest || !isAlphanumeric(s[0]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

// IsNetworkName says whether s can be the name of a network (CNI specification, section 1).
func IsNetworkName(s string) bool { return IsName(s, 253) }

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
