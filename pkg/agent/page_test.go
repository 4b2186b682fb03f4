package agent

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/pages"
)

// The page has each metric, with its labels.
func TestMetrics_AreThoseOfThePage(t *testing.T) {
	metric := regexp.MustCompile(`^(kactus_[a-z_]+)(?:\{(.*)\})?$`)
	label := regexp.MustCompile(`(\w+)=%q`)
	var own []string
	names := map[string]bool{}
	for _, literal := range pages.Literals(t, "pkg/agent") {
		match := metric.FindStringSubmatch(literal)
		if match == nil {
			continue
		}
		names[match[1]] = true
		var labels []string
		for _, l := range label.FindAllStringSubmatch(match[2], -1) {
			labels = append(labels, l[1])
		}
		name := match[1]
		if len(labels) > 0 {
			name += "{" + strings.Join(labels, ", ") + "}"
		}
		own = append(own, name)
	}
	rows := pages.Read(t, "docs/operations.md").Table(t, "metric")
	pages.Compare(t, "a metric", pages.Keys(rows, "metric"), own)

	for _, page := range pages.All(t) {
		for _, code := range page.Code() {
			for _, name := range regexp.MustCompile(`\bkactus_[a-z_]+`).FindAllString(code.Text, -1) {
				name = regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(name, "")
				if !names[name] {
					t.Errorf("%s: no such metric as %s", code, name)
				}
			}
		}
	}
}

// The page has the reasons of events and of the condition.
func TestReasons_AreThoseOfThePage(t *testing.T) {
	var own []string
	for name, value := range pages.Constants(t, "pkg/agent") {
		if strings.HasPrefix(name, "reason") {
			own = append(own, value)
		}
	}
	var documented []string
	for _, row := range pages.Read(t, "docs/hot-plug.md").Table(t, "where") {
		for _, span := range pages.Spans(row["what"]) {
			if span != "True" && span != "False" {
				documented = append(documented, span)
			}
		}
	}
	pages.Compare(t, "a reason", documented, own)
}

// The page has each key of an entry of the network-status.
func TestNetworkStatus_KeysAreThoseOfThePage(t *testing.T) {
	rows := pages.Read(t, "docs/hot-plug.md").Section(t, "The network-status").Table(t, "key")
	pages.Compare(t, "a key of the network-status", pages.Keys(rows, "key"), pages.JSONKeys(statusEntry{}))
}

// What the pages name as an annotation, a condition or a capability is one that the code knows.
func TestQualifiedNames_OfThePagesExist(t *testing.T) {
	known := map[string]bool{}
	for _, dir := range []string{
		"kactus", "pkg/agent", "pkg/network", "pkg/netconf", "pkg/podresources", "pkg/kube", "pkg/plan",
		"vendor/github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1",
	} {
		for _, value := range pages.Constants(t, dir) {
			known[value] = true
		}
		for _, value := range pages.Literals(t, dir) {
			known[value] = true
		}
	}
	qualified := regexp.MustCompile(`^((k8s\.v1|k8s)\.cni\.cncf\.io|v1\.multus-cni\.io|kaloom\.com)/[a-zA-Z-]+$`)
	documented := map[string]bool{}
	for _, page := range pages.All(t) {
		for _, code := range page.Code() {
			if qualified.MatchString(code.Text) {
				documented[code.Text] = true
				if !known[code.Text] {
					t.Errorf("%s: no such name in the code", code)
				}
			}
		}
	}
	for name := range maps.Keys(known) {
		if qualified.MatchString(name) && !documented[name] && !slices.Contains(notForUsers, name) {
			t.Errorf("%q is not documented", name)
		}
	}
}

// notForUsers are names that only programs see.
var notForUsers = []string{controller}
