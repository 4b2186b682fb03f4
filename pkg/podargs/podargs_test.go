package podargs

import (
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
		{"a key twice", "K8S_POD_NAME=a;K8S_POD_NAME=b", []string{"K8S_POD_NAME", "twice"}},
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
		if err != nil {
			return
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
