package netconf

import (
	"errors"
	"slices"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
)

// Parse parses a netconf. The error is an *Error that lists everything that is wrong. The Conf then
// still holds what is valid, so that the error can be logged where the netconf says. Keys that are
// invalid have their defaults, with these exceptions: CNIDir, LockDir and Name are empty, an
// unsupported CNIVersion is the latest that kactus supports, and there are no delegates if any of
// them is invalid.
func Parse(stdin []byte) (Conf, error) {
	object, err := parseObject(stdin)
	if err != nil {
		return Conf{}, &Error{Problems: []string{err.Error()}, Undecodable: true}
	}
	p := &parser{object: object}
	conf := p.conf()
	onlyUnknown := len(p.problems) == 0
	p.rejectUnknownKeys()
	if len(p.problems) > 0 {
		return conf, &Error{Problems: p.problems, UnknownVersion: p.unknownVersion, UnknownKeys: onlyUnknown}
	}
	return conf, nil
}

// conf takes every key that there is, and returns what the valid ones say.
func (p *parser) conf() Conf {
	conf := Conf{
		Name:               p.name(),
		CNIVersion:         p.cniVersion(),
		Kubeconfig:         p.path("kubeconfig", ""),
		CNIDir:             p.path("cniDir", DefaultCNIDir),
		LockDir:            p.path("lockDir", DefaultLockDir),
		MultusDir:          p.path("multusDir", DefaultMultusDir),
		NetworkNamespace:   p.namespace("networkNamespace", DefaultNetworkNamespace),
		NamespaceIsolation: p.boolean("namespaceIsolation"),
		GlobalNamespaces:   p.namespaces("globalNamespaces"),
		ConfDir:            p.path("confDir", DefaultConfDir),
		NPWGParallel:       p.boolean("npwgParallel"),
		MultusNamespace:    p.namespace("multusNamespace", DefaultMultusNamespace),
		PodResourcesSocket: p.path("podResourcesSocket", DefaultPodResourcesSocket),
		APITimeout:         p.duration("apiTimeout", DefaultAPITimeout),
		DelegateTimeout:    p.duration("delegateTimeout", DefaultDelegateTimeout),
		ParallelDelegates:  p.number("parallelDelegates", DefaultParallelDelegates, maxParallelDelegates),
		ParallelPlugins:    p.pluginTypes("parallelPlugins"),
		LogLevel:           p.level("logLevel"),
		LogFile:            p.path("logFile", ""),
		DisableCheck:       p.listBoolean("disableCheck"),
		DisableGC:          p.listBoolean("disableGC"),
		ValidAttachments:   p.validAttachments(),
	}
	conf.RuntimeConfig, conf.Selection = p.runtimeConfig()
	if raw, ok := p.take("prevResult"); ok && string(raw) != "null" {
		conf.PrevResult = raw
	}
	conf.Master, conf.Auxiliary = p.delegates(conf.Name, conf.CNIVersion)
	p.text("type", "") // the runtime has read it
	return conf
}

// ParseForDel parses a netconf as Parse does, but returns an error only where a DEL cannot use the
// netconf: where it is not a JSON object or does not say where the ledger and the locks are. The
// rest of what Parse would report is the warning. A DEL runs by the ledger, and must tear down what
// was attached with an earlier netconf even if the file has been broken since.
func ParseForDel(stdin []byte) (conf Conf, warning *Error, err error) {
	conf, err = Parse(stdin)
	if err == nil || conf.CNIDir == "" || conf.LockDir == "" {
		return conf, nil, err
	}
	errors.As(err, &warning)
	return conf, warning, nil
}

func (p *parser) name() string {
	name, ok := p.text("name", "")
	switch {
	case !ok:
		return ""
	case name == "":
		p.fail("name: missing")
		return ""
	case !cniconf.IsNetworkName(name):
		p.fail("name: %.64q must begin with a letter or digit and have only those, '_', '.' and '-'", name)
		return ""
	}
	return name
}

// cniVersion returns 0.1.0 where the netconf does not name a version, as the CNI specification
// says, and the latest version where kactus does not support the one it names: a runtime that is
// ahead still gets its DEL.
func (p *parser) cniVersion() string {
	v, ok := p.text("cniVersion", "0.1.0")
	versions := Versions()
	if !ok || slices.Contains(versions, v) {
		return v
	}
	p.unknownVersion = true
	p.fail("cniVersion: %.64q is not supported, must be one of %s", v, strings.Join(versions, ", "))
	return versions[len(versions)-1]
}
