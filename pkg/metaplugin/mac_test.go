package metaplugin

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"testing"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
)

func TestPutBackMAC(t *testing.T) {
	const previous, asked, other = network.MAC("02:04:06:08:10:12"), network.MAC("02:aa:aa:aa:aa:01"),
		network.MAC("02:bb:bb:bb:bb:01")
	broken := errors.New("broken")
	tests := []struct {
		name     string
		recorded network.MAC
		netns    fakeNetns
		openErr  error
		wantErr  bool
		// set is the MAC address that the interface gets; onNode reports whether it is looked for
		// on the node.
		set    network.MAC
		onNode bool
	}{
		{"kactus did not change it", "", fakeNetns{macErr: broken}, broken, false, "", false},
		{"as kactus set it", previous, fakeNetns{mac: asked}, nil, false, previous, false},
		{"kactus was killed before it set it", previous, fakeNetns{mac: previous}, nil, false, "", false},
		{"changed by somebody else since", previous, fakeNetns{mac: other}, nil, false, "", false},
		{"the interface is gone", previous, fakeNetns{macErr: fmt.Errorf("x: %w", netns.ErrNoInterface)}, nil,
			false, "", true},
		{"the network namespace is gone", previous, fakeNetns{}, fs.ErrNotExist, false, "", true},
		{"the network namespace cannot be opened", previous, fakeNetns{}, broken, true, "", false},
		{"cannot be read", previous, fakeNetns{macErr: broken}, nil, true, "", false},
		{"cannot be set", previous, fakeNetns{mac: asked, setErr: broken}, nil, true, previous, false},
		{"set, but the routes are not restored", previous,
			fakeNetns{mac: asked, setErr: broken, setDespite: true}, nil, false, previous, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var node fakeNetns
			p := tt.netns.plugin()
			p.OpenNetns = func(path string) (Netns, error) {
				if path == ownNetns {
					return &node, nil
				}
				return &tt.netns, tt.openErr
			}
			a := ledger.Attachment{Attachment: plan.Attachment{IfName: "net1", Requests: network.Requests{MAC: asked}},
				PreviousMAC: tt.recorded}
			err := p.putBackMAC("/n", a)
			if errors.Is(err, broken) != tt.wantErr || err != nil && code(err) != types.ErrIOFailure {
				t.Errorf("got %v", err)
			}
			if got := tt.netns.set["net1"]; got != tt.set {
				t.Errorf("set %q, want %q", got, tt.set)
			}
			if onNode := slices.Equal(node.permanent, []network.MAC{asked, previous}); onNode != tt.onNode {
				t.Errorf("on the node: %v", node.permanent)
			}
		})
	}
}
