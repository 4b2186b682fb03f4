package network

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/validate/content"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
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

// ValidateResource returns an error unless resource can be the name of a resource of devices: a
// name, after a domain and a slash or without.
func ValidateResource(resource string) error {
	domain, name, qualified := strings.Cut(resource, "/")
	if !qualified {
		domain, name = "none", resource
	}
	const maxDomain, maxName = 253, 63
	if !cniconf.IsName(domain, maxDomain) || !cniconf.IsName(name, maxName) {
		return fmt.Errorf("%.64q is not the name of a resource, such as example.com/nic", resource)
	}
	return nil
}

func joinReasons(value string, reasons []string) error {
	if len(reasons) == 0 {
		return nil
	}
	return fmt.Errorf("%.64q: %s", value, strings.Join(reasons, "; "))
}
