package main

import (
	"context"
	"debug/buildinfo"
	"os/exec"
	"runtime/debug"
	"strings"
)

// A named is a subject of a report.
type named struct {
	Name string `json:"name"`
	// Version is empty if the subject has none or does not tell.
	Version string `json:"version,omitempty"`
}

func nameAll(ctx context.Context, subjects []subject) []named {
	var all []named
	for _, s := range subjects {
		n := named{Name: s.name()}
		if m, ok := s.(*metaPlugin); ok && m.title == nameKactus {
			n.Version = kactusVersion(ctx, m.binary)
		} else if ok {
			n.Version = versionOf(m.binary)
		}
		all = append(all, n)
	}
	return all
}

// kactusVersion asks kactus, whose linker knows more than the Go command.
func kactusVersion(ctx context.Context, binary string) string {
	out, err := exec.CommandContext(ctx, binary, "version").Output()
	words := strings.Fields(string(out))
	if err != nil || len(words) < 2 {
		return ""
	}
	return words[1]
}

// versionOf returns the version that the Go command has put into a program: that of the module with
// its main package, or the commit that it was built from.
func versionOf(binary string) string {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return ""
	}
	main := info.Main
	for _, dep := range info.Deps {
		if strings.HasPrefix(info.Path, dep.Path+"/") {
			main = *dep
		}
	}
	if main.Version != "" && main.Version != "(devel)" {
		return main.Version
	}
	return commit(info)
}

func commit(info *debug.BuildInfo) string {
	const short = 12
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" && len(setting.Value) > short {
			return setting.Value[:short]
		}
	}
	return ""
}
