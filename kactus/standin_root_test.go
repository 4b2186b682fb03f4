//go:build root

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A stand-in is a copy of the test's binary under the name of a plugin, and acts as one.
func init() {
	if os.Getenv("CNI_COMMAND") == "" || os.Getenv("CNI_PATH") != filepath.Dir(os.Args[0]) {
		return
	}
	if err := standIn(os.Getenv("CNI_COMMAND")); err != nil {
		fmt.Printf(`{"code": 100, "msg": %q}`, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// standIn records how it was called. The first plugin of a chain makes the interface, the others
// return the result that they get, and each DEL removes the interface.
func standIn(operation string) error {
	stdin, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	var conf struct{ PrevResult json.RawMessage }
	if err := json.Unmarshal(stdin, &conf); err != nil {
		return err
	}
	calls, err := os.OpenFile(filepath.Join(os.Getenv("CNI_PATH"), "calls"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer calls.Close()
	if err := json.NewEncoder(calls).Encode(call{operation, filepath.Base(os.Args[0]), stdin}); err != nil {
		return err
	}
	switch {
	case operation == "DEL":
		return inNetns(func(h *netlink.Handle) error {
			if link, err := h.LinkByName(os.Getenv("CNI_IFNAME")); err == nil {
				return h.LinkDel(link)
			}
			return nil
		})
	case operation == "ADD" && conf.PrevResult != nil:
		_, err = os.Stdout.Write(conf.PrevResult)
		return err
	case operation == "ADD":
		const result = `{"cniVersion": "0.3.1", "interfaces": [{"name": %q, "sandbox": %q}],
			"ips": [{"version": "4", "interface": 0, "address": "10.85.0.7/16"}]}`
		fmt.Printf(result, os.Getenv("CNI_IFNAME"), os.Getenv("CNI_NETNS"))
		return inNetns(func(h *netlink.Handle) error {
			return h.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: os.Getenv("CNI_IFNAME")}})
		})
	}
	return nil
}

func inNetns(do func(*netlink.Handle) error) error {
	ns, err := netns.GetFromPath(os.Getenv("CNI_NETNS"))
	if err != nil {
		return err
	}
	defer ns.Close()
	handle, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer handle.Close()
	return do(handle)
}

// call is what a stand-in records.
type call struct {
	Operation, Plugin string
	Stdin             json.RawMessage
}

// copySelf copies the test's binary into dir, under the names of plugins.
func copySelf(t *testing.T, dir string, names map[string]bool) {
	t.Helper()
	data, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	binary := filepath.Join(dir, "stand-in")
	must(t, os.WriteFile(binary, data, 0o700))
	for name := range names {
		must(t, os.Link(binary, filepath.Join(dir, name)))
	}
}

// readCalls returns what the stand-ins recorded, of that operation alone, since it was called last.
func readCalls(t *testing.T, dir, operation string) []call {
	t.Helper()
	file := filepath.Join(dir, "calls")
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	must(t, os.Remove(file))
	var all []call
	for line := range strings.SplitSeq(strings.TrimSpace(string(data)), "\n") {
		var c call
		must(t, json.Unmarshal([]byte(line), &c))
		if c.Operation != operation {
			t.Errorf("%s runs %s of %s", operation, c.Operation, c.Plugin)
		}
		all = append(all, c)
	}
	return all
}
