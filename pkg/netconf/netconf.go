// Package netconf reads kactus's own CNI configuration, what the runtime gives it on stdin.
package netconf

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// What the netconf's keys are where they are missing.
const (
	DefaultCNIDir           = "/var/lib/cni/kactus"
	DefaultNetworkNamespace = "default"
	DefaultAPITimeout       = 30 * time.Second
	DefaultDelegateTimeout  = 60 * time.Second
	// DefaultParallelDelegates: on two cores, fewer make a DEL wait, and more make an ADD no faster (see docs/performance.md).
	DefaultParallelDelegates = 16
)

// MaxSize is the largest netconf that is read, in bytes.
const MaxSize = 4 << 20

// Versions are those of the CNI specification that kactus speaks, in ascending order.
func Versions() []string {
	return []string{"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}
}

// Conf is a validated netconf.
type Conf struct {
	Name string
	// CNIVersion is the version of the CNI specification that the runtime speaks and the results are printed in.
	CNIVersion string
	// Kubeconfig is a file's path; empty: in-cluster credentials.
	Kubeconfig string
	// Master is the delegate of the default network.
	Master cniconf.Chain
	// Auxiliary are the delegates that every Pod is attached to beside it, each under its name.
	Auxiliary []cniconf.Chain
	// RuntimeConfig is what the runtime says by capability (CNI conventions, "Dynamic plugin specific fields").
	RuntimeConfig map[string]json.RawMessage
	// CNIDir is the ledger's folder.
	CNIDir string
	// NetworkNamespace is where a Network is looked for that is not in the Pod's namespace.
	NetworkNamespace string
	// NamespaceIsolation keeps Pods to the Networks of their own namespace and of NetworkNamespace.
	NamespaceIsolation bool
	// APITimeout is how long the apiserver may take to answer, retries included.
	APITimeout time.Duration
	// DelegateTimeout is how long one delegate may run for one verb.
	DelegateTimeout time.Duration
	// ParallelDelegates is how many delegates of one Pod run at once, from 1 to 64.
	ParallelDelegates int
	// LogLevel is what the log holds; nil where the netconf does not say.
	LogLevel *Level
	// LogFile is the log's path; empty where the netconf does not say.
	LogFile string
	// DisableCheck and DisableGC make CHECK and GC succeed without doing anything. Runtimes heed those of a configuration list, and
	// do not see those of a netconf that stands alone in its file.
	DisableCheck, DisableGC bool
	// PrevResult is, at a CHECK, the result of the ADD; nil where the runtime does not say.
	PrevResult json.RawMessage
	// ValidAttachments are, at a GC, what the runtime still has; nil where it does not say, which is not the same as none.
	ValidAttachments []types.GCAttachment
}

// Error is all that is wrong with a netconf.
type Error struct {
	// Problems are sentences that begin with the name of a field.
	Problems []string
	// Undecodable: it is not a JSON object at all.
	Undecodable bool
	// UnknownVersion: its cniVersion is not one of Versions.
	UnknownVersion bool
}

func (e *Error) Error() string { return strings.Join(e.Problems, "; ") }

// Parse reads a netconf. The error is an *Error.
func Parse(stdin []byte) (Conf, error) {
	conf, err := parse(stdin)
	if err != nil {
		return Conf{}, err
	}
	return conf, nil
}

// ParseForDel reads of a netconf what a DEL needs: where the ledger is, and the version of the CNI
// specification. The rest is there where it is valid, and the delegates are empty where theirs is not: what was attached with
// another netconf, of which the ledger knows, must not stay because somebody broke the file since. The
// warning is what Parse would have said.
func ParseForDel(stdin []byte) (conf Conf, warning *Error, err error) {
	conf, warning = parseAll(stdin)
	if conf.CNIDir == "" || conf.CNIVersion == "" {
		return Conf{}, nil, warning
	}
	return conf, warning, nil
}

func parse(stdin []byte) (Conf, error) {
	conf, problems := parseAll(stdin)
	if problems != nil {
		return Conf{}, problems
	}
	return conf, nil
}

func parseAll(stdin []byte) (Conf, *Error) {
	object, err := readObject(stdin)
	if err != nil {
		return Conf{}, &Error{Problems: []string{err.Error()}, Undecodable: true}
	}
	r := &reader{object: object}
	conf := Conf{
		Name:               r.name(),
		CNIVersion:         r.cniVersion(),
		Kubeconfig:         r.path("kubeconfig", ""),
		CNIDir:             r.path("cniDir", DefaultCNIDir),
		NetworkNamespace:   r.namespace("networkNamespace", DefaultNetworkNamespace),
		NamespaceIsolation: r.boolean("namespaceIsolation"),
		APITimeout:         r.duration("apiTimeout", DefaultAPITimeout),
		DelegateTimeout:    r.duration("delegateTimeout", DefaultDelegateTimeout),
		ParallelDelegates:  r.parallelDelegates(),
		LogLevel:           r.level("logLevel"),
		LogFile:            r.path("logFile", ""),
		DisableCheck:       r.boolean("disableCheck"),
		DisableGC:          r.boolean("disableGC"),
		ValidAttachments:   r.validAttachments(),
	}
	conf.PrevResult, _ = r.take("prevResult")
	r.decode("type", "a string", new(string))
	r.decode("runtimeConfig", "an object", &conf.RuntimeConfig)
	conf.Master, conf.Auxiliary = r.delegates(conf.Name, conf.CNIVersion)
	r.unknownKeys()
	if len(r.problems) == 0 {
		return conf, nil
	}
	return conf, &Error{Problems: r.problems, UnknownVersion: r.unknownVersion}
}

func (r *reader) name() string {
	name := r.text("name", "")
	if name == "" {
		r.fail("name: there is none")
	} else if !cniconf.IsNetworkName(name) {
		r.fail("name: %.64q does not begin with a letter or digit, followed by those, '_', '.' or '-'", name)
	}
	return name
}

// cniVersion: no version means 0.1.0, by the CNI specification.
func (r *reader) cniVersion() string {
	v := r.text("cniVersion", "0.1.0")
	if slices.Contains(Versions(), v) {
		return v
	}
	r.unknownVersion = true
	r.fail("cniVersion: %.64q is not a version that kactus speaks (%s)", v, strings.Join(Versions(), ", "))
	// A runtime that asks for a later version still gets its DEL, with errors and results of the last one.
	return latest
}

var latest = version.Current()

func (r *reader) path(key, otherwise string) string {
	path := r.text(key, otherwise)
	if path == "" || filepath.IsAbs(path) && filepath.Clean(path) == path && !strings.ContainsRune(path, 0) {
		return path
	}
	r.fail("%s: %.128q is not an absolute path without '..', '//' or a '/' at its end", key, path)
	return ""
}

func (r *reader) namespace(key, otherwise string) string {
	namespace := r.text(key, otherwise)
	if err := network.ValidateNamespace(namespace); err != nil {
		r.fail("%s: %v", key, err)
	}
	return namespace
}

func (r *reader) duration(key string, otherwise time.Duration) time.Duration {
	text := r.text(key, "")
	if text == "" {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		r.fail("%s: %.64q is not a duration above zero, such as 30s", key, text)
		return otherwise
	}
	return d
}

func (r *reader) parallelDelegates() int {
	const key, most = "parallelDelegates", 64
	n := DefaultParallelDelegates
	r.decode(key, "a whole number", &n)
	if n < 1 || n > most {
		r.fail("%s: it is not between 1 and %d", key, most)
		return DefaultParallelDelegates
	}
	return n
}

func (r *reader) level(key string) *Level {
	raw, ok := r.take(key)
	if !ok {
		return nil
	}
	var number int
	var text string
	if json.Unmarshal(raw, &number) == nil {
		text = fmt.Sprint(number)
	} else if json.Unmarshal(raw, &text) != nil {
		r.fail("%s: not a number or a name", key)
		return nil
	}
	level, err := ParseLevel(text)
	if err != nil {
		r.fail("%s: %v", key, err)
		return nil
	}
	return &level
}
