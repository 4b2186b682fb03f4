package cluster

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Part names a program of the control plane. It is also the file name of the
// program's binary.
type Part string

// The parts that Build knows how to make.
const (
	Etcd      Part = "etcd"
	APIServer Part = "kube-apiserver"
	Kubectl   Part = "kubectl"
)

// Parts returns every part that Build knows, in the order in which to build them.
func Parts() []Part {
	return []Part{Etcd, APIServer, Kubectl}
}

// recipe says how a part is built. Another part of Kubernetes is one more Part,
// one more recipe and one more import in kubernetes/tools.go.
type recipe struct {
	module  string        // folder of the nested module, below test/cluster
	release string        // the required module whose version is the part's
	pkg     string        // the main package
	stamp   string        // the variable that the linker sets to the version, if any
	cold    time.Duration // how long a first build takes on two processors
}

func recipeOf(part Part) (recipe, error) {
	const stamp = "k8s.io/component-base/version.gitVersion"
	switch part {
	case Etcd:
		const etcd = "go.etcd.io/etcd/server/v3"
		return recipe{module: "etcd", release: etcd, pkg: etcd, cold: time.Minute}, nil
	case APIServer, Kubectl:
		const kubernetes = "k8s.io/kubernetes"
		r := recipe{module: "kubernetes", release: kubernetes, pkg: kubernetes + "/cmd/" + string(part), stamp: stamp, cold: time.Minute}
		if part == APIServer {
			r.cold = 5 * time.Minute
		}
		return r, nil
	}
	return recipe{}, fmt.Errorf("unknown part %q: the parts are %q", part, Parts())
}

// ldflags drops the symbol tables, which make half of the binary, and stamps the
// version: without it an apiserver says that it is v0.0.0-master, and clients that
// compare versions go astray.
func (r recipe) ldflags(version string) string {
	flags := "-s -w"
	if r.stamp != "" {
		flags += " -X " + r.stamp + "=" + version
	}
	return flags
}

// requiredVersion returns the version of a module that a go.mod requires. It reads
// the file itself because the go command would load the whole module graph, maybe
// from the network, only to say where a binary that is already there lies.
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
	return "", fmt.Errorf("go.mod requires no %s", module)
}
