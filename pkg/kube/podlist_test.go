package kube

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestDecodePods(t *testing.T) {
	list, err := decodePods(strings.NewReader(`{"kind": "PodList", "metadata": {"resourceVersion": "7"}, "items": [
		{"metadata": {"name": "a", "annotations": {"networks": "[]", "other": "x"}}}, {"metadata": {"name": "b"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if list.ResourceVersion != "7" || len(list.Items) != 2 || list.Items[0].Name != "a" || list.Items[1].Name != "b" ||
		len(list.Items[0].Annotations) != 1 {
		t.Errorf("got %+v", list)
	}
	if list, err := decodePods(strings.NewReader(`{"items": null}`)); err != nil || len(list.Items) != 0 {
		t.Errorf("without items: %+v, %v", list, err)
	}
	for _, broken := range []string{
		``, `<html>`, `[]`, `{"items": {}}`, `{"items": [{"metadata": 7}]}`, `{"items": [`,
	} {
		if _, err := decodePods(strings.NewReader(broken)); err == nil {
			t.Errorf("no error for %s", broken)
		}
	}
}

// endless is a reader of one letter.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestDecodePods_Endless(t *testing.T) {
	for _, begin := range []string{`{"metadata": {"resourceVersion": "`, `{"items": [{"spec": "`, `{"`, `{"kind": "`} {
		_, err := decodePods(io.MultiReader(strings.NewReader(begin), endless{}))
		if !errors.Is(err, errListedTooLarge) {
			t.Errorf("%s: %v; want %v", begin, err, errListedTooLarge)
		}
	}
	t.Run("but not many Pods", func(t *testing.T) {
		pod := `{"metadata": {"annotations": {"other": "` + strings.Repeat("x", 1<<20) + `"}}}`
		list, err := decodePods(strings.NewReader(`{"items": [` + strings.Repeat(pod+",", 9) + pod + `]}`))
		if err != nil || len(list.Items) != 10 {
			t.Errorf("%v", err)
		}
	})
}
