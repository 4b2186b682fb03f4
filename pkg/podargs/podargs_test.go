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
		behaviour string
		args      string
		want      Args
	}{
		{"nothing is said", "", Args{}},
		{"a runtime's arguments name the Pod", "IgnoreUnknown=1;" + identity + ";K8S_POD_UID=0b1c", Args{Pod: pod}},
		{"the order does not matter", "K8S_POD_UID=0b1c;" + identity, Args{Pod: pod}},
		{"a semicolon at the end is no pair", "K8S_POD_NAME=a;", Args{Pod: Pod{Name: "a"}}},
		{"unknown keys are ignored where the runtime says so", "IgnoreUnknown=TRUE;FOO=bar", Args{}},
		{"an empty value is none", "K8S_POD_UID=;K8S_POD_NAME=a", Args{Pod: Pod{Name: "a"}}},
		{"a hot network without a MAC address", "IgnoreUnknown=1;" + identity + ";K8S_POD_NETWORK=green;K8S_POD_IFMAC=",
			Args{Pod: Pod{Namespace: "red", Name: "app1", InfraContainerID: "abc"}, Hot: &Hot{Network: "green"}}},
		{"a hot network with one", "K8S_POD_NETWORK=green;K8S_POD_IFMAC=0A:00:00:00:00:01", Args{Hot: &Hot{Network: "green", MAC: "0a:00:00:00:00:01"}}},
		{"an empty MAC address without a network is none", "K8S_POD_IFMAC=", Args{}},
	}
	for _, tt := range tests {
		t.Run(tt.behaviour, func(t *testing.T) {
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

func TestParseRefuses(t *testing.T) {
	tests := []struct {
		behaviour, args string
		says            []string
	}{
		{"a pair without a value", "K8S_POD_NAME", []string{"K8S_POD_NAME", "KEY=VALUE"}},
		{"a pair without a key", "=x", []string{"KEY=VALUE"}},
		{"a value with an equals sign", "K8S_POD_NAME=a=b", []string{"K8S_POD_NAME=a=b"}},
		{"a key twice", "K8S_POD_NAME=a;K8S_POD_NAME=b", []string{"K8S_POD_NAME", "twice"}},
		{"an unknown key", "K8S_POD_NAME=a;FOO=bar", []string{"FOO", "IgnoreUnknown"}},
		{"an unknown key where IgnoreUnknown is false", "IgnoreUnknown=false;FOO=bar", []string{"FOO"}},
		{"a Pod's name that climbs", "K8S_POD_NAME=../x", []string{"K8S_POD_NAME"}},
		{"a namespace with a slash", "K8S_POD_NAMESPACE=a/b", []string{"K8S_POD_NAMESPACE"}},
		{"a UID with a space", "K8S_POD_UID=a b", []string{"K8S_POD_UID"}},
		{"an infra container ID that climbs", "K8S_POD_INFRA_CONTAINER_ID=../x", []string{"K8S_POD_INFRA_CONTAINER_ID"}},
		{"an empty network, which must not become the whole Pod", "K8S_POD_NETWORK=", []string{"K8S_POD_NETWORK", "empty"}},
		{"a network with a slash", "K8S_POD_NETWORK=a/b", []string{"K8S_POD_NETWORK"}},
		{"a group address", "K8S_POD_NETWORK=green;K8S_POD_IFMAC=01:00:00:00:00:01", []string{"K8S_POD_IFMAC"}},
		{"a MAC address without a network", "K8S_POD_IFMAC=0a:00:00:00:00:01", []string{"K8S_POD_IFMAC", "K8S_POD_NETWORK"}},
		{"more than 16 KiB", "K8S_POD_NAME=" + strings.Repeat("a", MaxSize), []string{"bytes"}},
	}
	for _, tt := range tests {
		t.Run(tt.behaviour, func(t *testing.T) {
			_, err := Parse(tt.args)
			if err == nil {
				t.Fatal("no error")
			}
			for _, words := range tt.says {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("the error %q does not say %q", err, words)
				}
			}
		})
	}
}

func TestValidateContainerID(t *testing.T) {
	for id, valid := range map[string]bool{
		"abc": true, "cnitool-77383ca0a0715733ca6f": true, strings.Repeat("a", 200): true,
		"": false, ".": false, "..": false, "../x": false, "a/b": false, "-a": false, "a b": false, "a\nb": false, "a;B=c": false, strings.Repeat("a", 300): false,
	} {
		t.Run("the container ID "+strings.ToValidUTF8(id[:min(len(id), 30)], "?"), func(t *testing.T) {
			if err := ValidateContainerID(id); (err == nil) != valid {
				t.Errorf("valid is %v: %v", valid, err)
			}
		})
	}
}

func TestAnAddNeedsAPodsNameAndNamespace(t *testing.T) {
	for _, pod := range []Pod{{}, {Name: "a"}, {Namespace: "a"}} {
		if err := pod.Validate(); err == nil {
			t.Errorf("%+v is valid", pod)
		}
	}
	if err := (Pod{Name: "a", Namespace: "b"}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestCNIArgsAreTheIdentityAndTheMACAddress(t *testing.T) {
	pod := Pod{Namespace: "red", Name: "app1", UID: "0b1c", InfraContainerID: "abc"}
	const identity = "IgnoreUnknown=1;K8S_POD_NAMESPACE=red;K8S_POD_NAME=app1;K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=0b1c"
	if got := pod.CNIArgs(""); got != identity {
		t.Errorf("got %s", got)
	}
	if got, want := pod.CNIArgs("0a:00:00:00:00:01"), identity+";MAC=0a:00:00:00:00:01;CNI_IFMAC=0a:00:00:00:00:01"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := (Pod{}).CNIArgs(""); got != "IgnoreUnknown=1" {
		t.Errorf("got %s", got)
	}
}

// FuzzParse: what is accepted says the same to a delegate, and nothing more.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"IgnoreUnknown=1;K8S_POD_NAMESPACE=red;K8S_POD_NAME=app1;K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=0b1c;K8S_POD_NETWORK=green;K8S_POD_IFMAC=0a:00:00:00:00:01",
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
		told := args.Pod.CNIArgs(mac)
		if strings.Count(told, ";") > 6 {
			t.Fatalf("a pair too many: %q", told)
		}
		again, err := Parse(told)
		if err != nil || again.Pod != args.Pod || again.Hot != nil {
			t.Fatalf("%+v became %+v (%v)", args, again, err)
		}
	})
}
