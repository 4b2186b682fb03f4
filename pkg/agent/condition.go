package agent

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
)

// ConditionType is the condition of a Pod that says whether what is attached is what the Pod's
// annotation says. A Pod can wait for it with an entry in readinessGates.
const ConditionType = "kaloom.com/NetworksAttached"

// The reasons of the condition, apart from those of events.
const (
	reasonAttached          = "Attached"
	reasonAttaching         = "Attaching"
	reasonInvalidAnnotation = "InvalidAnnotation"
	reasonInvalidNetconf    = "InvalidNetconf"
	reasonHostNetwork       = "HostNetwork"
	reasonUnknownPod        = "UnknownPod"
	reasonInterfaceLost     = "InterfaceLost"
)

// maxMessage bounds the message of a condition, in bytes.
const maxMessage = 2 << 10

// condition returns the condition that the Pod should have, and whether it needs one: a Pod that
// asks for nothing gets none, unless it waits for it.
func (s *podState) condition(v view) (c kube.Condition, needed bool) {
	asks := asked(v.pod) != ""
	waits := slices.Contains(v.pod.Spec.ReadinessGates, kube.ReadinessGate{ConditionType: ConditionType})
	c = kube.Condition{Type: ConditionType, Status: "False", Message: v.problem()}
	switch {
	case v.situation == invalid && v.netconfBroken:
		c.Reason = reasonInvalidNetconf
	case v.situation == invalid:
		c.Reason = reasonInvalidAnnotation
	case len(v.steps) > 0:
		c.Reason, c.Message = s.unfinished(v)
	case c.Message == "":
		c.Status, c.Reason, c.Message = "True", reasonAttached, attachedMessage(v)
	case v.situation == hostNetwork:
		c.Reason = reasonHostNetwork
	case v.situation == unknown:
		c.Reason = reasonUnknownPod
	default:
		c.Reason = reasonInterfaceLost
	}
	c.Message = truncate(c.Message, maxMessage)
	return c, asks || waits
}

func attachedMessage(v view) string {
	message := fmt.Sprintf("%d networks are attached", v.selected)
	switch v.selected {
	case 0:
		message = "no networks are requested"
	case 1:
		message = "1 network is attached"
	}
	for _, note := range v.notes {
		message += "; " + note.Error()
	}
	return message
}

// unfinished returns the reason and the message of steps that are still to be done.
func (s *podState) unfinished(v view) (reason, message string) {
	reason = reasonAttaching
	var messages []string
	for _, step := range v.steps {
		failed := s.attempts[step.id()]
		if failed == nil || failed.failures == 0 {
			continue
		}
		if reason == reasonAttaching {
			reason = failureReason(step)
		}
		messages = append(messages, fmt.Sprintf("network %s (%s): %v", step.Selection.Name, step.IfName, failed.err))
	}
	if len(messages) == 0 {
		return reason, v.problem()
	}
	return reason, strings.Join(messages, "; ")
}

// truncate returns text, or its beginning, of at most limit bytes.
func truncate(text string, limit int) string {
	const more = " ..."
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	cut := limit - len(more)
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + more
}
