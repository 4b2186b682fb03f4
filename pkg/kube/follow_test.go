package kube

import (
	"fmt"
	"testing"
	"testing/synctest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

func TestFollow_TellsWhetherTheWatchShowsThePresent(t *testing.T) {
	bookmark := &WatchedPod{}
	bookmark.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
	none, goesOn, ended := "[]", "[<nil>]", "[<nil> the watch has ended]"
	start := func(initial bool) (source *watch.FakeWatcher, w watch.Interface, told func() string) {
		var all []error
		source = watch.NewFake()
		w = follow(source, initial, func(err error) { all = append(all, err) })
		return source, w, func() string {
			synctest.Wait()
			return fmt.Sprint(all)
		}
	}
	expect := func(t *testing.T, when, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: told %s; want %s", when, got, want)
		}
	}
	t.Run("if the apiserver ends it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			source, w, told := start(false)
			expect(t, "at the start", told(), goesOn)
			go source.Modify(&WatchedPod{})
			if event := <-w.ResultChan(); event.Type != watch.Modified {
				t.Errorf("got %v", event)
			}
			source.Stop()
			if _, open := <-w.ResultChan(); open {
				t.Error("an event after the end")
			}
			expect(t, "at the end", told(), ended)
			w.Stop()
			expect(t, "after the end", told(), ended)
		})
	})
	t.Run("if the informer ends it, at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			source, w, told := start(false)
			go source.Error(&metav1.Status{}) // which nobody takes
			expect(t, "before the end", told(), goesOn)
			w.Stop()
			expect(t, "at the end", told(), ended)
		})
	})
	t.Run("if it begins with what there is", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			source, w, told := start(true)
			expect(t, "at the start", told(), none)
			go func() {
				source.Add(&WatchedPod{})
				source.Action(watch.Bookmark, bookmark)
			}()
			<-w.ResultChan()
			<-w.ResultChan()
			expect(t, "once all is there", told(), goesOn)
			w.Stop()
			expect(t, "at the end", told(), ended)
		})
	})
}
