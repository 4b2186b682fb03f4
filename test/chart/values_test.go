package chart

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/pages"
)

func TestValues_Refusals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		what, set, want string
	}{
		{"a value that does not exist", "agnet.enabled=false", "agnet"},
		{"a value that does not exist below another", "agent.repiar=false", "repiar"},
		{"a platform that does not exist", "platform=kops", "platform"},
		{"a directory that is not absolute", "directories.bin=opt/cni/bin", "/directories/bin"},
		{"a netconf key that does not exist", "netconf.namespaceIsolaton=true", "namespaceIsolaton"},
		{"a netconf key that follows from other values", "netconf.kubeconfig=/x", "kubeconfig"},
		{"a netconf key of another type", "netconf.namespaceIsolation=1", "/netconf/namespaceIsolation"},
		{"a duration that is none", "agent.repairEvery=often", "/agent/repairEvery"},
		{"a port that is none", "metrics.port=96180", "/metrics/port"},
		{"a digest that is none", "image.digest=latest", "/image/digest"},
		{"a string in place of a boolean", "agent.enabled=perhaps", "/agent/enabled"},
		{"a pattern that ends the policy's string", `policies.restrictNetworks.masters={eth1'}`, "/masters/0"},
		{"an argument that is none", "installer.extraArgs={once}", "/installer/extraArgs/0"},
		{"no default network", "defaultNetwork=", "masterPlugin: true, and 0 have"},
		{"two default networks", "netconf.delegates[0].type=ptp,netconf.delegates[0].masterPlugin=true",
			`defaultNetwork is "auto": set it to ""`},
		{"a ServiceMonitor of what is not reachable", "metrics.serviceMonitor.enabled=true",
			"metrics.reachable to true"},
		{"metrics without the agent", "metrics.reachable=true,agent.enabled=false", "agent.enabled to true"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			out, err := template(t, "--set", tt.set)
			if err == nil {
				t.Fatalf("rendered:\n%s", out)
			}
			if !strings.Contains(strings.ReplaceAll(err.Error(), ".", "/"), strings.ReplaceAll(tt.want, ".", "/")) {
				t.Errorf("the error is %q, without %q", err, tt.want)
			}
		})
	}
}

