package cluster

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A Part is the name of a program of a cluster, and the file name of its binary.
type Part string

// The parts that Build can build. No cluster has Multus, unless a test puts it there.
const (
	Etcd              Part = "etcd"
	APIServer         Part = "kube-apiserver"
	Kubectl           Part = "kubectl"
	ControllerManager Part = "kube-controller-manager"
	Scheduler         Part = "kube-scheduler"
	Kubelet           Part = "kubelet"
	Containerd        Part = "containerd"
	ContainerdShim    Part = "containerd-shim-runc-v2"
	Ctr               Part = "ctr"
	CRIO              Part = "crio"
	CRIOImport        Part = "crio-import"
	Pinns             Part = "pinns"
	Forward           Part = "forward"
	Flannel           Part = "flannel"
	Multus            Part = "multus"
	Helm              Part = "helm"
)

// allParts returns every part that Build can build.
func allParts() []Part { return append(ClusterParts(Runtimes()...), Multus, Helm) }

// Parts returns the parts of a control plane without controllers, as Start runs it, in the order to
// build them.
func Parts() []Part {
	return []Part{Etcd, APIServer, Kubectl}
}

// ClusterParts returns the parts of a cluster with nodes, as StartNodes runs it, in the order to
// build them. Without arguments all nodes have the default runtime.
func ClusterParts(runtimes ...Part) []Part {
	parts := append(Parts(), Forward, ControllerManager, Scheduler, Kubelet, Flannel)
	if len(runtimes) == 0 {
		runtimes = []Part{Containerd}
	}
	for _, runtime := range runtimes {
		for _, part := range runtimeParts(runtime) {
			if !slices.Contains(parts, part) {
				parts = append(parts, part)
			}
		}
	}
	return parts
}

// A recipe describes how to build a part. To add one of the module parts, add a Part, a recipe, and
// an import in parts/tools.go.
type recipe struct {
	module  string // directory of the nested module below test/cluster
	release string // the required module with the part's version; empty: this tree
	pkg     string // the main package
	stamp   string // the variable for the version; empty: none
	tags    string // build tags, the same for all parts of a module
	cDir    string // the directory of a C program in the released module; empty: a Go program
}

func recipeOf(part Part) (recipe, error) {
	const (
		etcd       = "go.etcd.io/etcd/server/v3"
		kubernetes = "k8s.io/kubernetes"
		containerd = "github.com/containerd/containerd/v2"
		plugins    = "github.com/containernetworking/plugins"
		multus     = "gopkg.in/k8snetworkplumbingwg/multus-cni.v4"
		helm       = "helm.sh/helm/v4"
	)
	switch part {
	case Etcd:
		return recipe{module: "parts", release: etcd, pkg: etcd}, nil
	case APIServer, Kubectl, ControllerManager, Scheduler, Kubelet:
		return recipe{module: "parts", release: kubernetes, pkg: kubernetes + "/cmd/" + string(part),
			stamp: "k8s.io/component-base/version.gitVersion"}, nil
	case Containerd, ContainerdShim, Ctr:
		return recipe{module: "parts", release: containerd, pkg: containerd + "/cmd/" + string(part),
			stamp: containerd + "/version.Version"}, nil
	case Helm:
		return recipe{module: "parts", release: helm, pkg: helm + "/cmd/helm",
			stamp: helm + "/internal/version.version"}, nil
	case CRIO, CRIOImport, Pinns:
		return crioRecipe(part), nil
	case Flannel:
		return recipe{module: "flannel", release: plugins, pkg: plugins + "/plugins/meta/flannel"}, nil
	case Multus:
		return recipe{module: "multus", release: multus, pkg: multus + "/cmd/multus"}, nil
	case Forward:
		return recipe{module: "forward", pkg: "."}, nil
	}
	return recipe{}, fmt.Errorf("part %q: unknown; the parts are %q", part, allParts())
}

// crioRecipe returns the recipe of a part for nodes with CRI-O. The build tags exclude what would
// need C libraries.
func crioRecipe(part Part) recipe {
	const crio = "github.com/cri-o/cri-o"
	r := recipe{module: "crio", release: crio, tags: "containers_image_openpgp exclude_graphdriver_btrfs"}
	switch part {
	case CRIO:
		r.pkg = crio + "/cmd/crio"
	case CRIOImport:
		r.release, r.pkg = "", "./crio-import"
	case Pinns:
		r.cDir = "pinns/src"
	}
	return r
}

// origin returns the version of a part or, for a program of this tree, which has no version, its
// source.
func (r recipe) origin(dir string, goMod []byte) (version string, source []byte, err error) {
	if r.release != "" {
		version, err = requiredVersion(goMod, r.release)
		return version, nil, err
	}
	source, err = os.ReadFile(filepath.Join(dir, r.pkg, "main.go"))
	return "(this tree's)", source, err
}

// output returns the name that the go command gives the part's binary.
func (r recipe) output(part Part) string {
	if name := path.Base(r.pkg); name != "." {
		if strings.TrimLeft(name, "v0123456789") == "" { // the suffix of a major version
			name = path.Base(path.Dir(r.pkg))
		}
		return name
	}
	return string(part)
}

// ldflags returns linker flags that omit the symbol tables, half of the binary, and set the
// version. Without it an apiserver claims to be v0.0.0-master, which misleads clients that compare
// versions.
func ldflags(stamps []string) string {
	flags := []string{"-s -w"}
	for _, stamp := range stamps {
		flags = append(flags, "-X "+stamp)
	}
	return strings.Join(flags, " ")
}

// requiredVersion returns the version of a module that a go.mod requires. It parses the file
// because the go command would load the whole module graph, maybe from the network, only to find
// the path of a binary that exists already.
func requiredVersion(goMod []byte, module string) (string, error) {
	lines := bufio.NewScanner(bytes.NewReader(goMod))
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) > 0 && words[0] == "require" {
			words = words[1:]
		}
		if len(words) >= 2 && words[0] == module && !slices.Contains(words, "=>") {
			return words[1], nil
		}
	}
	return "", fmt.Errorf("reading go.mod: no requirement of %s", module)
}
