package podargs

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

func TestParse(t *testing.T) {
	pod := Pod{Namespace: "red", Name: "app1", UID: "0b1c", InfraContainerID: "abc"}
	const identity = "K8S_POD_NAMESPACE=red;K8S_POD_NAME=app1;K8S_POD_INFRA_CONTAINER_ID=abc"
	tests := []struct {
		name string
		args string
		want Args
	}{
		{"no arguments", "", Args{}},
		{"the arguments of a runtime", "IgnoreUnknown=1;" + identity + ";K8S_POD_UID=0b1c", Args{Pod: pod}},
		{"another order", "K8S_POD_UID=0b1c;" + identity, Args{Pod: pod}},
		{"a trailing semicolon", "K8S_POD_NAME=a;", Args{Pod: Pod{Name: "a"}}},
		{"an unknown key where IgnoreUnknown is true", "IgnoreUnknown=TRUE;FOO=bar", Args{}},
		{"an empty value", "K8S_POD_UID=;K8S_POD_NAME=a", Args{Pod: Pod{Name: "a"}}},
		{"a hot network without a MAC address", "IgnoreUnknown=1;" + identity + ";K8S_POD_NETWORK=green;K8S_POD_IFMAC=",
			Args{Pod: Pod{Namespace: "red", Name: "app1", InfraContainerID: "abc"}, Hot: &Hot{Network: "green"}}},
		{"a hot network with a MAC address", "K8S_POD_NETWORK=green;K8S_POD_IFMAC=0A:00:00:00:00:01",
			Args{Hot: &Hot{Network: "green", MAC: "0a:00:00:00:00:01"}}},
		{"a pair twice, as old kubelets say it", "IgnoreUnknown=1;IgnoreUnknown=1;" + identity + ";K8S_POD_UID=0b1c",
			Args{Pod: pod}},
		{"every pair twice", identity + ";K8S_POD_UID=0b1c;" + identity + ";K8S_POD_UID=0b1c", Args{Pod: pod}},
		{"a hot network twice", "K8S_POD_NETWORK=green;K8S_POD_NETWORK=green", Args{Hot: &Hot{Network: "green"}}},
		{"an unknown key twice", "IgnoreUnknown=1;FOO=bar;FOO=bar", Args{}},
		{"an empty MAC address without a network", "K8S_POD_IFMAC=", Args{}},
		{"16 KiB", "IgnoreUnknown=1;X=" + strings.Repeat("a", MaxSize-len("IgnoreUnknown=1;X=")), Args{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(tt.args)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestParse_Errors(t *testing.T) {
	tests := []struct {
		name, args string
		want       []string
	}{
		{"a pair without a value", "K8S_POD_NAME", []string{"K8S_POD_NAME", "KEY=VALUE"}},
		{"a pair without a key", "=x", []string{"KEY=VALUE"}},
		{"a value with an equals sign", "K8S_POD_NAME=a=b", []string{"K8S_POD_NAME=a=b"}},
		{"two values of one key", "K8S_POD_NAME=a;K8S_POD_NAME=b", []string{"K8S_POD_NAME", "twice", `"a"`, `"b"`}},
		{"two values, the first again", "K8S_POD_NAME=a;K8S_POD_NAME=b;K8S_POD_NAME=a",
			[]string{"K8S_POD_NAME", "twice"}},
		{"a value and an empty one", "K8S_POD_UID=a;K8S_POD_UID=", []string{"K8S_POD_UID", "twice"}},
		{"two values of an unknown key", "IgnoreUnknown=1;FOO=a;FOO=b", []string{"FOO", "twice"}},
		{"two networks", "K8S_POD_NETWORK=green;K8S_POD_NETWORK=blue", []string{"K8S_POD_NETWORK", "twice"}},
		{"an unknown key", "K8S_POD_NAME=a;FOO=bar", []string{`unknown key "FOO"`, "IgnoreUnknown"}},
		{"an unknown key where IgnoreUnknown is false", "IgnoreUnknown=false;FOO=bar", []string{"FOO"}},
		{"a Pod's name that is a path", "K8S_POD_NAME=../x", []string{"K8S_POD_NAME"}},
		{"a namespace with a slash", "K8S_POD_NAMESPACE=a/b", []string{"K8S_POD_NAMESPACE"}},
		{"a UID with a space", "K8S_POD_UID=a b", []string{"K8S_POD_UID"}},
		{"an infra container ID that is a path", "K8S_POD_INFRA_CONTAINER_ID=../x",
			[]string{"K8S_POD_INFRA_CONTAINER_ID"}},
		{"an empty network, which must not become the whole Pod", "K8S_POD_NETWORK=",
			[]string{"K8S_POD_NETWORK: must not be empty"}},
		{"a network with a slash", "K8S_POD_NETWORK=a/b", []string{"K8S_POD_NETWORK"}},
		{"a network's key in another case", "IgnoreUnknown=1;k8s_pod_network=green",
			[]string{"K8S_POD_NETWORK", `"k8s_pod_network"`}},
		{"a group address", "K8S_POD_NETWORK=green;K8S_POD_IFMAC=01:00:00:00:00:01", []string{"K8S_POD_IFMAC"}},
		{"a MAC address without a network", "K8S_POD_IFMAC=0a:00:00:00:00:01",
			[]string{"K8S_POD_IFMAC: requires K8S_POD_NETWORK"}},
		{"more than 16 KiB", "K8S_POD_NAME=" + strings.Repeat("a", MaxSize), []string{"16397 bytes, limit is 16384"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(tt.args)
			if err == nil {
				t.Fatal("no error")
			}
			for _, words := range tt.want {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("got the error %q, want %q in it", err, words)
				}
			}
		})
	}
}

func TestParseForDel(t *testing.T) {
	const hot = "K8S_POD_NAMESPACE=red;K8S_POD_NAME=app1;K8S_POD_NETWORK=green;"
	pod := Pod{Namespace: "red", Name: "app1"}
	tests := []struct {
		name, args string
		want       Args
		warnings   []string // parts, in their order
	}{
		{"the arguments of a runtime", "IgnoreUnknown=1;K8S_POD_NAMESPACE=red;K8S_POD_NAME=app1;OTHER=x",
			Args{Pod: pod}, nil},
		{"the arguments of an old kubelet",
			"IgnoreUnknown=1;IgnoreUnknown=1;K8S_POD_NAMESPACE=red;K8S_POD_NAME=app1", Args{Pod: pod}, nil},
		{"no arguments", "", Args{}, []string{"K8S_POD_NAMESPACE: missing"}},
		{"no Pod's name", "K8S_POD_NAMESPACE=red", Args{Pod: Pod{Namespace: "red"}},
			[]string{"K8S_POD_NAME: missing"}},
		{"unknown keys", "FOO=1;K8S_POD_NAMESPACE=red;K8S_POD_NAME=app1;BAR=2", Args{Pod: pod}, []string{"BAR", "FOO"}},
		{"pairs that are not", "K8S_POD_NAMESPACE=red;K8S_POD_NAME=app1;a=b=c;x;=", Args{Pod: pod},
			[]string{"a=b=c", `"x"`, `"="`}},
		{"two values of one key, neither of which is used",
			"K8S_POD_NAMESPACE=red;K8S_POD_NAME=app1;K8S_POD_UID=1;K8S_POD_UID=2;K8S_POD_UID=3", Args{Pod: pod},
			[]string{"K8S_POD_UID: key occurs twice"}},
		{"a UID with a space", "K8S_POD_NAMESPACE=red;K8S_POD_NAME=app1;K8S_POD_UID=a b", Args{Pod: pod},
			[]string{"K8S_POD_UID"}},
		{"an infra container ID that is a path",
			"K8S_POD_NAMESPACE=red;K8S_POD_NAME=app1;K8S_POD_INFRA_CONTAINER_ID=../x", Args{Pod: pod},
			[]string{"K8S_POD_INFRA_CONTAINER_ID"}},
		{"a Pod's name that is a path", "K8S_POD_NAMESPACE=red;K8S_POD_NAME=../x", Args{Pod: Pod{Namespace: "red"}},
			[]string{"K8S_POD_NAME: ", "K8S_POD_NAME: missing"}},
		{"more than 16 KiB",
			"IgnoreUnknown=1;K8S_POD_NAMESPACE=red;K8S_POD_NAME=app1;X=" + strings.Repeat("a", MaxSize), Args{Pod: pod},
			[]string{"limit is 16384"}},
		{"any number of unknown keys", "K8S_POD_NAMESPACE=red;K8S_POD_NAME=app1;" + keys(100), Args{Pod: pod},
			strings.Split(strings.Repeat("unknown key,", 15)+"unknown key", ",")},
		{"a hot network with a MAC address that is odd", hot + "K8S_POD_IFMAC=x",
			Args{Pod: pod, Hot: &Hot{Network: "green"}}, []string{"K8S_POD_IFMAC"}},
		{"a hot network twice, among odd keys", hot + "FOO=1;K8S_POD_UID=a b;K8S_POD_NETWORK=green",
			Args{Pod: pod, Hot: &Hot{Network: "green"}}, []string{"FOO", "K8S_POD_UID"}},
		{"a hot network without a Pod", "K8S_POD_NETWORK=green", Args{Hot: &Hot{Network: "green"}},
			[]string{"K8S_POD_NAMESPACE: missing"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, warnings, err := ParseForDel(tt.args)
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
			if len(warnings) != len(tt.warnings) {
				t.Fatalf("got the warnings %q, want those of %q", warnings, tt.warnings)
			}
			for i, want := range tt.warnings {
				if !strings.Contains(warnings[i].Error(), want) {
					t.Errorf("got the warning %q, want %q in it", warnings[i], want)
				}
			}
		})
	}
}

// keys returns n pairs whose keys are all different.
func keys(n int) string {
	var pairs []string
	for i := range n {
		pairs = append(pairs, fmt.Sprintf("X%d=", i))
	}
	return strings.Join(pairs, ";")
}

// A hot DEL whose network cannot be read must not become a DEL of the whole Pod.
func TestParseForDel_BrokenNetwork(t *testing.T) {
	for name, network := range map[string]string{
		"empty":                  "K8S_POD_NETWORK=",
		"invalid":                "K8S_POD_NETWORK=a/b",
		"without a value":        "K8S_POD_NETWORK",
		"with an equals sign":    "K8S_POD_NETWORK=a=b",
		"with two values":        "K8S_POD_NETWORK=green;K8S_POD_NETWORK=blue",
		"with an empty second":   "K8S_POD_NETWORK=green;K8S_POD_NETWORK=",
		"once without a value":   "K8S_POD_NETWORK=green;K8S_POD_NETWORK",
		"in another case":        "k8s_pod_network=green",
		"with a space before":    " K8S_POD_NETWORK=green",
		"a MAC address alone":    "K8S_POD_IFMAC=0a:00:00:00:00:01",
		"after more than 16 KiB": "X=" + strings.Repeat("a", MaxSize) + ";K8S_POD_NETWORK=",
	} {
		args, _, err := ParseForDel("IgnoreUnknown=1;K8S_POD_NAMESPACE=red;K8S_POD_NAME=app1;" + network)
		if err == nil || !strings.Contains(err.Error(), "K8S_POD_NETWORK") {
			t.Errorf("%s: got %+v, %v", name, args, err)
		}
	}
}

func TestValidateContainerID(t *testing.T) {
	for id, valid := range map[string]bool{
		"abc": true, "cnitool-77383ca0a0715733ca6f": true, strings.Repeat("a", 200): true,
		"": false, ".": false, "..": false, "../x": false, "a/b": false, "-a": false, "a b": false,
		"a\nb": false, "a;B=c": false, strings.Repeat("a", 201): false,
	} {
		if err := ValidateContainerID(id); (err == nil) != valid {
			t.Errorf("%q: got the error %v, want valid = %v", id, err, valid)
		}
	}
}

func TestPod_Validate(t *testing.T) {
	for _, tt := range []struct {
		pod  Pod
		want string
	}{
		{Pod{}, "K8S_POD_NAMESPACE: missing"},
		{Pod{Name: "a"}, "K8S_POD_NAMESPACE: missing"},
		{Pod{Namespace: "a"}, "K8S_POD_NAME: missing"},
	} {
		if err := tt.pod.Validate(); err == nil || err.Error() != tt.want {
			t.Errorf("%+v: got the error %v, want %q", tt.pod, err, tt.want)
		}
	}
	if err := (Pod{Name: "a", Namespace: "b"}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestPod_CNIArgs(t *testing.T) {
	pod := Pod{Namespace: "red", Name: "app1", UID: "0b1c", InfraContainerID: "abc"}
	const identity = "IgnoreUnknown=1;K8S_POD_NAMESPACE=red;K8S_POD_NAME=app1;" +
		"K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=0b1c"
	if got := pod.CNIArgs(""); got != identity {
		t.Errorf("got %s", got)
	}
	want := identity + ";MAC=0a:00:00:00:00:01;CNI_IFMAC=0a:00:00:00:00:01"
	if got := pod.CNIArgs("0a:00:00:00:00:01"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := (Pod{}).CNIArgs(""); got != "IgnoreUnknown=1" {
		t.Errorf("got %s", got)
	}
}

// FuzzParse: a delegate gets the identity that Parse accepted, and nothing more.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"IgnoreUnknown=1;K8S_POD_NAMESPACE=red;K8S_POD_NAME=app1;K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=0b1c;" +
			"K8S_POD_NETWORK=green;K8S_POD_IFMAC=0a:00:00:00:00:01",
		"K8S_POD_NAME=a;MAC=x", "K8S_POD_NETWORK=", ";;=", "IgnoreUnknown=1;K8S_POD_NAME=a\x00b",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cniArgs string) {
		args, err := Parse(cniArgs)
		forDel, _, delErr := ParseForDel(cniArgs)
		if err != nil && delErr == nil {
			args = forDel // a delegate gets what is left of the identity
		} else if err != nil {
			return
		}
		if delErr != nil || !reflect.DeepEqual(forDel, args) {
			t.Fatalf("a DEL gets %+v (%v), others %+v", forDel, delErr, args)
		}
		mac := network.MAC("")
		if args.Hot != nil {
			mac = args.Hot.MAC
		}
		delegateArgs := args.Pod.CNIArgs(mac)
		if strings.Count(delegateArgs, ";") > 6 {
			t.Fatalf("too many pairs: %q", delegateArgs)
		}
		again, err := Parse(delegateArgs)
		if err != nil || again.Pod != args.Pod || again.Hot != nil {
			t.Fatalf("%+v became %+v (%v)", args, again, err)
		}
	})
}
