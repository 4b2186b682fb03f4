package podresources

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kubelettest"
)

// golden returns a message that the kubelet's own types encoded: see test/deviceplugin/golden.
func golden(t testing.TB, name string) []byte {
	t.Helper()
	message, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return message
}

var goldenDevices = Devices{
	IDs: map[string][]string{
		"kaloom.com/nic":   {"nic1", "nic10", "nic2"}, // as strings, as Multus sorts them
		"kaloom.com/other": {"a", "b"},
	},
	Claimed: []ClaimedDevice{{"nic.kaloom.com", "pool", "vf0"}, {"nic.kaloom.com", "pool", "vf1"}},
}

func TestDevices_ByGetOrElseByList(t *testing.T) {
	for _, tt := range []struct {
		behavior string
		get      kubelettest.Answer
		methods  string
	}{
		{"a kubelet that has Get", kubelettest.Answer{Message: golden(t, "get.pb")}, "Get"},
		{"a kubelet without Get", kubelettest.Answer{Status: 12, Text: "unknown method Get"}, "Get List"},
		{"a kubelet whose feature gate is off",
			kubelettest.Answer{Status: 2, Text: "PodResources API Get method disabled"}, "Get List"},
	} {
		t.Run(tt.behavior, func(t *testing.T) {
			var methods []string
			socket := kubelettest.Serve(t, func(method string, request []byte) kubelettest.Answer {
				methods = append(methods, method)
				if method == "List" {
					return kubelettest.Answer{Message: golden(t, "list.pb")}
				}
				if want := golden(t, "request.pb"); string(request) != string(want) {
					t.Errorf("the request is %q, want %q", request, want)
				}
				return tt.get
			})
			devices, err := New(socket).Devices(t.Context(), "tenant", "app")
			if err != nil || !reflect.DeepEqual(devices, goldenDevices) {
				t.Errorf("got %v, %v, want %v", devices, err, goldenDevices)
			}
			if got := strings.Join(methods, " "); got != tt.methods {
				t.Errorf("the calls were %s, want %s", got, tt.methods)
			}
		})
	}
}

func TestDevices_NoneTwice(t *testing.T) {
	both := kubelettest.Container{Devices: [][2]string{{"nic", "b"}, {"nic", "a"}, {"nic", "b"}}}
	devices, err := decode(kubelettest.Encode(kubelettest.Pod{
		Namespace: "tenant", Name: "app", Containers: []kubelettest.Container{both, both},
	}), "tenant", "app")
	if want := map[string][]string{"nic": {"a", "b"}}; err != nil || !reflect.DeepEqual(devices.IDs, want) {
		t.Errorf("got %v, %v, want %v", devices.IDs, err, want)
	}
}

func TestDevices_AsksAgainWhenRefused(t *testing.T) {
	var calls atomic.Int32
	socket := kubelettest.Serve(t, func(string, []byte) kubelettest.Answer {
		if calls.Add(1) < 3 {
			return kubelettest.Answer{Status: 8, Text: "rejected by rate limit"}
		}
		return kubelettest.Answer{Message: golden(t, "get.pb")}
	})
	devices, err := New(socket).Devices(t.Context(), "tenant", "app")
	if err != nil || len(devices.IDs) != 2 || calls.Load() != 3 {
		t.Errorf("after %d calls: %v, %v", calls.Load(), devices, err)
	}
}

