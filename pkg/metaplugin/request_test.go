package metaplugin

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

const validNetconf = `{"cniVersion": "1.1.0", "name": "n", "type": "kactus", "logFile": "/var/log/kactus.log",
	"delegates": [{"type": "ptp", "masterPlugin": true}]}`

// withKey returns a JSON object with one more key.
func withKey(object, key string) string { return strings.Replace(object, "{", "{"+key+", ", 1) }

// validEnv returns the environment of an ADD, with changes.
func validEnv(changes map[string]string) func(string) string {
	env := map[string]string{
		"CNI_CONTAINERID": "c1",
		"CNI_NETNS":       "/run/netns/c1",
		"CNI_IFNAME":      "eth0",
		"CNI_PATH":        "/opt/cni/bin:/usr/lib/cni",
		"CNI_ARGS":        "K8S_POD_NAMESPACE=tenant;K8S_POD_NAME=app",
	}
	return func(key string) string {
		if value, ok := changes[key]; ok {
			return value
		}
		return env[key]
	}
}

func TestNewRequest(t *testing.T) {
	req, err := NewRequest("ADD", validEnv(map[string]string{
		"CNI_ARGS": "K8S_POD_NAMESPACE=tenant;K8S_POD_NAME=app;K8S_POD_NETWORK=green",
	}), []byte(validNetconf))
	if err != nil {
		t.Fatal(err)
	}
	conf, err := netconf.Parse([]byte(validNetconf))
	if err != nil {
		t.Fatal(err)
	}
	want := Request{
		Operation:   "ADD",
		ContainerID: "c1",
		Netns:       "/run/netns/c1",
		IfName:      "eth0",
		PluginDirs:  []string{"/opt/cni/bin", "/usr/lib/cni"},
		Conf:        conf,
	}
	want.Args = podargs.Args{
		Pod: podargs.Pod{Namespace: "tenant", Name: "app"},
		Hot: &podargs.Hot{Network: "green"},
	}
	if !reflect.DeepEqual(req, want) {
		t.Errorf("got %+v\nwant %+v", req, want)
	}
}

func TestNewRequest_Environment(t *testing.T) {
	tests := []struct {
		name, operation, key, value string
		words                       []string // nil if the value is valid
	}{
		{"no container", "ADD", "CNI_CONTAINERID", "", []string{"must not be empty"}},
		{"a container ID with a path", "ADD", "CNI_CONTAINERID", "../../etc/passwd", []string{"../../etc/passwd"}},
		{"a container ID of 300 characters", "ADD", "CNI_CONTAINERID", strings.Repeat("a", 300), []string{"200 bytes"}},
		{"no interface", "ADD", "CNI_IFNAME", "", []string{"interface name is empty"}},
		{"an interface name of 16 characters", "ADD", "CNI_IFNAME", "abcdefghijklmnop", []string{"too long"}},
		{"an interface name with a slash", "DEL", "CNI_IFNAME", "a/b", []string{"interface name"}},
		{"no namespace for an ADD", "ADD", "CNI_NETNS", "", []string{"missing"}},
		{"no namespace for a CHECK", "CHECK", "CNI_NETNS", "", []string{"missing"}},
		{"no namespace for a DEL", "DEL", "CNI_NETNS", "", nil},
		{"a relative namespace for an ADD", "ADD", "CNI_NETNS", "proc/1/ns/net", []string{"proc/1/ns/net", "absolute"}},
		{"a relative namespace for a DEL", "DEL", "CNI_NETNS", "proc/1/ns/net", []string{"proc/1/ns/net", "absolute"}},
		{"no plugins for an ADD", "ADD", "CNI_PATH", "", []string{"missing"}},
		{"no plugins for a DEL", "DEL", "CNI_PATH", "", []string{"missing"}},
		{"no plugins for a GC", "GC", "CNI_PATH", "", []string{"missing"}},
		{"no plugins for a STATUS", "STATUS", "CNI_PATH", "", []string{"missing"}},
		{"arguments that are not pairs", "ADD", "CNI_ARGS", "a=b=c", []string{"a=b=c"}},
		{"no arguments", "ADD", "CNI_ARGS", "", nil}, // an ADD requires a Pod later
		{"no container for a GC", "GC", "CNI_CONTAINERID", "", nil},
		{"no interface for a STATUS", "STATUS", "CNI_IFNAME", "", nil},
		{"invalid arguments for a STATUS", "STATUS", "CNI_ARGS", "a=b=c", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req, err := NewRequest(tt.operation, validEnv(map[string]string{tt.key: tt.value}), []byte(validNetconf))
			if tt.words == nil {
				if err != nil {
					t.Errorf("got %v", err)
				}
			} else {
				expectError(t, err, types.ErrInvalidEnvironmentVariables, append(tt.words, tt.key+": ")...)
			}
			expectEqual(t, "logFile", req.Conf.LogFile, "/var/log/kactus.log")
		})
	}
}

