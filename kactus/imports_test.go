package main

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// expensive are packages that take longer to initialize than all that a kactus process does, and
// those that import them.
var expensive = regexp.MustCompile(`^k8s\.io/(api|apiextensions-apiserver|kubernetes)(/|$)|` +
	`^k8s\.io/client-go/(kubernetes|informers|listers|applyconfigurations|dynamic|discovery|scale)(/|$)|` +
	`^k8s\.io/client-go/metadata/metadatainformer$|` +
	`^k8s\.io/client-go/tools/(record|events|leaderelection)(/|$)|` +
	`^google\.golang\.org/(grpc|protobuf/(proto|reflect|runtime))(/|$)|^connectrpc\.com/`)

// A new process starts for each operation, so what the binary imports is paid for each time.
func TestImports_NoneThatIsExpensive(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", ".")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, stderr.String())
	}
	packages := strings.Fields(string(out))
	if len(packages) < 100 {
		t.Errorf("got %d packages, and expected hundreds", len(packages))
	}
	for _, name := range packages {
		if expensive.MatchString(name) {
			t.Errorf("kactus imports %s", name)
		}
	}
}
