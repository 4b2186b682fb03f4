package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/agent"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// inFlight is how many Pods the benchmark prepares at once.
const inFlight = 16

// createPods creates Pods of a node, each with one network, and with hotName as its hot network.
func (l *lab) createPods(ctx context.Context, node string, first, count int) ([]podObject, error) {
	objects := make([]podObject, count)
	var group errgroup.Group
	group.SetLimit(inFlight)
	for i := range objects {
		group.Go(func() error {
			name, networks := fmt.Sprintf("%s-%d", node, first+i), networkNames(1)
			container := map[string]any{"name": "c", "image": "none"}
			made, err := l.cp.Create(ctx, podsPath, cluster.Object{
				APIVersion: "v1", Kind: "Pod",
				Metadata: cluster.ObjectMetadata{Name: name, Annotations: kactusAnnotations(networks)},
				Spec:     map[string]any{"nodeName": node, "containers": []any{container}},
			})
			objects[i] = podObject{
				namespace: namespace, name: name, uid: made.Metadata.UID, networks: networks, hot: hotName,
			}
			return err
		})
	}
	return objects, group.Wait()
}

// startPods creates Pods of a node, and adds them by s.
func (l *lab) startPods(ctx context.Context, s subject, node string, first, count int) ([]*pod, error) {
	objects, err := l.createPods(ctx, node, first, count)
	if err != nil {
		return nil, err
	}
	var pods []*pod
	for _, o := range objects {
		p, err := l.newPod(o)
		if err != nil {
			return pods, err
		}
		pods = append(pods, p)
	}
	_, _, errs := runAll(s, add, pods, agentWorkers)
	return pods, errors.Join(errs...)
}

// endPods deletes the sandboxes of Pods, by s.
func endPods(s subject, pods []*pod) error {
	_, _, errs := runAll(s, del, pods, agentWorkers)
	var group errgroup.Group
	group.SetLimit(inFlight)
	for _, p := range pods {
		group.Go(p.remove)
	}
	return errors.Join(append(errs, group.Wait())...)
}

// annotate sets the Pod's networks, and returns when that was answered.
func (l *lab) annotate(ctx context.Context, o podObject, networks []string) (time.Time, error) {
	const mediaType = "application/merge-patch+json"
	patch := mustJSON(map[string]any{"metadata": map[string]any{"annotations": kactusAnnotations(networks)}})
	status, answer, err := l.cp.Do(ctx, http.MethodPatch, podsPath+"/"+o.name, mediaType, patch)
	answered := time.Now()
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("annotating the Pod %s: status %d: %s", o.name, status, answer)
	}
	return answered, err
}

// selected returns the networks of the Pod after a hot operation.
func (o podObject) selected(op operation) []string {
	if op == hotAdd {
		return append([]string{o.hot}, o.networks...)
	}
	return o.networks
}

// awaitCondition waits until the agent has told that the Pod has so many networks.
func (l *lab) awaitCondition(ctx context.Context, o podObject, networks int) error {
	const limit, pause = time.Minute, 5 * time.Millisecond
	want := map[int]string{1: "1 network is attached"}[networks]
	if want == "" {
		want = fmt.Sprintf("%d networks are attached", networks)
	}
	message, err := "", error(nil)
	for begin := time.Now(); time.Since(begin) < limit && ctx.Err() == nil; time.Sleep(pause) {
		if message, err = l.condition(ctx, o); err != nil || message == want {
			return err
		}
	}
	return fmt.Errorf("waiting for the condition of the Pod %s to say %q instead of %q: %w", o.name, want, message,
		errors.Join(errNoEnd, ctx.Err()))
}

var errNoEnd = errors.New("that takes too long")

func (l *lab) condition(ctx context.Context, o podObject) (message string, err error) {
	status, answer, err := l.cp.Do(ctx, http.MethodGet, podsPath+"/"+o.name, "", nil)
	if err != nil || status != http.StatusOK {
		return "", fmt.Errorf("reading the Pod %s: status %d, %w: %s", o.name, status, err, answer)
	}
	var object struct {
		Status struct {
			Conditions []struct{ Type, Message string }
		}
	}
	if err := json.Unmarshal(answer, &object); err != nil {
		return "", err
	}
	for _, c := range object.Status.Conditions {
		if c.Type == agent.ConditionType {
			message = c.Message
		}
	}
	return message, nil
}
