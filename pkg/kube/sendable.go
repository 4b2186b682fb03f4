package kube

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// What no request could ever carry is an error as soon as it is read: sent, it would look like an
// apiserver that is away, and be tried again until the time is up. No error quotes a value.

// errUnsendable is the error for a request that cannot be sent, and never will.
var errUnsendable = errors.New("cannot send the request")

// checkHeaderValue returns an error if value cannot be part of a header (RFC 9110, section 5.5).
func checkHeaderValue(key, value string) error {
	if strings.ContainsFunc(value, isControl) {
		return fmt.Errorf("%s: contains a control character, such as a newline, that no request can carry", key)
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// checkToken returns an error if token cannot be a bearer token (RFC 6750, section 2.1).
func checkToken(key, token string) error {
	if strings.Contains(token, " ") {
		return fmt.Errorf("%s: contains a space, which no bearer token does", key)
	}
	return checkHeaderValue(key, token)
}

// checkPassword returns an error if Basic authentication cannot carry them (RFC 7617, section 2).
func checkPassword(username, password string) error {
	if strings.Contains(username, ":") {
		return errors.New("username: contains a colon, which would begin the password")
	}
	return errors.Join(checkHeaderValue("username", username), checkHeaderValue("password", password))
}

// parseURL parses the URL of a server. The error does not quote the value, which may hold a
// password.
func parseURL(key, text string, schemes ...string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err == nil && u.Host != "" {
		for _, scheme := range schemes {
			if u.Scheme == scheme {
				return u, checkAddress(key, u)
			}
		}
	}
	return nil, fmt.Errorf("%s: must be a URL with scheme %s", key, strings.Join(schemes, " or "))
}

// checkAddress returns an error if no server can be at the host and the port of u.
func checkAddress(key string, u *url.URL) error {
	if !isHost(u.Hostname()) {
		return fmt.Errorf("%s: must have the name or the IP address of a host", key)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("%s: must have a port from 1 to 65535", key)
		}
	}
	return nil
}

// isHost reports whether name can be the name of a host, or is an IP address. Names with other than
// ASCII letters are for the resolver to judge.
func isHost(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	name = strings.TrimSuffix(name, ".")
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, notInHost) {
			return false
		}
	}
	return len(name) <= 253
}

func notInHost(r rune) bool {
	isLetter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r > 0x7f
	return !isLetter && (r < '0' || r > '9') && r != '-' && r != '_'
}

// checkBase64 returns an error if the value of a key, which may be empty, is not base64.
func checkBase64(key, text string) error {
	if _, err := base64.StdEncoding.DecodeString(text); err != nil {
		return fmt.Errorf("%s: not base64", key)
	}
	return nil
}
