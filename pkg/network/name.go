package network

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/validate/content"
)

// ValidateName says whether name can be that of a Network: a DNS-1123 subdomain, so that it is one segment
// of a URL's path, whatever its author meant it to be.
func ValidateName(name string) error {
	if name == "" {
		return errors.New("it is empty")
	}
	return invalid(name, content.IsDNS1123Subdomain(name))
}

// ValidateNamespace says whether namespace can be that of a Kubernetes namespace: a DNS-1123 label.
func ValidateNamespace(namespace string) error {
	if namespace == "" {
		return errors.New("it is empty")
	}
	return invalid(namespace, content.IsDNS1123Label(namespace))
}

func invalid(value string, reasons []string) error {
	if len(reasons) == 0 {
		return nil
	}
	return fmt.Errorf("%.64q: %s", value, strings.Join(reasons, "; "))
}
