package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/multus"
)

// toDecide is the exit code if something of Multus's configuration is left for a person to decide.
const toDecide = 3

// convertMultus prints kactus's netconf for a configuration of Multus, and on stderr what became of
// each key.
func (c cli) convertMultus(path, confDir string) int {
	name, data, err := c.readNetconf(path)
	if err != nil {
		return c.failed("validate", err)
	}
	if confDir != "" {
		if confDir, err = filepath.Abs(confDir); err != nil {
			return c.failed("validate", err)
		}
	}
	config, notes, err := multus.Convert(data, multus.Files{FS: os.DirFS("/"), Dir: confDir})
	if err != nil {
		return c.failed("validate", fmt.Errorf("convert %s: %w", name, err))
	}
	fmt.Fprintf(c.stdout, "%s", config)
	code := 0
	for _, note := range notes {
		fmt.Fprintf(c.stderr, "%s: %s\n", name, note)
		if note.Outcome == multus.Undecided {
			code = toDecide
		}
	}
	return code
}
