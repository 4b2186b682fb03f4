package metaplugin

import (
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
)

// usableNetns returns the path of the network namespace in which delegates are to find the
// interfaces: the requested one, or, if there is none, the recorded one. It returns the empty path
// if the namespace that the attachments were made in is gone, or is another one by now: the
// interfaces went with it, and delegates then tear down what is elsewhere, such as addresses and
// port mappings.
func (p *Plugin) usableNetns(path string, record ledger.Record) string {
	recorded := len(record.Attachments)+len(record.Orphans) > 0
	if path == "" && recorded {
		path = record.Netns.Path
	}
	if path == "" {
		return ""
	}
	ns, err := netns.Identify(path)
	switch {
	case err != nil:
		p.Log.Info("the network namespace is gone", "cause", err)
		return ""
	case recorded && !ns.Same(record.Netns):
		p.Log.Warn("the network namespace is another one by now, and is left alone", "netns", path)
		return ""
	}
	return path
}
