package install

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
)

func (i *Installer) netconfPath() string { return filepath.Join(i.ConfDir, filepath.Base(i.Netconf)) }

// netconf checks the netconf and that the node has the master delegate's plugins: once the runtime
// finds a netconf, the node is ready and gets Pods.
func (i *Installer) netconf() (*Change, error) {
	content, err := os.ReadFile(i.Netconf)
	if err != nil {
		return nil, fmt.Errorf("read the netconf to install: %w", err)
	}
	conf, err := netconf.Parse(content)
	if err != nil {
		return nil, fmt.Errorf("install the netconf %s: %w", i.Netconf, err)
	}
	for _, plugin := range conf.Master.Plugins {
		if err := checkExecutable(filepath.Join(i.BinDir, plugin.Type)); err != nil {
			return nil, fmt.Errorf("install the netconf %s: plugin %s of the master delegate: %w",
				i.Netconf, plugin.Type, err)
		}
	}
	return put(i.netconfPath(), content, 0o600)
}

func checkExecutable(path string) error {
	info, err := os.Stat(path)
	if err == nil && (info.IsDir() || info.Mode()&0o111 == 0) {
		err = errors.New("not an executable file")
	}
	return err
}
