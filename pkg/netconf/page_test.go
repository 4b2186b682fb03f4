package netconf

import (
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/strictjson"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/pages"
)

// The page has each key of the netconf, in its table or in the sentence about those of the
// specification.
func TestKeys_AreThoseOfThePage(t *testing.T) {
	section := pages.Read(t, "docs/configuration.md").Section(t, "The netconf")
	_, specified, _ := strings.Cut(section.Text(), "that the CNI specification allows in every configuration (")
	specified, _, _ = strings.Cut(specified, ")")
	documented := append(pages.Keys(section.Table(t, "key"), "key"), pages.Spans(specified)...)

	p := &parser{}
	p.conf()
	keys := append([]string{"cni.dev/"}, standardKeys...)
	for _, key := range p.taken {
		if !strings.HasPrefix(key, "cni.dev/") {
			keys = append(keys, key)
		}
	}
	pages.Compare(t, "a key of the netconf", documented, keys)
}

// The page has the defaults.
func TestDefaults_AreThoseOfThePage(t *testing.T) {
	defaults := map[string]string{
		"cniDir": DefaultCNIDir, "lockDir": DefaultLockDir, "multusDir": DefaultMultusDir,
		"networkNamespace": DefaultNetworkNamespace, "multusNamespace": DefaultMultusNamespace,
		"confDir": DefaultConfDir, "podResourcesSocket": DefaultPodResourcesSocket,
	}
	for _, row := range pages.Read(t, "docs/configuration.md").Section(t, "The netconf").Table(t, "key") {
		key := strings.Trim(row["key"], "`")
		if want, ok := defaults[key]; ok && row["default"] != "`"+want+"`" {
			t.Errorf("%s: the default %s is documented, want %s", key, row["default"], want)
		}
	}
}

// A netconf that a page shows can be copied.
func TestParseFile_NetconfsOfThePagesAreValid(t *testing.T) {
	found := 0
	for _, page := range pages.All(t) {
		for _, block := range page.Blocks("json") {
			if strictjson.Check([]byte(block.Text)) != nil || !strings.Contains(block.Text, `"type": "kactus"`) {
				continue // a part of something
			}
			found++
			if _, err := ParseFile([]byte(block.Text)); err != nil {
				t.Errorf("%s: %v", block, err)
			}
		}
	}
	if found == 0 {
		t.Error("no page has one")
	}
}
