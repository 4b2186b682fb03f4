package install

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// projected reads the service account's token that the kubelet keeps up to date. It becomes invalid
// with the installer's Pod.
func (i *Installer) projected() (string, error) {
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

func (i *Installer) authority() ([]byte, error) {
	ca, err := os.ReadFile(filepath.Join(i.ServiceAccount, "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("read the certificate authority: %w", err)
	}
	return ca, nil
}

// claims is what a service account's token says of itself (RFC 7519, section 4.1), which only the
// apiserver can verify. It is empty for another token.
type claims struct {
	Subject    string  `json:"sub"`
	IssuedAt   float64 `json:"iat"` // in seconds since the epoch
	Expires    float64 `json:"exp"` // likewise; 0: never
	Kubernetes struct {
		Pod struct {
			Name string `json:"name"`
		} `json:"pod"`
	} `json:"kubernetes.io"`
}

func claimsOf(token string) claims {
	var c claims
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &c) != nil {
		return claims{}
	}
	return c
}

// account returns the service account's namespace and name.
func (c claims) account() (namespace, name string, ok bool) {
	rest, ok := strings.CutPrefix(c.Subject, "system:serviceaccount:")
	namespace, name, found := strings.Cut(rest, ":")
	return namespace, name, ok && found
}

// lifetime returns how long the token is valid from its issue on, and an hour if that is unknown.
func (c claims) lifetime() time.Duration {
	if lifetime := time.Duration(c.Expires-c.IssuedAt) * time.Second; lifetime > 0 {
		return lifetime
	}
	return time.Hour
}

// better reports whether the node should rather have the token a than b: one that is valid, then
// one that outlives the installer's Pod, then the one that was issued later, whoever wrote it.
func (i *Installer) better(a, b string) bool {
	if usable := i.usable(a); usable != i.usable(b) {
		return usable
	}
	ca, cb := claimsOf(a), claimsOf(b)
	if lasts := ca.Kubernetes.Pod.Name == ""; lasts != (cb.Kubernetes.Pod.Name == "") {
		return lasts
	}
	return ca.IssuedAt > cb.IssuedAt
}

// usable reports whether nothing is known that makes the token invalid.
func (i *Installer) usable(token string) bool {
	expires := claimsOf(token).Expires
	return token != "" && token != i.account.rejected && (expires == 0 || float64(i.now().Unix()) < expires)
}
