package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// goTool is the go command, and the facts about it that affect a binary.
type goTool struct {
	path    string
	version string // with the processor architecture
}

func findGo(ctx context.Context) (goTool, error) {
	path, err := exec.LookPath("go")
	if err != nil {
		return goTool{}, fmt.Errorf("finding the go command: %w", err)
	}
	cmd := exec.CommandContext(ctx, path, "env", "GOVERSION", "GOHOSTARCH")
	cmd.Env = goEnviron()
	out, err := cmd.Output()
	if err != nil {
		return goTool{}, fmt.Errorf("getting the version of %s: %w", path, err)
	}
	return goTool{path: path, version: strings.Join(strings.Fields(string(out)), " ")}, nil
}

// goEnviron returns the environment of this process without settings for the plugin's own build: a
// nested module is not vendored, belongs to no workspace, and is built for this machine.
func goEnviron() []string {
	return append(os.Environ(), "GOFLAGS=", "GOWORK=off", "GO111MODULE=on", "GOOS=", "GOARCH=", "CGO_ENABLED=0")
}
