package agent

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
)

func TestMissing(t *testing.T) {
	const mac = "0a:00:00:00:00:01"
	green := fakeAttachment("green", "tenant", "net1", false)
	green.Result = json.RawMessage(`{"cniVersion": "1.0.0", "interfaces": [
		{"name": "veth1", "mac": "0a:00:00:00:00:02"}, {"name": "net1", "mac": "` + strings.ToUpper(mac) +
		`", "sandbox": "/run/netns/a"}]}`)
	requested := fakeAttachment("green", "tenant", "net1", false)
	requested.MAC = mac
	userspace, planned := green, green
	userspace.NoInterface = true
	planned.State = ledger.Planned
	tests := []struct {
		name       string
		attachment ledger.Attachment
		kernel     []netns.Interface
		want       string
	}{
		{"there", green, []netns.Interface{{Name: "net1", MAC: "0a:00:00:00:00:09"}}, ""},
		{"gone", green, []netns.Interface{{Name: "lo"}, {Name: "eth0", MAC: "0a:00:00:00:00:09"}}, "net1"},
		{"renamed by the Pod", green, []netns.Interface{{Name: "wan", MAC: mac, Kind: "macvlan"}}, ""},
		{"renamed, with the requested address", requested, []netns.Interface{{Name: "wan", MAC: mac}}, ""},
		{"gone, and a bridge still has its address", green, []netns.Interface{{Name: "br0", MAC: mac, Kind: "bridge"}},
			"net1"},
		{"gone, and its address is not known", fakeAttachment("green", "tenant", "net1", false),
			[]netns.Interface{{Name: "lo"}}, "net1"},
		{"never there", userspace, nil, ""},
		{"not made yet", planned, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			record := ledger.Record{Attachments: []ledger.Attachment{tt.attachment}}
			expect(t, "missing", strings.Join(missing(record, tt.kernel), ", "), tt.want)
		})
	}
}
