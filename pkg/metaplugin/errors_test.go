package metaplugin

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/delegate"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
)

var errSome = errors.New("some cause")

func kubeError(status int) error {
	return &kube.Error{Doing: "GET /x", Path: "/x", Status: status, Cause: errSome}
}

func TestAsCNI_Codes(t *testing.T) {
	delegateFailed := &delegate.Error{Operation: "ADD", Network: "green", Plugin: "bridge", Code: 77}
	delegateBusy := &delegate.Error{Operation: "ADD", Network: "green", Plugin: "bridge", Code: types.ErrTryAgainLater}
	tests := []struct {
		name string
		err  error
		code uint
	}{
		{"an environment variable", environmentError("CNI_IFNAME", errSome), 4},
		{"a configuration", configError(errSome), 7},
		{"a version", versionError(errSome), 1},
		{"a network namespace", netnsError(errSome), 8},
		{"stdin", ioError(errSome), 5},
		{"what may succeed later", tryLaterError(errSome), 11},
		{"a Pod that was replaced", replacedError(errSome), 101},
		{"a missing plugin", delegateError(delegate.ErrMissing), 102},
		{"attachments that are in the way", attachedError(errSome), 104},
		{"a request that was not honored", notHonoredError(errSome), 105},
		{"a CHECK", checkError(errSome), 107},
		{"a GC that was not forwarded", notForwardedError(errSome), 108},
		{"a busy ledger", storeError(fmt.Errorf("lock: %w", ledger.ErrBusy)), 11},
		{"a ledger that fails", storeError(errSome), 5},
		{"a corrupt record", corruptError(errSome), 5},
		{"a netconf that cannot be decoded", &netconf.Error{Undecodable: true}, 6},
		{"a netconf of an unknown version", &netconf.Error{UnknownVersion: true}, 1},
		{"a netconf with unknown keys alone", &netconf.Error{UnknownKeys: true}, 2},
		{"an invalid netconf", &netconf.Error{Problems: []string{"foo: unknown key"}}, 7},
		{"isolation", plan.ErrIsolation, 103},
		{"an apiserver that has no such object", kubeError(http.StatusNotFound), 11},
		{"an apiserver that refuses", kubeError(http.StatusForbidden), 100},
		{"a delegate", delegateFailed, 102},
		{"a delegate that wants another try", delegateBusy, 11},
		{"a STATUS", statusError(errors.Join(errSome, delegateFailed)), 50},
		{"a STATUS of a delegate with limited connectivity",
			statusError(errors.Join(errSome, &delegate.Error{Code: types.ErrLimitedConnectivity})), 51},
		{"anything else", errSome, 999},
		{"a coded error around another one", checkError(fmt.Errorf("x: %w", delegateBusy)), 107},
		{"the first of joined errors", errors.Join(configError(errSome), ioError(errSome)), 7},
		{"a failure after whose roll-back something is left", withLeftover(delegateFailed, ioError(errSome)), 102},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			expectError(t, asCNI(tt.err), tt.code)
			expectError(t, asCNI(fmt.Errorf("network green: %w", tt.err)), tt.code)
			expectError(t, asCNIOfDel(tt.err), tt.code)
		})
	}
}

func TestAsCNI_Messages(t *testing.T) {
	green := &delegate.Error{
		Operation: "DEL", Network: "green", Plugin: "a", Code: 7, Details: "no route", Stderr: "boom",
	}
	blue := &delegate.Error{Operation: "DEL", Network: "blue", Plugin: "b", Stderr: "link not found"}
	silent := &delegate.Error{Operation: "DEL", Network: "red", Plugin: "c"}
	tests := []struct {
		name         string
		err          error
		msg, details string
	}{
		{"joined errors are on one line", errors.Join(errors.New("one"), errors.New("two")), "one; two", ""},
		{"a CNI error stays as it is", types.NewError(42, "msg", "details"), "msg", "details"},
		{"a CNI error within another one keeps its context",
			environmentError("CNI_IFNAME", types.NewError(4, "too long", "15 characters")),
			"CNI_IFNAME: too long; 15 characters", ""},
		{"each delegate's words are in the details", errors.Join(fmt.Errorf("network green: %w", green), silent, blue),
			"network green: " + green.Error() + "; " + silent.Error() + "; " + blue.Error(),
			"a: code 7; details: no route; stderr: boom\nb: stderr: link not found"},
		{"what is left after a roll-back",
			withLeftover(errors.New("cause"), errors.Join(errors.New("one"), errors.New("two"))),
			"cause", "not torn down, and left in the ledger for a DEL: one; two"},
		{"nothing left", withLeftover(errors.New("cause"), nil), "cause", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got *types.Error
			if !errors.As(asCNI(tt.err), &got) {
				t.Fatal("not a CNI error")
			}
			if got.Msg != tt.msg || got.Details != tt.details {
				t.Errorf("got  %q, %q\nwant %q, %q", got.Msg, got.Details, tt.msg, tt.details)
			}
		})
	}
	t.Run("no error", func(t *testing.T) {
		for _, err := range []error{asCNI(nil), asCNIOfDel(nil), storeError(nil)} {
			if err != nil {
				t.Errorf("got %v", err)
			}
		}
	})
}

// containerdTakesForSuccess is containerd's rule for the error of a DEL.
func containerdTakesForSuccess(err error, netns string) bool {
	return strings.Contains(err.Error(), "not found") ||
		netns == "" && strings.Contains(err.Error(), "no such file or directory")
}

func TestAsCNIOfDel_IsNotTakenForSuccess(t *testing.T) {
	const notFound, noFile = "link not found", "open /x: no such file or directory"
	tests := map[string]error{
		"kactus's words":        errors.New("netns not found"),
		"a system call's words": &fs.PathError{Op: "open", Path: "/x", Err: unix.ENOENT},
		"a coded error":         netnsError(errors.New(notFound)),
		"a plugin's message":    fmt.Errorf("b: %s: %w", noFile, &delegate.Error{Plugin: "b"}),
		"a plugin's details":    &delegate.Error{Plugin: "b", Details: notFound},
		"a plugin's stderr":     &delegate.Error{Plugin: "b", Stderr: noFile},
		"joined errors":         errors.Join(errSome, errors.New(notFound), errors.New(noFile)),
		"what is left":          withLeftover(errSome, errors.New(noFile)),
		"a CNI error":           types.NewError(7, notFound, noFile),
		"both in one message":   types.NewError(7, "no such file or directory: not found", "not found"),
	}
	for name, err := range tests {
		t.Run(name, func(t *testing.T) {
			if !containerdTakesForSuccess(asCNI(err), "") {
				t.Fatal("the input does not have the words")
			}
			if got := asCNIOfDel(err); containerdTakesForSuccess(got, "") {
				t.Errorf("containerd takes it for a success: %v", got)
			}
		})
	}
}

// Somebody who reads the error sees the words.
func TestAsCNIOfDel_KeepsTheWords(t *testing.T) {
	failed := &delegate.Error{Plugin: "b", Details: "not found", Stderr: "link not found"}
	var got *types.Error
	if !errors.As(asCNIOfDel(fmt.Errorf("netns not found: %w", failed)), &got) {
		t.Fatal("not a CNI error")
	}
	const hidden = "not\u00a0found"
	expectEqual(t, "message", got.Msg, "netns "+hidden+": "+failed.Error())
	expectEqual(t, "details", got.Details, "b: details: "+hidden+"; stderr: link "+hidden)
}