func TestNewRequest_ForNodeHasNoContainer(t *testing.T) {
	for _, operation := range []string{"GC", "STATUS"} {
		req, err := NewRequest(operation, validEnv(nil), []byte(validNetconf))
		if err != nil || req.ContainerID != "" || req.Netns != "" || req.IfName != "" || req.Args.Pod.Name != "" {
			t.Errorf("%s: got %+v, %v", operation, req, err)
		}
	}
}

func TestNewRequest_Netconf(t *testing.T) {
	const unknownVersion = `{"cniVersion": "9.9.9", "name": "n", "logFile": "/l",
		"delegates": [{"type": "ptp", "masterPlugin": true}]}`
	tests := []struct {
		name, operation, stdin string
		code                   uint
		words                  []string
		// logFile is that of the Request all the same.
		logFile string
	}{
		{"empty", "ADD", "", types.ErrDecodingFailure, []string{"empty"}, ""},
		{"not JSON", "ADD", "{", types.ErrDecodingFailure, []string{"JSON"}, ""},
		{"not JSON, for a DEL", "DEL", "{", types.ErrDecodingFailure, []string{"JSON"}, ""},
		{"too long", "ADD", strings.Repeat(" ", netconf.MaxSize+1), types.ErrDecodingFailure, []string{"bytes"}, ""},
		{"an unknown version", "ADD", unknownVersion, types.ErrIncompatibleCNIVersion, []string{"9.9.9"}, "/l"},
		{"an unknown key", "ADD", withKey(validNetconf, `"foo": 1`), types.ErrUnsupportedField,
			[]string{"foo: unknown key, with the value 1"}, "/var/log/kactus.log"},
		{"an unknown key, and other problems", "ADD", `{"name": "n", "logFile": "/l", "foo": 1}`,
			types.ErrInvalidNetworkConfig, []string{"foo", "delegates"}, "/l"},
		{"an invalid logFile", "ADD", `{"name": "n", "logFile": "l"}`,
			types.ErrInvalidNetworkConfig, []string{"logFile"}, ""},
		{"no ledger, for a DEL", "DEL", `{"name": "n", "logFile": "/l", "cniDir": "x"}`,
			types.ErrInvalidNetworkConfig, []string{"cniDir"}, "/l"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req, err := NewRequest(tt.operation, validEnv(nil), []byte(tt.stdin))
			expectError(t, err, tt.code, append(tt.words, "netconf: ")...)
			expectEqual(t, "logFile", req.Conf.LogFile, tt.logFile)
			expectEqual(t, "container", req.ContainerID, "c1")
		})
	}
}

func TestNewRequest_DelGoesOnWithWhatIsValid(t *testing.T) {
	req, err := NewRequest("DEL", validEnv(nil), []byte(`{"name": "n", "cniDir": "/l", "foo": 1}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(req.Warnings) != 1 || !strings.Contains(req.Warnings[0].Error(), "netconf: delegates") ||
		!strings.Contains(req.Warnings[0].Error(), "foo") || req.Conf.CNIDir != "/l" {
		t.Errorf("got the warnings %v and %+v", req.Warnings, req.Conf)
	}
}

func TestNewRequest_DelNeedsNoArgs(t *testing.T) {
	args := func(value string) func(string) string { return validEnv(map[string]string{"CNI_ARGS": value}) }
	for _, value := range []string{"", "FOO=1", "a=b=c", "K8S_POD_NAME=../x", "K8S_POD_NAME=a;K8S_POD_NAME=b"} {
		req, err := NewRequest("DEL", args(value), []byte(validNetconf))
		if err != nil || len(req.Warnings) == 0 || !strings.HasPrefix(req.Warnings[0].Error(), "CNI_ARGS: ") {
			t.Errorf("a DEL with %q: got the warnings %v and %v", value, req.Warnings, err)
		}
	}
	_, err := NewRequest("DEL", args("K8S_POD_NETWORK="), []byte(validNetconf))
	expectError(t, err, types.ErrInvalidEnvironmentVariables, "CNI_ARGS: ", "K8S_POD_NETWORK")
	_, err = NewRequest("CHECK", args("FOO=1"), []byte(validNetconf))
	expectError(t, err, types.ErrInvalidEnvironmentVariables, "CNI_ARGS: ", "FOO")
}

func TestNewRequest_SeveralErrors(t *testing.T) {
	req, err := NewRequest("ADD", validEnv(map[string]string{"CNI_IFNAME": "a/b"}),
		[]byte(`{"name": "n", "logFile": "/l", "foo": 1}`))
	expectError(t, err, types.ErrInvalidEnvironmentVariables, "CNI_IFNAME: ", "netconf: ", "foo", "delegates")
	expectEqual(t, "logFile", req.Conf.LogFile, "/l")
}

func TestUnknownOperation_NamesIt(t *testing.T) {
	expectError(t, UnknownOperation("FROB"), types.ErrInvalidEnvironmentVariables, "CNI_COMMAND", "FROB")
}

func TestStdinError_NamesTheCause(t *testing.T) {
	expectError(t, StdinError(errors.New("broken pipe")), types.ErrIOFailure, "netconf", "stdin", "broken pipe")
}