// TestValues_HaveEffects renders the chart with values other than the default ones.
func TestValues_HaveEffects(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		what, set    string
		present      []string // objects, in addition to the default ones
		absent       []string // objects
		want, refuse []string // in all that is rendered
	}{
		{what: "no agent", set: "agent.enabled=false",
			absent: []string{"DaemonSet/kactus-agent", "ServiceAccount/kactus-agent", "ClusterRole/kactus-agent",
				"ClusterRoleBinding/kactus-agent", "ValidatingAdmissionPolicy/kactus-agent",
				"ValidatingAdmissionPolicyBinding/kactus-agent"}},
		{what: "options of the agent", set: "agent.repair=false,agent.repairEvery=1m,agent.extraArgs={-x}",
			want: []string{"- -repair=false", "- -repair-every=1m", `- "-x"`}},
		{what: "another port", set: "metrics.port=1234", want: []string{"- -listen=127.0.0.1:1234", "port: 1234,"},
			refuse: []string{"9618"}},
		{what: "reachable metrics", set: "metrics.reachable=true", present: []string{"Service/kactus-agent"},
			want: []string{"- -listen=:9618", "containerPort: 9618", "targetPort: metrics"}},
		{what: "a ServiceMonitor", set: "metrics.reachable=true,metrics.serviceMonitor.enabled=true," +
			"metrics.serviceMonitor.labels.release=p,metrics.serviceMonitor.interval=5s",
			present: []string{"Service/kactus-agent", "ServiceMonitor/kactus-agent"},
			want:    []string{"release: p", "interval: 5s"}},
		{what: "policies", set: "policies.restrictCNIArgs=true,policies.restrictNetworks.enabled=true," +
			"policies.restrictNetworks.masters={ens1,ens2},policies.restrictNetworks.bridges={br-x}," +
			"policies.agent=false",
			present: []string{"ValidatingAdmissionPolicy/restrict-cni-args",
				"ValidatingAdmissionPolicyBinding/restrict-cni-args", "ValidatingAdmissionPolicy/restrict-networks",
				"ValidatingAdmissionPolicyBinding/restrict-networks"},
			absent: []string{"ValidatingAdmissionPolicy/kactus-agent", "ValidatingAdmissionPolicyBinding/kactus-agent"},
			want:   []string{`"(ens1|ens2)"`, `"(br-x)"`}},
		{what: "definitions", set: "crds.networkAttachmentDefinition=true,crds.install=false",
			present: []string{"CustomResourceDefinition/network-attachment-definitions.k8s.cni.cncf.io"},
			absent:  []string{"CustomResourceDefinition/networks.kaloom.com"}},
		{what: "nothing that is kept", set: "crds.keep=false,serviceAccount.keep=false",
			refuse: []string{"resource-policy"}},
		{what: "an image of a registry", set: "image.repository=r.example:5000/k,image.tag=v1," +
			"image.pullPolicy=Always,image.pullSecrets[0].name=s",
			want: []string{`image: r.example:5000/k:v1`, "imagePullPolicy: Always", "- name: s"}},
		{what: "an image by digest", set: "image.digest=sha256:" + strings.Repeat("0a", 32),
			want: []string{`image: kactus@sha256:0a0a`}, refuse: []string{"kactus:latest"}},
		{what: "scheduling", set: "nodeSelector.a=b,tolerations[0].key=k,affinity.nodeAffinity.x=z,priorityClassName=p",
			want: []string{"a: b", "- key: k", "x: z", "priorityClassName: p", "kubernetes.io/os: linux"}},
		{what: "Pods", set: "installer.podLabels.a=b,agent.podAnnotations.c=d,installer.resources.limits.memory=1Gi," +
			"installer.maxSurge=10%,agent.updateStrategy.type=OnDelete",
			want: []string{"a: b", "c: d", "memory: 1Gi", "maxSurge: 10%", "type: OnDelete"}},
		{what: "a netconf for other agents", set: "installer.agentNetconf.dir=/a/d,installer.agentNetconf.name=n," +
			"installer.agentNetconf.cniVersion=0.3.1",
			want: []string{"- -agent-netconf-dir=/a/d", "- -agent-netconf-name=n", "- -agent-cni-version=0.3.1",
				"mountPath: /a/d"},
			refuse: []string{"#-"}},
		{what: "a default network", set: "defaultNetwork=10-flannel.conflist",
			want: []string{"\n  default-network: 10-flannel.conflist\n"}},
		{what: "OpenShift", set: "platform=openshift", present: []string{"RoleBinding/kactus-scc"}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			out, err := template(t, "--set", tt.set)
			must(t, err)
			want := map[string]bool{}
			for _, name := range append(names(render(t)), tt.present...) {
				want[name] = true
			}
			for _, name := range tt.absent {
				delete(want, name)
			}
			for name := range objects(t, out) {
				if !want[name] {
					t.Errorf("%s is there", name)
				}
				delete(want, name)
			}
			for name := range want {
				t.Errorf("%s is not there", name)
			}
			for _, text := range tt.want {
				if !strings.Contains(out, text) {
					t.Errorf("%q is not in:\n%s", text, out)
				}
			}
			for _, text := range tt.refuse {
				if strings.Contains(out, text) {
					t.Errorf("%q is in:\n%s", text, out)
				}
			}
		})
	}
}

// TestValues_Namespace renders the chart for another namespace.
func TestValues_Namespace(t *testing.T) {
	t.Parallel()
	out, err := template(t, "--namespace=network", "--set=platform=openshift,metrics.reachable=true")
	must(t, err)
	if strings.Contains(out, "kube-system") {
		t.Errorf("kube-system is in:\n%s", out)
	}
	if want := "'system:serviceaccount:network:kactus-agent'"; !strings.Contains(out, want) {
		t.Errorf("the policy is not for %s:\n%s", want, out)
	}
}

// TestValues_Netconf gives the netconf keys, and a delegate of the default network.
func TestValues_Netconf(t *testing.T) {
	t.Parallel()
	values := `{"defaultNetwork": "", "netconf": {"cniVersion": "1.1.0", "logLevel": 3, "namespaceIsolation": true,
		"capabilities": {"portMappings": true}, "delegates": [{"type": "ptp", "masterPlugin": true}]}}`
	objects := render(t, "--set-json="+strings.NewReplacer("\n", "", "\t", "").Replace(values))
	var got map[string]any
	must(t, json.Unmarshal([]byte(objects["ConfigMap/kactus"].text("data", "00-kactus.conf")), &got))
	want := "map[capabilities:map[kaloom.com/selection:true portMappings:true] cniVersion:1.1.0" +
		" delegates:[map[masterPlugin:true type:ptp]] kubeconfig:/etc/cni/net.d/kactus.d/kactus-kubeconfig.yaml" +
		" logLevel:3 name:kactus-net namespaceIsolation:true type:kactus]"
	if fmt.Sprint(got) != want {
		t.Errorf("the netconf is %v, want %s", got, want)
	}
	if got := objects["ConfigMap/kactus"].at("data", "default-network"); got != nil {
		t.Errorf("the default network is %v, and in the netconf", got)
	}
}

