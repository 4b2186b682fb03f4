package kube

import (
	"errors"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

var errWatchEnded = errors.New("the watch has ended")

// A followedWatch tells when its events show the present, and when they no longer do.
type followedWatch struct {
	watch.Interface
	events  chan watch.Event
	stopped chan struct{}
	end     func()
}

// follow returns a watch of the same events. It calls followed with nil, at once or, if the watch
// begins with what there is already, at the end of that; and with an error when the watch ends. An
// informer that gets an error by a watch makes a pause before it asks for the next one.
func follow(w watch.Interface, initial bool, followed func(error)) watch.Interface {
	f := &followedWatch{Interface: w, events: make(chan watch.Event), stopped: make(chan struct{})}
	f.end = sync.OnceFunc(func() {
		followed(errWatchEnded)
		close(f.stopped)
	})
	if !initial {
		followed(nil)
	}
	go f.pass(followed)
	return f
}

func (f *followedWatch) pass(followed func(error)) {
	defer close(f.events)
	defer f.end()
	for event := range f.Interface.ResultChan() {
		if endsInitial(event) {
			followed(nil)
		}
		select {
		case f.events <- event:
		case <-f.stopped:
			return
		}
	}
}

// endsInitial reports whether the event comes after those of the objects that there were already.
func endsInitial(event watch.Event) bool {
	if event.Type != watch.Bookmark {
		return false
	}
	object, err := meta.Accessor(event.Object)
	return err == nil && object.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true"
}

// Stop implements watch.Interface.
func (f *followedWatch) Stop() {
	f.end()
	f.Interface.Stop()
}

// ResultChan implements watch.Interface.
func (f *followedWatch) ResultChan() <-chan watch.Event { return f.events }
