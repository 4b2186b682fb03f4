package main

import (
	"context"
	"encoding/json"
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

// bed is where the subjects lie: a node with plugins, and an apiserver with Networks and Pods.
type bed struct {
	dir        string
	opts       options
	cp         *cluster.ControlPlane
	kubeconfig string // by which meta-plugins ask
	objects    map[string]podObject
	configs    map[string][]byte // of the delegates, by device
	numbers    atomic.Int64
}

const (
	namespace   = "bench"
	podsPath    = "/api/v1/namespaces/" + namespace + "/pods"
	maxNetworks = 64
	defaultNet  = "pod-net"
	cniVersion  = "1.0.0"

	ptp     = "ptp"
	macvlan = "macvlan"

	// userToken is of whom the meta-plugins ask as; the benchmark itself is the administrator.
	userToken = "token-of-the-node"
	userName  = "node"
)

func newBed(ctx context.Context, dir string, opts options) (*bed, error) {
	cp, err := cluster.Start(ctx, cluster.Options{Builder: cluster.Builder{Root: opts.root}, Users: []cluster.User{{Name: userName, Token: userToken}}})
	if err != nil {
		return nil, err
	}
	b := &bed{dir: dir, opts: opts, cp: cp, kubeconfig: filepath.Join(dir, "node.kubeconfig"), objects: map[string]podObject{}, configs: delegateConfigs()}
	if err := b.fill(ctx); err != nil {
		return nil, errors.Join(err, cp.Stop())
	}
	return b, nil
}

// rights are more than kactus needs: a peer may need others.
const rights = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: node}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: node}]
`

func (b *bed) fill(ctx context.Context) error {
	_, errCRD := b.kubectl(ctx, "", "apply", "-f", filepath.Join(b.opts.root, "manifests", "network-crd.yaml"))
	_, errRights := b.kubectl(ctx, rights, "apply", "-f", "-")
	err := errors.Join(errCRD, errRights, b.awaitRights(ctx), b.cp.WriteKubeconfig(b.kubeconfig, userToken))
	if err != nil {
		return err
	}
	if _, err := b.create(ctx, "/api/v1/namespaces", object{APIVersion: "v1", Kind: "Namespace", Metadata: metadata{Name: namespace}}); err != nil {
		return err
	}
	for i := range maxNetworks + 1 {
		name := networkName(i)
		spec := map[string]string{"config": string(auxiliary(i))}
		path := "/apis/kaloom.com/v1/namespaces/" + namespace + "/networks"
		if _, err := b.create(ctx, path, object{APIVersion: "kaloom.com/v1", Kind: "Network", Metadata: metadata{Name: name}, Spec: spec}); err != nil {
			return err
		}
	}
	return nil
}

// awaitRights waits until the apiserver serves Networks and knows of the rights, which it learns a moment after they are made.
func (b *bed) awaitRights(ctx context.Context) error {
	const patience, pause = 5 * time.Minute, 50 * time.Millisecond
	last := ""
	for begin := time.Now(); time.Since(begin) < patience && ctx.Err() == nil; time.Sleep(pause) {
		status, answer, err := b.cp.Do(ctx, http.MethodGet, "/apis/kaloom.com/v1/networks", "", nil)
		can, _ := b.kubectl(ctx, "", "auth", "can-i", "get", "pods", "--as="+userName, "--all-namespaces")
		if status == http.StatusOK && strings.TrimSpace(can) == "yes" {
			return nil
		}
		last = fmt.Sprint(status, string(answer), err, can)
	}
	return errors.New("the apiserver does not get ready: " + last)
}

func (b *bed) kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := b.cp.Kubectl(ctx, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// object is what the benchmark says of a Kubernetes object.
type object struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Metadata   metadata `json:"metadata"`
	Spec       any      `json:"spec,omitempty"`
}

type metadata struct {
	Name        string            `json:"name"`
	UID         string            `json:"uid,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

func (b *bed) create(ctx context.Context, path string, o object) (made object, err error) {
	status, answer, err := b.cp.Do(ctx, http.MethodPost, path, "", mustJSON(o))
	if err != nil {
		return made, err
	}
	if status != http.StatusCreated {
		return made, fmt.Errorf("create the %s %s: status %d: %s", o.Kind, o.Metadata.Name, status, answer)
	}
	return made, json.Unmarshal(answer, &made)
}

