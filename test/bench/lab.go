package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

// A lab is what the subjects run in: a node with plugins, and an apiserver with Networks and Pods.
type lab struct {
	dir        string
	opts       options
	cp         *cluster.ControlPlane
	kubeconfig string // the meta-plugins' kubeconfig
	objects    map[string]podObject
	configs    map[string][]byte // of the delegates, by interface name
	numbers    atomic.Int64
}

const (
	namespace       = "bench"
	podsPath        = "/api/v1/namespaces/" + namespace + "/pods"
	networksPath    = "/apis/kaloom.com/v1/namespaces/" + namespace + "/networks"
	definitionsPath = "/apis/k8s.cni.cncf.io/v1/namespaces/" + namespace + "/network-attachment-definitions"

	maxNetworks = 64
	defaultNet  = "pod-net"
	cniVersion  = "1.0.0"

	ptp     = "ptp"
	macvlan = "macvlan"

	// The meta-plugins are this user. The benchmark itself is the administrator.
	userToken = "token-of-the-node"
	userName  = "node"
)

func newLab(ctx context.Context, dir string, opts options) (*lab, error) {
	cp, err := cluster.Start(ctx, cluster.Options{
		Builder: cluster.Builder{Root: opts.root},
		Users:   []cluster.User{{Name: userName, Token: userToken}},
		// Garbage collection on demand, before the apiserver's memory is measured.
		APIServerArgs: []string{"--profiling=true"},
	})
	if err != nil {
		return nil, err
	}
	l := &lab{
		dir: dir, opts: opts, cp: cp, kubeconfig: filepath.Join(dir, "node.kubeconfig"),
		objects: map[string]podObject{}, configs: delegateConfigs(),
	}
	if err := l.fill(ctx); err != nil {
		return nil, errors.Join(err, cp.Stop())
	}
	return l, nil
}

