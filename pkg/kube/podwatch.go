package kube

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// staticPodHash is an annotation of a Pod that the kubelet made for a static one. Its value is what
// the runtime takes for the Pod's UID.
const staticPodHash = "kubernetes.io/config.hash"

// The pauses between two tries to watch, without the random part, which may double them. client-go
// alone would wait for up to a minute once the apiserver has been away for that long.
const firstWatchPause, longestWatchPause = 800 * time.Millisecond, 8 * time.Second

// A PodWatch follows the Pods of one node. It is safe for concurrent use.
type PodWatch struct {
	store     *podStore
	reflector *cache.Reflector
}

// WatchPods returns a watch of the Pods of a node, which begins with Run. It calls changed with the
// namespace and the name of each Pod that is new, was changed, or is gone. It calls followed with
// why the watch has ended, or what keeps it from going on, which is tried again, with growing
// pauses, and with nil once it goes on.
func (c *Client) WatchPods(
	node string, changed func(namespace, name string), followed func(error),
) (*PodWatch, error) {
	codecs, parameters := podCodecs()
	config := &rest.Config{
		Host:    c.base.String(),
		APIPath: "/api",
		QPS:     -1, // a list and a watch
		ContentConfig: rest.ContentConfig{
			GroupVersion:         &schema.GroupVersion{Version: "v1"},
			NegotiatedSerializer: codecs.WithoutConversion(),
			ContentType:          runtime.ContentTypeJSON,
		},
	}
	client, err := rest.RESTClientForConfigAndClient(config, c.http)
	if err != nil {
		return nil, &Error{Doing: "watch Pods", Cause: err}
	}
	ofNode := fields.OneTermEqualSelector("spec.nodeName", node).String()
	request := func(options metav1.ListOptions) *rest.Request {
		options.FieldSelector = ofNode
		return client.Get().Resource("pods").VersionedParams(&options, parameters)
	}
	source := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			list, err := listPods(ctx, request(options))
			followed(c.watchError("list", node, err))
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.Watch = true
			r := request(options)
			if options.TimeoutSeconds != nil {
				r = r.Timeout(time.Duration(*options.TimeoutSeconds) * time.Second)
			}
			events, err := r.MaxRetries(0).Watch(ctx) // the reflector tries again
			if err == nil && isEmptyWatch(events) {
				err = errors.New("connection closed or silent before a response")
			}
			if err != nil {
				followed(c.watchError("watch", node, err))
				return nil, err
			}
			initial := options.SendInitialEvents != nil && *options.SendInitialEvents
			return follow(events, initial, func(err error) { followed(c.watchError("watch", node, err)) }), nil
		},
	}
	w := &PodWatch{store: newPodStore(changed)}
	w.reflector = cache.NewReflectorWithOptions(source, &WatchedPod{}, w.store, cache.ReflectorOptions{
		Backoff: &wait.Backoff{
			Duration: firstWatchPause, Cap: longestWatchPause, Steps: math.MaxInt32, Factor: 2, Jitter: 1,
		},
	})
	return w, nil
}

// isEmptyWatch reports whether the REST client returned a watch without events for a connection
// that ended before the response.
func isEmptyWatch(w watch.Interface) bool {
	return reflect.TypeOf(w) == reflect.TypeOf(watch.NewEmptyWatch())
}

func (c *Client) watchError(doing, node string, cause error) error {
	if cause == nil {
		return nil
	}
	return &Error{
		Doing: fmt.Sprintf("%s the Pods of the node %s", doing, node),
		Cause: c.secrets.redactError(cause),
		Proxy: c.proxy,
	}
}

// Run watches until ctx ends.
func (w *PodWatch) Run(ctx context.Context) { w.reflector.RunWithContext(ctx) }

// Synced reports whether the Pods that there were at the beginning are known.
func (w *PodWatch) Synced() bool { return w.store.synced.Load() }

// Pod returns a Pod as it was last seen, which must not be changed; nil if there is none.
func (w *PodWatch) Pod(namespace, name string) *WatchedPod {
	return w.store.pod(namespace + "/" + name)
}

// Pods returns all Pods as they were last seen, which must not be changed.
func (w *PodWatch) Pods() []*WatchedPod {
	var pods []*WatchedPod
	for _, object := range w.store.List() {
		if pod, ok := object.(*WatchedPod); ok {
			pods = append(pods, pod)
		}
	}
	return pods
}

// RuntimeUID returns the UID by which the container runtime knows the Pod.
func (p *WatchedPod) RuntimeUID() string {
	if hash := p.Annotations[staticPodHash]; hash != "" {
		return hash
	}
	return string(p.UID)
}
