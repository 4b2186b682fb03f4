package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/meta"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
)

// runVerb does what CNI_COMMAND says, and prints the result, or the error, as the CNI specification has them.
func (p program) runVerb(ctx context.Context) int {
	code := 0
	out, err := p.verb(ctx)
	if err != nil {
		out, code = printed(err), 1
	}
	if len(out) == 0 {
		return code
	}
	if _, err := p.stdout.Write(out); err != nil {
		// Whoever does not get the result of an ADD has a DEL to follow, for which all is in the ledger.
		fmt.Fprintf(p.stderr, "kactus: print what came of it: %v: %s\n", err, out)
		return 1
	}
	return code
}

// printed is err as the CNI specification has errors.
func printed(err error) []byte {
	data, merr := json.MarshalIndent(struct {
		CNIVersion string `json:"cniVersion"`
		*types.Error
	}{slices.Max(netconf.Versions()), cniError(err)}, "", "    ")
	if merr != nil {
		data = []byte(`{"code": 999, "msg": "print an error: it does not encode"}`)
	}
	return append(data, '\n')
}

func cniError(err error) *types.Error {
	var e *types.Error
	if errors.As(err, &e) {
		return e
	}
	return types.NewError(types.ErrInternal, err.Error(), "")
}

func (p program) verb(ctx context.Context) ([]byte, error) {
	command := p.getenv("CNI_COMMAND")
	switch command {
	case "VERSION":
		return json.Marshal(struct {
			CNIVersion        string   `json:"cniVersion"`
			SupportedVersions []string `json:"supportedVersions"`
		}{slices.Max(netconf.Versions()), netconf.Versions()})
	case "ADD", "DEL", "CHECK":
		return p.podVerb(ctx, command)
	case "GC", "STATUS":
		return nil, p.nodeVerb(ctx, command)
	default:
		return nil, types.NewError(types.ErrInvalidEnvironmentVariables, fmt.Sprintf("CNI_COMMAND: %.64q is not a verb of the CNI specification", command), "")
	}
}

// podVerb runs a verb that is for one container.
func (p program) podVerb(ctx context.Context, command string) ([]byte, error) {
	req, err := p.request(command)
	if err != nil {
		return nil, err
	}
	var warning *netconf.Error
	if req.Conf, warning, err = p.netconf(ctx, command); err != nil {
		return nil, err
	}
	log, closeLog := p.log(req.Conf)
	defer closeLog()
	log = log.With("verb", command, "containerID", req.ContainerID, "pod", req.Args.Pod.Namespace+"/"+req.Args.Pod.Name)
	if req.Args.Hot != nil {
		log = log.With("network", req.Args.Hot.Network)
	}
	if warning != nil {
		log.Warn("the netconf is not valid; the DEL does with what is", "cause", warning)
	}
	begin := time.Now()
	log.Info("begin", "device", req.Device, "netns", req.Netns)
	out, err := p.do(ctx, command, req, log)
	if err != nil {
		log.Error("end", "took", time.Since(begin), "code", cniError(err).Code, "cause", err)
		return nil, err
	}
	log.Info("end", "took", time.Since(begin))
	return out, nil
}

func (p program) do(ctx context.Context, command string, req meta.Request, log *slog.Logger) ([]byte, error) {
	verbs, err := p.verbs(req.Conf, p.getenv("CNI_PATH"), log)
	if err != nil {
		return nil, types.NewError(types.ErrIOFailure, err.Error(), "")
	}
	switch command {
	case "DEL":
		return nil, verbs.Del(ctx, req)
	case "CHECK":
		return nil, verbs.Check(ctx, req)
	}
	if exposed := kube.Exposed(req.Conf.Kubeconfig); exposed != nil {
		log.Warn("others may use the node's credentials", "cause", exposed)
	}
	result, err := verbs.Add(ctx, req)
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(result, "", "    ")
}

// nodeVerb runs a verb that is for no container.
func (p program) nodeVerb(ctx context.Context, command string) error {
	if err := p.needPath(); err != nil {
		return err
	}
	conf, _, err := p.netconf(ctx, command)
	if err != nil {
		return err
	}
	log, closeLog := p.log(conf)
	defer closeLog()
	log = log.With("verb", command)
	begin := time.Now()
	if command == "GC" {
		err = p.gc(ctx, conf, log)
	} else {
		err = p.status(ctx, conf, log)
	}
	if err != nil {
		log.Error("end", "took", time.Since(begin), "code", cniError(err).Code, "cause", err)
		return err
	}
	log.Debug("end", "took", time.Since(begin)) // runtimes call STATUS every few seconds
	return nil
}

func (p program) gc(ctx context.Context, conf netconf.Conf, log *slog.Logger) error {
	verbs, err := p.verbs(conf, p.getenv("CNI_PATH"), log)
	if err != nil {
		return types.NewError(types.ErrIOFailure, err.Error(), "")
	}
	return verbs.GC(ctx, conf)
}

func (p program) status(ctx context.Context, conf netconf.Conf, log *slog.Logger) error {
	verbs, err := p.verbs(conf, p.getenv("CNI_PATH"), log)
	if err != nil {
		return types.NewError(types.ErrPluginNotAvailable, err.Error(), "")
	}
	return verbs.Status(ctx, conf)
}
