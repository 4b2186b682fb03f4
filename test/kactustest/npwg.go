package kactustest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

// The keys of the annotations that Pods have which were written for Multus.
const (
	NPWGAnnotation           = "k8s.v1.cni.cncf.io/networks"
	DefaultNetworkAnnotation = "v1.multus-cni.io/default-network"
)

// NADsPath returns the URL path of a namespace's NetworkAttachmentDefinitions.
func NADsPath(namespace string) string {
	return "/apis/k8s.cni.cncf.io/v1/namespaces/" + namespace + "/network-attachment-definitions"
}

// NADObject returns a NetworkAttachmentDefinition. Without a config, its configuration is on the
// node's disk.
func NADObject(name, config string) Object {
	o := Object{
		APIVersion: "k8s.cni.cncf.io/v1", Kind: "NetworkAttachmentDefinition", Metadata: Metadata{Name: name},
	}
	if config != "" {
		o.Spec = NetworkSpec{Config: config}
	}
	return o
}

// CreateNAD creates a NetworkAttachmentDefinition in the tenant's namespace.
func (tn *Tenant) CreateNAD(t *testing.T, name, config string) {
	t.Helper()
	Create(t, NADsPath(tn.Namespace), NADObject(name, config))
}

// CreateBridgeNADs creates NetworkAttachmentDefinitions of these names, each with a bridge and a
// subnet of its own.
func (tn *Tenant) CreateBridgeNADs(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		tn.CreateNAD(t, name, "{"+tn.BridgeConfig(t, name)+"}")
	}
}

// MacvlanConfig returns a configuration of macvlan on the node's uplink, with that ipam section and
// these capabilities.
func MacvlanConfig(ipam string, capabilities ...string) string {
	declared := map[string]bool{}
	for _, c := range capabilities {
		declared[c] = true
	}
	text, _ := json.Marshal(declared)
	return `{"cniVersion": "1.0.0", "type": "macvlan", "master": "` + node.Uplink + `", "mode": "bridge", ` +
		`"capabilities": ` + string(text) + `, "ipam": ` + ipam + `}`
}

// NewNPWGPod creates a Pod that was written for Multus, with that annotation and no other.
func (tn *Tenant) NewNPWGPod(t *testing.T, networks string) *Pod {
	t.Helper()
	return tn.NewAnnotatedPod(t, map[string]string{NPWGAnnotation: networks})
}

// AnnotateNPWG sets the Pod's annotation that was written for Multus.
func (p *Pod) AnnotateNPWG(t *testing.T, networks string) {
	t.Helper()
	p.PatchAnnotations(t, map[string]any{NPWGAnnotation: networks})
}

// PatchAnnotations sets the Pod's annotations of these keys, and removes those whose value is nil.
func (p *Pod) PatchAnnotations(t *testing.T, annotations map[string]any) {
	t.Helper()
	patch := map[string]any{"metadata": map[string]any{"annotations": annotations}}
	Patch(t, p.path(), string(Encode(t, patch)))
}

// AddRecorder adds a delegate that is the real plugin, and keeps what that is told on stdin: see
// [Tenant.Recorded].
func (tn *Tenant) AddRecorder(t *testing.T, name, plugin string) {
	t.Helper()
	tn.AddScript(t, name, `file=`+tn.Dir+`/`+name+`."$CNI_COMMAND"."$CNI_CONTAINERID"."$CNI_IFNAME"
cat >"$file"
exec `+PluginDir()+`/`+plugin+` <"$file"
`)
}

// Recorded returns what a delegate of [Tenant.AddRecorder] was told last in that operation for an
// interface of the Pod.
func (p *Pod) Recorded(t *testing.T, name, operation, ifName string) RecordedConf {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(p.Dir, name+"."+operation+"."+p.ID+"."+ifName))
	Must(t, err)
	var conf RecordedConf
	Must(t, json.Unmarshal(data, &conf))
	return conf
}

// RecordedConf is what the tests read of what a delegate was told.
type RecordedConf struct {
	Name          string                     `json:"name"`
	CNIVersion    string                     `json:"cniVersion"`
	RuntimeConfig map[string]json.RawMessage `json:"runtimeConfig"`
	Args          struct {
		CNI map[string]json.RawMessage `json:"cni"`
	} `json:"args"`
}
