package install

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// token reads the service account's current token. The kubelet replaces it before it expires.
func (i *Installer) token() (string, error) {
	content, err := os.ReadFile(filepath.Join(i.ServiceAccount, "token"))
	token := strings.TrimSpace(string(content))
	if err == nil && token == "" {
		err = errors.New("empty file")
	}
	if err != nil {
		return "", fmt.Errorf("read the service account token: %w", err)
	}
	return token, nil
}

// issuedAt returns the iat claim of a JWT (RFC 7519, section 4.1.6) in seconds since the epoch, and
// zero for another token. It does not verify the token, which only the apiserver can.
func issuedAt(token string) int64 {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return 0
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return 0
	}
	var claims struct {
		IssuedAt float64 `json:"iat"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return 0
	}
	return int64(claims.IssuedAt)
}
