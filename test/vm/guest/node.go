package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Paths on a node. The nodes share those below /opt and /etc.
const (
	pluginDir = "/opt/cni/bin"
	netconf   = "/etc/cni/net.d/05-kactus.conf"
	netnsDir  = "/run/netns"
	leaseDir  = "/var/lib/cni/networks"
	ledgerDir = "/var/lib/cni/kactus"
)

// The interfaces of a node without Pods. The VLANs of the networks are on the trunk.
const (
	trunk  = "eth0"
	uplink = "uplink" // to the apiserver
)

// A node has a network, a /run and a /var/lib/cni of its own.
type node struct {
	*thread
}

// newNode makes a node whose uplink is the interface ifName.
func newNode(ifName string) (*node, error) {
	t, err := newThread(unix.CLONE_NEWNS)
	if err != nil {
		return nil, err
	}
	n := &node{t}
	err = n.do(func() error {
		return errors.Join(mount("tmpfs", "/run"), mount("tmpfs", "/var/lib/cni"), os.Mkdir(netnsDir, 0o755))
	})
	if err != nil {
		return nil, err
	}
	return n, n.takeUplink(ifName)
}

func (n *node) takeUplink(ifName string) error {
	link, err := netlink.LinkByName(ifName)
	if err != nil {
		return fmt.Errorf("finding the interface %s: %w", ifName, err)
	}
	if err := netlink.LinkSetNsPid(link, n.id); err != nil {
		return fmt.Errorf("moving %s to a node: %w", ifName, err)
	}
	if link, err = n.links.LinkByName(ifName); err != nil {
		return fmt.Errorf("finding %s on the node: %w", ifName, err)
	}
	if err := n.links.LinkSetName(link, uplink); err != nil {
		return fmt.Errorf("renaming %s to %s: %w", ifName, uplink, err)
	}
	return n.up(uplink, "10.0.2.15/24") // any address in the subnet of QEMU's gateway
}

// join connects the trunks of two nodes by a cable.
func join(a, b *node) error {
	cable := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: trunk}, PeerName: trunk,
		PeerNamespace: netlink.NsPid(b.id)}
	if err := a.links.LinkAdd(cable); err != nil {
		return fmt.Errorf("making a cable between the nodes: %w", err)
	}
	return errors.Join(a.up(trunk), b.up(trunk))
}

// newPod makes what a container runtime makes before it runs kactus: a network namespace, and a
// file on the node that refers to it.
func (n *node) newPod(namespace, name string) (*pod, error) {
	t, err := newThread(0)
	if err != nil {
		return nil, err
	}
	id := namespace + "-" + name
	p := &pod{thread: t, node: n, namespace: namespace, name: name, containerID: "sandbox-" + id,
		netns: filepath.Join(netnsDir, id)}
	err = n.do(func() error {
		if err := os.WriteFile(p.netns, nil, 0o600); err != nil {
			return err
		}
		return unix.Mount(fmt.Sprintf("/proc/self/task/%d/ns/net", p.id), p.netns, "", unix.MS_BIND, "")
	})
	if err != nil {
		return nil, fmt.Errorf("making the network namespace of %s: %w", name, err)
	}
	return p, p.allowEcho()
}

// kactus runs an operation as a runtime or an agent on the node does, and returns its output.
func (n *node) kactus(operation string, p *pod, ifName, args string) ([]byte, error) {
	stdin, err := os.ReadFile(netconf)
	if err != nil {
		return nil, err
	}
	if operation == "CHECK" {
		stdin = bytes.Replace(stdin, []byte("{"), fmt.Appendf(nil, `{"prevResult": %s, `, p.result), 1)
	}
	return n.plugin("kactus", operation, p, ifName, args, stdin)
}

// plugin runs an operation of a plugin, and returns its output. It takes at most a minute, so that
// the failure names an operation that hangs.
func (n *node) plugin(name, operation string, p *pod, ifName, args string, stdin []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(pluginDir, name))
	cmd.Env = []string{
		"CNI_COMMAND=" + operation, "CNI_CONTAINERID=" + p.containerID, "CNI_NETNS=" + p.netns, "CNI_IFNAME=" + ifName,
		"CNI_ARGS=" + args, "CNI_PATH=" + pluginDir,
	}
	var output bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &output, &output
	if err := n.do(cmd.Run); err != nil {
		return nil, fmt.Errorf("running %s of %s for %s, interface %s: %w: %s", operation, name, p.name, ifName, err,
			output.Bytes())
	}
	return output.Bytes(), nil
}

// vlanHost gives the node itself an interface on a VLAN, like a host that kactus does not manage.
func (n *node) vlanHost(id int, address string) error {
	parent, err := n.links.LinkByName(trunk)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s.%d", trunk, id)
	link := &netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: name, ParentIndex: parent.Attrs().Index}, VlanId: id}
	if err := n.links.LinkAdd(link); err != nil {
		return fmt.Errorf("making %s: %w", name, err)
	}
	return n.up(name, address)
}

// records returns the names of the files in the ledger.
func (n *node) records() (names []string, err error) {
	err = n.do(func() error {
		files, err := os.ReadDir(ledgerDir)
		for _, file := range files {
			names = append(names, file.Name())
		}
		return err
	})
	return names, err
}

// leases returns host-local's leases, as NETWORK/ADDRESS. Its other files are not leases.
func (n *node) leases() (leases []string, err error) {
	err = n.do(func() error {
		files, err := filepath.Glob(leaseDir + "/*/*")
		for _, file := range files {
			if net.ParseIP(filepath.Base(file)) != nil {
				leases = append(leases, strings.TrimPrefix(file, leaseDir+"/"))
			}
		}
		return err
	})
	return leases, err
}