func networkName(i int) string { return fmt.Sprintf("net-%02d", i) }

// networkNames are the first n.
func networkNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = networkName(i)
	}
	return names
}

// hotName is the network that no Pod begins with.
var hotName = networkName(maxNetworks)

// auxiliary is a Network's configuration.
func auxiliary(i int) []byte {
	return mustJSON(map[string]any{
		"cniVersion": cniVersion, "name": networkName(i), "type": macvlan, "master": node.Uplink, "mode": "bridge", "ipam": hostLocal(1 + i),
	})
}

// hostLocal has a subnet of its own for each network, with room for every Pod of a storm.
func hostLocal(number int) map[string]any {
	subnet := fmt.Sprintf("10.%d.0.0/16", number)
	return map[string]any{"type": "host-local", "dataDir": "/run/host-local", "ranges": []any{[]any{map[string]string{"subnet": subnet}}}}
}

func master() map[string]any {
	return map[string]any{"cniVersion": cniVersion, "name": defaultNet, "type": ptp, "ipam": hostLocal(100)}
}

// delegateConfigs are the configurations of all delegates, by the devices that they make.
func delegateConfigs() map[string][]byte {
	configs := map[string][]byte{eth0: mustJSON(master())}
	for i := range maxNetworks + 1 {
		configs[network.DeviceName(networkName(i))] = auxiliary(i)
	}
	return configs
}

func (b *bed) plugin(name string) string { return filepath.Join(b.dir, folderPlugins, name) }

// kactus is the meta-plugin of this tree with a ledger of its own; change says what is special about its netconf.
func (b *bed) kactus(title, ledger string, change map[string]any) *metaPlugin {
	conf := map[string]any{
		"cniVersion": cniVersion, "name": defaultNet, "type": "kactus", "kubeconfig": b.kubeconfig, "cniDir": b.ledgerDir(ledger),
		"delegates": []any{withMaster(master())},
	}
	for key, value := range change {
		conf[key] = value
	}
	return &metaPlugin{title: title, binary: filepath.Join(b.dir, folderKactus, "kactus"), netconf: mustJSON(conf), hotArgs: kactusHotArgs(hotName)}
}

func (b *bed) binarySize() (int64, error) {
	info, err := os.Stat(filepath.Join(b.dir, folderKactus, "kactus"))
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

func (b *bed) ledgerDir(name string) string { return filepath.Join(b.dir, "ledger", name) }

// newPod is a new sandbox of a Pod, which the apiserver keeps.
func (b *bed) newPod(o podObject) (*pod, error) {
	n := b.numbers.Add(1)
	id := fmt.Sprintf("%s-%d", o.name, n)
	s, err := newSandbox(os.TempDir(), id, n)
	if err != nil {
		return nil, err
	}
	return &pod{podObject: o, sandbox: s, id: id, path: filepath.Join(b.dir, folderPlugins), results: map[string][]byte{}}, nil
}

// makePod makes a Pod of those networks for a subject, unless it is there. pad is by how many bytes it is made larger: half of them are in an
// annotation, which meta-plugins read, and half in its specification, which they need not read.
func (b *bed) makePod(ctx context.Context, s subject, name string, networks []string, pad int) (podObject, error) {
	annotate := func(_ context.Context, _ string, networks []string) (map[string]string, error) {
		return kactusAnnotations(networks), nil
	}
	if m, ok := s.(*metaPlugin); ok && m.annotate != nil {
		annotate, name = m.annotate, name+"-"+m.title
	}
	if made, ok := b.objects[name]; ok {
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
	made, err := b.create(ctx, podsPath, object{
		APIVersion: "v1", Kind: "Pod", Metadata: metadata{Name: name, Annotations: annotations}, Spec: map[string]any{"containers": []any{container}},
	})
	if err != nil {
		return podObject{}, err
	}
	o := podObject{namespace: namespace, name: name, uid: made.Metadata.UID, networks: networks}
	b.objects[name] = o
	return o, nil
}

func kactusAnnotations(networks []string) map[string]string {
	selections := []map[string]string{}
	for _, n := range networks {
		selections = append(selections, map[string]string{"name": n})
	}
	return map[string]string{"networks": string(mustJSON(selections))}
}
