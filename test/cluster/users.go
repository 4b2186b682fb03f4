package cluster

import (
	"bytes"
	"crypto/rand"
	"encoding/csv"
	"fmt"
	"os"
	"strings"
)

// AdminUser is the administrator's user name, as the audit log has it.
const AdminUser = "admin"

// writeTokens writes the apiserver's token file and returns the administrator's token.
func writeTokens(path string, users []User) (adminToken string, err error) {
	adminToken = rand.Text()
	known := append([]User{{Name: AdminUser, Token: adminToken, Groups: []string{"system:masters"}}}, users...)
	var file bytes.Buffer
	lines := csv.NewWriter(&file)
	for _, user := range known {
		if user.Name == "" || user.Token == "" {
			return "", fmt.Errorf("user %q: name and token must not be empty", user.Name)
		}
		// Token, name, UID, groups.
		if err := lines.Write([]string{user.Token, user.Name, user.Name, strings.Join(user.Groups, ",")}); err != nil {
			return "", err
		}
	}
	lines.Flush()
	return adminToken, os.WriteFile(path, file.Bytes(), 0o600)
}