// TestValues_Documented requires a comment for each value, and a place in the schema.
func TestValues_Documented(t *testing.T) {
	t.Parallel()
	text := read(t, chartDir+"/values.yaml")
	key := regexp.MustCompile(`^ *[A-Za-z]+:`)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if !key.MatchString(line) || strings.Contains(lines[i-1], "#") {
			continue
		}
		if before := strings.TrimSpace(lines[i-1]); before == "resources:" || strings.HasPrefix(before, "requests:") {
			continue // described as a whole
		}
		t.Errorf("values.yaml:%d: %s: no comment", i+1, strings.TrimSpace(line))
	}
	var values, schema map[string]any
	must(t, yaml.Unmarshal([]byte(text), &values))
	must(t, json.Unmarshal([]byte(read(t, chartDir+"/values.schema.json")), &schema))
	inSchema(t, "", values, schema)
}

// inSchema reports the values that the schema does not have.
func inSchema(t *testing.T, path string, values map[string]any, schema map[string]any) {
	t.Helper()
	properties, strict := schema["properties"].(map[string]any)
	if !strict {
		return // of another type, or with keys of the user's choice
	}
	if schema["additionalProperties"] != false {
		t.Errorf("the schema of %q allows any key", path)
	}
	for name, value := range values {
		property, found := properties[name].(map[string]any)
		if !found {
			t.Errorf("the schema has no %s.%s", path, name)
		}
		if below, ok := value.(map[string]any); ok {
			inSchema(t, path+"."+name, below, property)
		}
	}
	for name := range properties {
		if _, found := values[name]; !found && len(values) > 0 && name != "global" {
			t.Errorf("values.yaml has no %s.%s", path, name)
		}
	}
}

// TestValues_NetconfKeys compares the netconf keys of the schema with those that are documented.
func TestValues_NetconfKeys(t *testing.T) {
	t.Parallel()
	var schema struct {
		Definitions struct {
			Netconf struct{ Properties map[string]any }
		}
	}
	must(t, json.Unmarshal([]byte(read(t, chartDir+"/values.schema.json")), &schema))
	computed := []string{"type", "kubeconfig", "runtimeConfig"}             // by the chart, or by the runtime
	everywhere := []string{"args", "capabilities", "dns", "ipMasq", "ipam"} // in every CNI configuration
	keys := append(slices.Collect(maps.Keys(schema.Definitions.Netconf.Properties)), computed...)
	documented := pages.Keys(pages.Read(t, "docs/configuration.md").Section(t, "The netconf").Table(t, "key"), "key")
	pages.Compare(t, "a netconf key", append(documented, everywhere...), keys)
}

// TestChart_Version compares the chart's versions with the newest section of the changelog. In the
// tree, they are those of a pre-release, and the image is the latest.
func TestChart_Version(t *testing.T) {
	t.Parallel()
	var chart struct{ Version, AppVersion string }
	must(t, yaml.Unmarshal([]byte(read(t, chartDir+"/Chart.yaml")), &chart))
	latest := regexp.MustCompile(`(?m)^## \[([0-9.]*)\]`).FindStringSubmatch(read(t, "CHANGELOG.md"))
	if latest == nil {
		t.Fatal("CHANGELOG.md has no version")
	}
	if want := latest[1] + "-dev"; chart.Version != want || chart.AppVersion != want {
		t.Errorf("version is %s, appVersion %s, want %s", chart.Version, chart.AppVersion, want)
	}
}

// TestChart_Release packs the chart as scripts/release.sh does.
func TestChart_Release(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := run(t, cluster.Helm, "package", chartDir, "--version=1.2.0", "--app-version=v1.2.0", "--destination="+dir)
	must(t, err)
	for chart, want := range map[string]string{
		filepath.Join(dir, "kactus-1.2.0.tgz"): "image: kactus:v1.2.0\n",
		chartDir:                               "image: kactus:latest\n",
	} {
		out, err := run(t, cluster.Helm, "template", "kactus", chart)
		must(t, err)
		if !strings.Contains(out, want) {
			t.Errorf("%s: %q is not in:\n%s", chart, want, out)
		}
	}
}