// rights gives the meta-plugins more rights than kactus needs, because a peer may need others.
const rights = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: node}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: node}]
`

// fill creates the CRDs, the rights, the Networks and the NetworkAttachmentDefinitions.
func (l *lab) fill(ctx context.Context) error {
	manifests := filepath.Join(l.opts.root, "manifests")
	_, errCRD := l.cp.RunKubectl(ctx, "", "apply", "-f", filepath.Join(manifests, "network-crd.yaml"),
		"-f", filepath.Join(manifests, "network-attachment-definition-crd.yaml"))
	_, errRights := l.cp.RunKubectl(ctx, rights, "apply", "-f", "-")
	err := errors.Join(errCRD, errRights, l.awaitRights(ctx), l.cp.WriteKubeconfig(l.kubeconfig, userToken))
	if err != nil {
		return err
	}
	object := cluster.Object{APIVersion: "v1", Kind: "Namespace", Metadata: cluster.ObjectMetadata{Name: namespace}}
	if _, err := l.cp.Create(ctx, "/api/v1/namespaces", object); err != nil {
		return err
	}
	for i := range maxNetworks + 1 {
		object := cluster.Object{
			APIVersion: "kaloom.com/v1", Kind: "Network", Metadata: cluster.ObjectMetadata{Name: networkName(i)},
			Spec: map[string]string{"config": string(auxiliary(i))},
		}
		_, err := l.cp.Create(ctx, networksPath, object)
		object.APIVersion, object.Kind = "k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition"
		_, errNPWG := l.cp.Create(ctx, definitionsPath, object)
		if err := errors.Join(err, errNPWG); err != nil {
			return err
		}
	}
	return nil
}

// awaitRights waits until the apiserver serves Networks and enforces the rights, which takes a
// moment after their creation.
func (l *lab) awaitRights(ctx context.Context) error {
	const limit, pause = 5 * time.Minute, 50 * time.Millisecond
	last := ""
	for begin := time.Now(); time.Since(begin) < limit && ctx.Err() == nil; time.Sleep(pause) {
		status, answer, err := l.cp.Do(ctx, http.MethodGet, "/apis/kaloom.com/v1/networks", "", nil)
		if err == nil && status == http.StatusOK {
			status, answer, err = l.cp.Do(ctx, http.MethodGet,
				"/apis/k8s.cni.cncf.io/v1/network-attachment-definitions", "", nil)
		}
		can, _ := l.cp.RunKubectl(ctx, "", "auth", "can-i", "get", "pods", "--as="+userName, "--all-namespaces")
		if status == http.StatusOK && strings.TrimSpace(can) == "yes" {
			return nil
		}
		last = fmt.Sprint(status, string(answer), err, can)
	}
	return errors.New("waiting for the apiserver to serve Networks: " + last)
}

func networkName(i int) string { return fmt.Sprintf("net-%02d", i) }

// networkNames returns the names of the first n networks.
func networkNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = networkName(i)
	}
	return names
}

// hotName is the network of hot ADD and hot DEL. No Pod has it from the start.
var hotName = networkName(maxNetworks)

// auxiliary returns the configuration of a Network.
func auxiliary(i int) []byte {
	return mustJSON(map[string]any{
		"cniVersion": cniVersion, "name": networkName(i), "type": macvlan,
		"master": node.Uplink, "mode": "bridge", "ipam": hostLocal(1 + i),
	})
}

// hostLocal returns an IPAM configuration with a subnet for one network, large enough for every Pod
// of a storm.
func hostLocal(number int) map[string]any {
	subnet := fmt.Sprintf("10.%d.0.0/16", number)
	return map[string]any{"type": "host-local", "dataDir": "/run/host-local",
		"ranges": []any{[]any{map[string]string{"subnet": subnet}}}}
}

func master() map[string]any {
	return map[string]any{"cniVersion": cniVersion, "name": defaultNet, "type": ptp, "ipam": hostLocal(100)}
}

// delegateConfigs returns the configurations of all delegates, by the names of their interfaces.
func delegateConfigs() map[string][]byte {
	configs := map[string][]byte{eth0: mustJSON(master())}
	for i := range maxNetworks + 1 {
		configs[network.DeviceName(networkName(i))] = auxiliary(i)
	}
	return configs
}

func (l *lab) plugin(name string) string { return filepath.Join(l.dir, dirPlugins, name) }

// kactus returns this tree's kactus as a subject. ledger is the name of its ledger, and change has
// netconf keys that differ from the default.
func (l *lab) kactus(title, ledger string, change map[string]any) *metaPlugin {
	conf := map[string]any{
		"cniVersion": cniVersion, "name": defaultNet, "type": "kactus",
		"kubeconfig": l.kubeconfig, "cniDir": l.ledgerDir(ledger), "delegates": []any{withMaster(master())},
	}
	for key, value := range change {
		conf[key] = value
	}
	binary := filepath.Join(l.dir, dirKactus, "kactus")
	return &metaPlugin{title: title, binary: binary, netconf: mustJSON(conf), hotArgs: kactusHotArgs(hotName)}
}

func (l *lab) binarySize() (int64, error) {
	info, err := os.Stat(filepath.Join(l.dir, dirKactus, "kactus"))
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func withMaster(conf map[string]any) map[string]any {
	conf["masterPlugin"] = true
	return conf
}

func kactusHotArgs(network string) string { return "K8S_POD_NETWORK=" + network + ";K8S_POD_IFMAC=" }

func (l *lab) ledgerDir(name string) string { return filepath.Join(l.dir, "ledger", name) }

// newPod makes a new sandbox of a Pod.
func (l *lab) newPod(o podObject) (*pod, error) {
	n := l.numbers.Add(1)
	id := fmt.Sprintf("%s-%d", o.name, n)
	s, err := newSandbox(os.TempDir(), id, n)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(l.dir, dirPlugins)
	return &pod{podObject: o, sandbox: s, id: id, path: path, results: map[string][]byte{}}, nil
}

// makePod creates a Pod with networks in the apiserver, unless it exists, annotated for a subject.
// pad is the number of bytes to add to its size: half of them in an annotation, which meta-plugins
// read, and half in the specification, which they need not read.
func (l *lab) makePod(ctx context.Context, s subject, name string, networks []string, pad int) (podObject, error) {
	annotate := func(_ context.Context, _ string, networks []string) (map[string]string, error) {
		return kactusAnnotations(networks), nil
	}
	if m, ok := s.(*metaPlugin); ok && m.annotate != nil {
		annotate, name = m.annotate, name+"-"+m.title
	}
	if made, ok := l.objects[name]; ok {
		return made, nil
	}
	annotations, err := annotate(ctx, name, networks)
	if err != nil {
		return podObject{}, err
	}
	container := map[string]any{"name": "c", "image": "none"}
	if pad > 0 {
		half := strings.Repeat("x", pad/2)
		annotations["pad"], container["args"] = half, []string{half}
	}
	made, err := l.cp.Create(ctx, podsPath, cluster.Object{
		APIVersion: "v1", Kind: "Pod", Metadata: cluster.ObjectMetadata{Name: name, Annotations: annotations},
		Spec: map[string]any{"containers": []any{container}},
	})
	if err != nil {
		return podObject{}, err
	}
	o := podObject{namespace: namespace, name: name, uid: made.Metadata.UID, networks: networks}
	l.objects[name] = o
	return o, nil
}

func kactusAnnotations(networks []string) map[string]string {
	selections := []map[string]string{}
	for _, n := range networks {
		selections = append(selections, map[string]string{"name": n})
	}
	return map[string]string{"networks": string(mustJSON(selections))}
}