func TestDevices_Errors(t *testing.T) {
	nobody := filepath.Join(t.TempDir(), "kubelet.sock")
	answer := func(a kubelettest.Answer) string {
		return kubelettest.Serve(t, func(string, []byte) kubelettest.Answer { return a })
	}
	raw := func(body string) string {
		return kubelettest.ServeHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(body))
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
		}))
	}
	twice := kubelettest.Pod{Namespace: "tenant", Name: "app"}
	for _, tt := range []struct{ behavior, socket, want string }{
		{"no socket", nobody, "no such file or directory"},
		{"a Pod that the kubelet does not know", answer(kubelettest.Answer{Status: 2, Text: "pod app not found"}),
			`Get: "pod app not found" (gRPC status 2)`},
		{"a text with escapes", answer(kubelettest.Answer{Status: 13, Text: "50% é\n"}), `"50% é\n"`},
		{"another Pod", answer(kubelettest.Answer{Message: kubelettest.Encode(kubelettest.Pod{Name: "app"})}),
			"the answer has no such Pod"},
		{"two Pods of that name", answer(kubelettest.Answer{Message: kubelettest.Encode(twice, twice)}),
			"2 Pods of that name"},
		{"no protobuf", answer(kubelettest.Answer{Message: []byte("\x0a\xff")}), "decode the answer"},
		{"half a Pod", answer(kubelettest.Answer{Message: kubelettest.Encode(twice)[:9]}), "decode the answer"},
		{"not UTF-8", answer(kubelettest.Answer{Message: kubelettest.Encode(kubelettest.Pod{
			Namespace: "tenant", Name: "app",
			Containers: []kubelettest.Container{{Devices: [][2]string{{"kaloom.com/nic", "\xff"}}}},
		})}), `"\xff" is not UTF-8`},
		{"no message", raw(""), "answer of 0 bytes"},
		{"half a message", raw("\x00\x00\x00\x00\x09short"), "message of 5 bytes, its header says 9"},
		{"two messages", raw("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), "message of 5 bytes, its header says 0"},
		{"a compressed message", raw("\x01\x00\x00\x00\x00"), "compressed"},
		{"too large a message", raw("\x00" + strings.Repeat("x", maxAnswer+5)), "more than 16777216 bytes"},
		{"no gRPC", kubelettest.ServeHTTP(t, http.NotFoundHandler()), "HTTP status 404"},
		{"no status", kubelettest.ServeHTTP(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})),
			`gRPC status ""`},
	} {
		t.Run(tt.behavior, func(t *testing.T) {
			_, err := New(tt.socket).Devices(t.Context(), "tenant", "app")
			var asked *Error
			if !errors.As(err, &asked) || !strings.Contains(err.Error(), tt.want) ||
				!strings.Contains(err.Error(), tt.socket+" for the devices of the Pod tenant/app: ") {
				t.Errorf("got %v, want an Error with %s", err, tt.want)
			}
		})
	}
}

func TestDevices_Bounded(t *testing.T) {
	block := make(chan struct{})
	silent := kubelettest.ServeHTTP(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-block:
		case <-r.Context().Done():
		}
	}))
	defer close(block)
	busy := kubelettest.Serve(t, func(string, []byte) kubelettest.Answer {
		return kubelettest.Answer{Status: 8, Text: "rejected by rate limit"}
	})
	for _, tt := range []struct{ behavior, socket, want string }{
		{"a kubelet that does not answer", silent, "no answer within 200ms"},
		{"a kubelet that always refuses", busy, "rejected by rate limit"},
	} {
		t.Run(tt.behavior, func(t *testing.T) {
			c := New(tt.socket)
			c.timeout = 200 * time.Millisecond
			_, err := c.Devices(t.Context(), "tenant", "app")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	t.Run("an operation that is told to end", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("told to end"))
		_, err := New(silent).Devices(ctx, "tenant", "app")
		if err == nil || !strings.Contains(err.Error(), "told to end") {
			t.Errorf("got %v", err)
		}
	})
}

// FuzzDecode checks that any answer is devices with sorted IDs, or an error.
func FuzzDecode(f *testing.F) {
	f.Add(golden(f, "get.pb"))
	f.Add(golden(f, "list.pb"))
	f.Add([]byte("\x0a\x00"))
	f.Fuzz(func(t *testing.T, message []byte) {
		devices, err := decode(message, "tenant", "app")
		if err != nil {
			return
		}
		for resource, ids := range devices.IDs {
			for i, id := range ids {
				if i > 0 && ids[i-1] >= id {
					t.Errorf("the IDs of %q are %q", resource, ids)
				}
			}
		}
	})
}
