package network

import (
	"crypto/md5" // not for security: nodes' agents and applications compute the same names
	"encoding/hex"
)

// DeviceName returns the name of a network's interface in a Pod: "net" and the first 12 hexadecimal
// digits of the MD5 sum of the network's name. Its 15 bytes are the most that Linux allows.
func DeviceName(networkName string) string {
	sum := md5.Sum([]byte(networkName))
	return "net" + hex.EncodeToString(sum[:])[:12]
}
