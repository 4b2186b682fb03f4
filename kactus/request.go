package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/utils"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/meta"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

// request reads the environment (CNI specification, section 2, "Parameters").
func (p program) request(command string) (meta.Request, error) {
	req := meta.Request{ContainerID: p.getenv("CNI_CONTAINERID"), Netns: p.getenv("CNI_NETNS"), Device: p.getenv("CNI_IFNAME")}
	fail := func(name string, cause error) (meta.Request, error) { return meta.Request{}, badEnv(name, cause) }
	if err := podargs.ValidateContainerID(req.ContainerID); err != nil {
		return fail("CNI_CONTAINERID", err)
	}
	if err := utils.ValidateInterfaceName(req.Device); err != nil {
		return fail("CNI_IFNAME", err)
	}
	if command != "DEL" && req.Netns == "" {
		return fail("CNI_NETNS", errors.New("it is empty"))
	}
	if req.Netns != "" && !filepath.IsAbs(req.Netns) {
		return fail("CNI_NETNS", fmt.Errorf("%.128q is not an absolute path", req.Netns))
	}
	if err := p.needPath(); err != nil {
		return meta.Request{}, err
	}
	var err error
	if req.Args, err = podargs.Parse(p.getenv("CNI_ARGS")); err != nil {
		return fail("CNI_ARGS", err)
	}
	return req, nil
}

func (p program) needPath() error {
	if p.getenv("CNI_PATH") == "" {
		return badEnv("CNI_PATH", errors.New("it is empty"))
	}
	return nil
}

func badEnv(name string, cause error) error {
	return types.NewError(types.ErrInvalidEnvironmentVariables, fmt.Sprintf("%s: %v", name, cause), "")
}

// netconf reads stdin; the warning is what a DEL does without.
func (p program) netconf(ctx context.Context, command string) (netconf.Conf, *netconf.Error, error) {
	stdin, err := p.readStdin(ctx)
	if err != nil {
		return netconf.Conf{}, nil, types.NewError(types.ErrIOFailure, fmt.Sprintf("read the netconf from stdin: %v", err), "")
	}
	var conf netconf.Conf
	var warning *netconf.Error
	if command == "DEL" {
		conf, warning, err = netconf.ParseForDel(stdin)
	} else {
		conf, err = netconf.Parse(stdin)
	}
	var invalid *netconf.Error
	if errors.As(err, &invalid) {
		return netconf.Conf{}, nil, types.NewError(netconfCode(invalid), "netconf: "+invalid.Error(), "")
	}
	return conf, warning, err
}

// stdinTime is for a runtime to hand over the netconf, which it has when it starts kactus. It comes on top of the verb's own time.
const stdinTime = 4 * time.Second

// readStdin gives up when ctx or that time ends. The read itself cannot be ended, and lasts as long as the process.
func (p program) readStdin(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, stdinTime, fmt.Errorf("it did not end within %s", stdinTime))
	defer cancel()
	var data []byte
	done := make(chan error, 1)
	go func() {
		var err error
		data, err = io.ReadAll(io.LimitReader(p.stdin, netconf.MaxSize+1))
		done <- err
	}()
	select {
	case err := <-done:
		return data, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func netconfCode(e *netconf.Error) uint {
	switch {
	case e.Undecodable:
		return types.ErrDecodingFailure
	case e.UnknownVersion:
		return types.ErrIncompatibleCNIVersion
	default:
		return types.ErrInvalidNetworkConfig
	}
}
