package meta

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

// fakeAPI is an apiserver in memory: one Pod, and Networks.
type fakeAPI struct {
	// noPod: there is no Pod.
	noPod bool
	// annotation is the Pod's networks, uid its UID, hash that of a static Pod's file.
	annotation, uid, hash string
	// networks are configurations, by namespace and name.
	networks map[string]string
	// err is every answer, where it is set.
	err error

	pods, asked atomic.Int32
}

func (a *fakeAPI) Pod(_ context.Context, namespace, name string) (kube.Pod, error) {
	a.pods.Add(1)
	switch {
	case a.err != nil:
		return kube.Pod{}, a.err
	case a.noPod:
		return kube.Pod{}, absent("/api/v1/namespaces/" + namespace + "/pods/" + name)
	}
	annotations := map[string]string{}
	if a.annotation != "" {
		annotations["networks"] = a.annotation
	}
	if a.hash != "" {
		annotations["kubernetes.io/config.hash"] = a.hash
	}
	return kube.Pod{Namespace: namespace, Name: name, UID: a.uid, Annotations: annotations}, nil
}

func (a *fakeAPI) Network(_ context.Context, namespace, name string) (network.Network, error) {
	a.asked.Add(1)
	config, ok := a.networks[namespace+"/"+name]
	switch {
	case a.err != nil:
		return network.Network{}, a.err
	case !ok:
		return network.Network{}, absent("/apis/kaloom.com/v1/namespaces/" + namespace + "/networks/" + name)
	}
	return network.Network{Name: name, Namespace: namespace, Config: config}, nil
}

func absent(path string) error {
	return &kube.Error{Doing: "GET " + path, Path: path, Status: http.StatusNotFound, Cause: errors.New("it was not found")}
}

// errLedger is what a spoiled ledger says.
var errLedger = errors.New("the disk is broken")

// brokenBook is a Book some of whose calls fail, and do nothing.
type brokenBook struct {
	Book
	fail []string
}

func breaking(calls ...string) func(Book) Book {
	return func(b Book) Book { return &brokenBook{Book: b, fail: calls} }
}

func (b *brokenBook) broken(call string) bool { return slices.Contains(b.fail, call) }

func (b *brokenBook) Plan(ctx context.Context, netns ledger.Netns, pod podargs.Pod, device string, entries []ledger.Entry) error {
	if b.broken("Plan") {
		return errLedger
	}
	return b.Book.Plan(ctx, netns, pod, device, entries)
}

func (b *brokenBook) Attached(results map[string]json.RawMessage) error {
	if b.broken("Attached") {
		return errLedger
	}
	return b.Book.Attached(results)
}

func (b *brokenBook) Undone(device string) error {
	if b.broken("Undone") {
		return errLedger
	}
	return b.Book.Undone(device)
}

func (b *brokenBook) Failed(device string, now time.Time, cause error) error {
	if b.broken("Failed") {
		return errLedger
	}
	return b.Book.Failed(device, now, cause)
}

func (b *brokenBook) Park(device string, now time.Time, cause error) error {
	if b.broken("Park") {
		return errLedger
	}
	return b.Book.Park(device, now, cause)
}

func (b *brokenBook) SetAside() (string, error) {
	if b.broken("SetAside") {
		return "", errLedger
	}
	return b.Book.SetAside()
}

func (b *brokenBook) Unsaved() error {
	if b.broken("Undone") || b.broken("SetAside") {
		return errLedger
	}
	return b.Book.Unsaved()
}
