package agent

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/containernetworking/cni/pkg/types"
)

// Metrics are what the agent counts.
type Metrics struct {
	set   *metrics.Set
	agent *Agent
}

// NewMetrics returns metrics that are all zero.
func NewMetrics() *Metrics { return &Metrics{set: metrics.NewSet()} }

func (m *Metrics) init(a *Agent) {
	m.agent = a
	for _, operation := range []Operation{Add, Del} {
		for _, result := range []string{"success", "later", "error"} {
			m.operations(operation, result)
		}
	}
}

func (m *Metrics) operations(operation Operation, result string) *metrics.Counter {
	return m.set.GetOrCreateCounter(
		fmt.Sprintf(`kactus_agent_operations_total{operation=%q,result=%q}`, operation, result))
}

// operation counts a hot operation.
func (m *Metrics) operation(operation Operation, err error, took time.Duration) {
	result := "success"
	if err != nil {
		result = "error"
		var coded *types.Error
		if errors.As(err, &coded) && coded.Code == types.ErrTryAgainLater {
			result = "later"
		}
	}
	m.operations(operation, result).Inc()
	m.set.GetOrCreatePrometheusHistogram(
		fmt.Sprintf(`kactus_agent_operation_duration_seconds{operation=%q}`, operation)).Update(took.Seconds())
}

// write counts a request that changes something at the apiserver.
func (m *Metrics) write(what string, err error) {
	result := "success"
	switch {
	case isConflict(err):
		result = "conflict"
	case err != nil:
		result = "error"
	}
	m.set.GetOrCreateCounter(fmt.Sprintf(`kactus_agent_writes_total{object=%q,result=%q}`, what, result)).Inc()
}

// Write writes all metrics in the text format of Prometheus. The gauges are counted now.
func (m *Metrics) Write(w io.Writer) {
	m.set.WritePrometheus(w)
	type kind struct{ network, state string }
	attachments := map[kind]int{}
	orphans := 0
	for record, err := range m.agent.Ledger.Records() {
		if err != nil {
			continue
		}
		orphans += len(record.Orphans)
		for _, a := range record.Attachments {
			name := a.Network
			if a.Namespace != "" {
				name = a.Namespace + "/" + name
			}
			attachments[kind{name, string(a.State)}]++
		}
	}
	asked, differ := m.agent.counts()
	gauges := metrics.NewSet()
	set := func(name string, value int) {
		gauges.NewGauge(name, func() float64 { return float64(value) })
	}
	for k, count := range attachments {
		set(fmt.Sprintf(`kactus_attachments{network=%q,state=%q}`, k.network, k.state), count)
	}
	set("kactus_orphans", orphans)
	set("kactus_agent_pods", asked)
	set("kactus_agent_pods_differing", differ)
	gauges.WritePrometheus(w)
}

// counts returns how many Pods ask for networks, and how many of those, or of the others, are not
// as their annotation says.
func (a *Agent) counts() (asked, differ int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.states {
		if s.published.asked {
			asked++
		}
		if s.published.differs {
			differ++
		}
	}
	return asked, differ
}

// publish lets the metrics know of the Pod.
func (a *Agent) publish(s *podState, v view) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s.published = published{asked: v.selected > 0, differs: v.problem() != ""}
}
