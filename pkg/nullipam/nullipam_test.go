package nullipam

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
)

// environ returns the environment of an operation, with changes as pairs of a variable and its
// value.
func environ(changes ...string) func(string) string {
	env := map[string]string{"CNI_CONTAINERID": "c1", "CNI_NETNS": "/nonexistent/netns", "CNI_IFNAME": "net1"}
	for i := 0; i < len(changes); i += 2 {
		env[changes[i]] = changes[i+1]
	}
	return func(name string) string { return env[name] }
}

const validConf = `{"cniVersion": "1.1.0", "name": "green", "type": "vlan", "master": "eth0", "ipam": {"type": "null"}}`

// expectError fails unless err has the code and the message has all of the words.
func expectError(t *testing.T, err error, code uint, words ...string) {
	t.Helper()
	var e *types.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("error %#v; want code %d", err, code)
	}
	for _, w := range words {
		if !strings.Contains(e.Msg, w) {
			t.Errorf("no %q in %q", w, e.Msg)
		}
	}
}

func TestRun_Errors(t *testing.T) {
	with := func(key string) string { return strings.Replace(validConf, "{", "{"+key+", ", 1) }
	version := func(v string) string { return strings.Replace(validConf, "1.1.0", v, 1) }
	file := filepath.Join(t.TempDir(), "file")
	tests := []struct {
		name      string
		operation string
		getenv    func(string) string
		stdin     string
		code      uint
		word      string
	}{
		{"an unknown operation", "UPDATE", environ(), validConf, types.ErrInvalidEnvironmentVariables, "UPDATE"},
		{"no container ID", "ADD", environ("CNI_CONTAINERID", ""), validConf, types.ErrInvalidEnvironmentVariables,
			"CNI_CONTAINERID"},
		{"no interface name", "ADD", environ("CNI_IFNAME", ""), validConf, types.ErrInvalidEnvironmentVariables,
			"CNI_IFNAME"},
		{"a path as the interface name", "CHECK", environ("CNI_IFNAME", "a/b"), validConf,
			types.ErrInvalidEnvironmentVariables, "CNI_IFNAME"},
		{"no namespace", "ADD", environ("CNI_NETNS", ""), validConf, types.ErrInvalidEnvironmentVariables, "CNI_NETNS"},
		{"a relative namespace", "ADD", environ("CNI_NETNS", "netns/a"), validConf,
			types.ErrInvalidEnvironmentVariables, "CNI_NETNS"},
		{"a namespace that is not there", "ADD", environ("CNI_NETNS", file), validConf, types.ErrInvalidNetNS, file},
		{"a file as the namespace", "ADD", environ("CNI_NETNS", "/proc/self/status"), validConf,
			types.ErrInvalidNetNS, "/proc/self/status"},
		{"the node's namespace", "ADD", environ("CNI_NETNS", "/proc/self/ns/net"), validConf, types.ErrInvalidNetNS,
			"node"},
		{"no JSON", "ADD", environ(), "{", types.ErrDecodingFailure, "configuration"},
		{"no configuration", "STATUS", environ(), "", types.ErrDecodingFailure, "configuration"},
		{"an unknown version", "ADD", environ(), version("9.0.0"), types.ErrIncompatibleCNIVersion, "9.0.0"},
		{"CHECK in 0.3.1", "CHECK", environ(), version("0.3.1"), types.ErrIncompatibleCNIVersion, "0.3.1"},
		{"GC in 1.0.0", "GC", environ(), version("1.0.0"), types.ErrIncompatibleCNIVersion, "1.0.0"},
		{"STATUS in 0.4.0", "STATUS", environ(), version("0.4.0"), types.ErrIncompatibleCNIVersion, "0.4.0"},
		{"CHECK without a result", "CHECK", environ(), validConf, types.ErrInvalidNetworkConfig, "prevResult"},
		{"CHECK with half a result", "CHECK", environ(), with(`"prevResult": {"cniVersion": "1.1.0", "ips": [null]}`),
			types.ErrInvalidNetworkConfig, "prevResult"},
		{"CHECK with a result of another version", "CHECK", environ(), with(`"prevResult": {"cniVersion": "0.2.0"}`),
			types.ErrInvalidNetworkConfig, "prevResult"},
		{"CHECK with a result without addresses", "CHECK", environ(), with(`"prevResult": {"cniVersion": "1.1.0"}`),
			CodeCheck, "link-local"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			output, err := Run(tt.operation, tt.getenv, []byte(tt.stdin))
			expectError(t, err, tt.code, tt.word)
			if output != nil {
				t.Errorf("output %s", output)
			}
		})
	}
}

func TestRun_NothingToDo(t *testing.T) {
	tests := []struct{ name, operation, stdin string }{
		{"DEL", "DEL", validConf},
		{"DEL of a namespace that is gone", "DEL", validConf},
		{"DEL with a broken configuration", "DEL", "{"},
		{"DEL with an unknown version", "DEL", `{"cniVersion": "9.0.0"}`},
		{"GC", "GC", validConf},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			output, err := Run(tt.operation, func(string) string { return "" }, []byte(tt.stdin))
			if output != nil || err != nil {
				t.Errorf("%s, %v", output, err)
			}
		})
	}
}

func TestRun_StatusWithoutIPv6(t *testing.T) {
	withSysctls(t, filepath.Join(t.TempDir(), "conf"))
	_, err := Run("STATUS", environ(), []byte(validConf))
	expectError(t, err, types.ErrPluginNotAvailable, "the kernel has no IPv6")
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one sentence: %q", err)
	}
}

func TestRun_StatusWithIPv6(t *testing.T) {
	withSysctls(t, t.TempDir())
	if output, err := Run("STATUS", environ(), []byte(validConf)); output != nil || err != nil {
		t.Errorf("%s, %v", output, err)
	}
}

// withSysctls replaces the directory of the kernel's IPv6 settings for the test.
func withSysctls(t *testing.T, dir string) {
	t.Helper()
	before := sysctls
	sysctls = dir
	t.Cleanup(func() { sysctls = before })
}
