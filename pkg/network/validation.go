package network

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/validate/content"
)

var errEmpty = errors.New("must not be empty")

// ValidateName returns an error unless name can be the name of a Network: a DNS-1123 subdomain,
// which is always one segment of a URL's path.
func ValidateName(name string) error {
	if name == "" {
		return errEmpty
	}
	return joinReasons(name, content.IsDNS1123Subdomain(name))
}

// ValidateNamespace returns an error unless namespace can be the name of a Kubernetes namespace: a
// DNS-1123 label.
func ValidateNamespace(namespace string) error {
	if namespace == "" {
		return errEmpty
	}
	return joinReasons(namespace, content.IsDNS1123Label(namespace))
}

func joinReasons(value string, reasons []string) error {
	if len(reasons) == 0 {
		return nil
	}
	return fmt.Errorf("%.64q: %s", value, strings.Join(reasons, "; "))
}
