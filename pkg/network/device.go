// Package network knows what a Pod asks for (selections), what a Network resource says, and what
// a network's device is called.
package network

import (
	"crypto/md5" // not for security: the names are a contract with programs that compute them too
	"encoding/hex"
)

// DeviceName is the name of a network's device in a Pod: "net" and the first 12 hexadecimal digits of the
// MD5 sum of the network's name, 15 characters, the longest that Linux allows.
func DeviceName(networkName string) string {
	sum := md5.Sum([]byte(networkName))
	return "net" + hex.EncodeToString(sum[:])[:12]
}
