package network

import (
	"slices"
	"strings"
	"testing"

	nettypes "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/pages"
)

// The pages for users name the keys of an annotation's element that there are.
func TestKeys_AreThoseOfThePages(t *testing.T) {
	attaching := pages.Read(t, "docs/networks.md").Section(t, "Attaching a Pod")
	rows := attaching.Table(t, "key")
	pages.Compare(t, "a key of the annotation "+Annotation, pages.Keys(rows, "key"), pages.JSONKeys(rawOwn{}))
	for _, row := range rows {
		switch row["key"] {
		case "`portMappings`":
			containsAll(t, row["meaning"], pages.JSONKeys(nettypes.PortMapEntry{}))
		case "`bandwidth`":
			containsAll(t, row["meaning"], pages.JSONKeys(rawBandwidth{}))
		}
	}

	hot := pages.Read(t, "docs/node-agents.md").Section(t, "Hot ADD and hot DEL").Table(t, "key")
	pages.Compare(t, "a key of the selection of a hot operation",
		pages.Keys(hot, "key"), append(pages.JSONKeys(rawOwn{}), "kind"))

	_, list, _ := strings.Cut(pages.Read(t, "docs/npwg.md").Text(), "objects with the keys ")
	list, _, _ = strings.Cut(list, ".")
	pages.Compare(t, "a key of the annotation "+NPWGAnnotation, pages.Spans(list), npwgKeys)
}

func containsAll(t *testing.T, meaning string, keys []string) {
	t.Helper()
	for _, key := range keys {
		if !slices.Contains(pages.Spans(meaning), key) {
			t.Errorf("%s is not documented in: %s", key, meaning)
		}
	}
}

// What the pages show as the value of the annotation can be copied.
func TestAnnotation_ExamplesOfThePagesAreValid(t *testing.T) {
	found := 0
	for _, page := range pages.All(t) {
		for _, block := range page.Blocks("yaml") {
			_, value, is := strings.Cut(block.Text, "networks: '")
			if !is {
				continue
			}
			found++
			value, _, _ = strings.Cut(value, "'")
			_, own := ParseSelections(value)
			_, warnings, npwg := ParseNPWG(value)
			if strings.Contains(block.Text, NPWGAnnotation) && (npwg != nil || len(warnings) > 0) {
				t.Errorf("%s: %v %v", block, npwg, warnings)
			}
			if !strings.Contains(block.Text, NPWGAnnotation) && own != nil {
				t.Errorf("%s: %v", block, own)
			}
		}
	}
	if found == 0 {
		t.Error("no page has an example")
	}
}
