package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// expectWords fails the test if the text lacks one of the words.
func expectWords(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%q; want %q in it", text, word)
		}
	}
}

func newFile(t *testing.T, path, content string) {
	t.Helper()
	kactustest.Must(t, os.WriteFile(path, []byte(content), 0o600))
}

// bridgeOf returns the name of the node's bridge that an interface of the Pod, a veth, is on; empty
// if there is none now.
func bridgeOf(t *testing.T, p *kactustest.Pod, ifName string) string {
	t.Helper()
	link, ok := p.Links(t)[ifName]
	if !ok {
		return ""
	}
	port, err := netlink.LinkByIndex(link.Attrs().ParentIndex)
	if err != nil {
		return ""
	}
	bridge, err := netlink.LinkByIndex(port.Attrs().MasterIndex)
	if err != nil {
		return ""
	}
	return bridge.Attrs().Name
}
