package agent

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containernetworking/cni/pkg/types"
)

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, `[{"name": "green"}, {"name": "data"}, {"name": "broken"}]`, "green")
		n.fail = func(c Call) error {
			if strings.Contains(c.Args, "K8S_POD_NETWORK=broken") {
				return errors.New("no such uplink")
			}
			return nil
		}
		n.start()
		synctest.Wait()
		n.agent.Metrics.operation(Add, types.NewError(types.ErrTryAgainLater, "locked", ""), time.Second)
		var out bytes.Buffer
		n.agent.Metrics.Write(&out)
		for _, want := range []string{
			`kactus_attachments{network="pod-net",state="attached"} 1`,
			`kactus_attachments{network="tenant/data",state="attached"} 1`,
			`kactus_orphans 0`,
			`kactus_agent_pods 1`,
			`kactus_agent_pods_differing 1`,
			`kactus_agent_operations_total{operation="ADD",result="success"} 1`,
			`kactus_agent_operations_total{operation="ADD",result="error"} 1`,
			`kactus_agent_operations_total{operation="ADD",result="later"} 1`,
			`kactus_agent_operations_total{operation="DEL",result="success"} 0`,
			`kactus_agent_operation_duration_seconds_count{operation="ADD"} 3`,
			`kactus_agent_writes_total{object="condition",result="success"} 1`,
			`kactus_agent_writes_total{object="event",result="success"} 2`,
		} {
			if !strings.Contains("\n"+out.String(), "\n"+want+"\n") {
				t.Errorf("no line %s in:\n%s", want, out.String())
			}
		}
	})
}
