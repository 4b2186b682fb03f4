package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/metaplugin"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
)

// operation runs one operation of the CNI specification, and returns what it prints.
type operation func(ctx context.Context, p *metaplugin.Plugin, req metaplugin.Request) (json.RawMessage, error)

// operations are those of the CNI specification, but for VERSION, by CNI_COMMAND.
var operations = map[string]operation{
	"ADD":    cmdAdd,
	"DEL":    cmdDel,
	"CHECK":  cmdCheck,
	"GC":     cmdGC,
	"STATUS": cmdStatus,
}

func cmdAdd(ctx context.Context, p *metaplugin.Plugin, req metaplugin.Request) (json.RawMessage, error) {
	if exposed := kube.Exposed(req.Conf.Kubeconfig); exposed != nil {
		p.Log.Warn("others may use the node's credentials", "cause", exposed)
	}
	return p.Add(ctx, req)
}

func cmdDel(ctx context.Context, p *metaplugin.Plugin, req metaplugin.Request) (json.RawMessage, error) {
	return nil, p.Del(ctx, req)
}

func cmdCheck(ctx context.Context, p *metaplugin.Plugin, req metaplugin.Request) (json.RawMessage, error) {
	return nil, p.Check(ctx, req)
}

func cmdGC(ctx context.Context, p *metaplugin.Plugin, req metaplugin.Request) (json.RawMessage, error) {
	return nil, p.GC(ctx, req)
}

func cmdStatus(ctx context.Context, p *metaplugin.Plugin, req metaplugin.Request) (json.RawMessage, error) {
	return nil, p.Status(ctx, req)
}

// runOperation runs the operation that CNI_COMMAND names, prints its result or its error as the CNI
// specification has them, and returns the exit code.
func (c cli) runOperation(ctx context.Context, name string) int {
	if name == "VERSION" {
		return c.print(versionInfo(), 0)
	}
	run, ok := operations[name]
	if !ok {
		return c.print(encodeError(metaplugin.UnknownOperation(name)), 1)
	}
	stdin, stdinErr := c.readStdin(ctx)
	req, err := metaplugin.NewRequest(name, c.getenv, stdin)
	if stdinErr != nil {
		err = metaplugin.StdinError(stdinErr)
	}
	log, closeLog := c.openLog(req.Conf)
	defer closeLog()
	log = log.With(logFields(req)...)
	start := time.Now()
	log.Log(ctx, logLevel(name), "start", "interface", req.IfName, "netns", req.Netns)
	var result json.RawMessage
	if err == nil {
		result, err = run(ctx, c.newPlugin(req, log), req)
	}
	if err != nil {
		log.Error("end", "took", time.Since(start), "code", cniError(err).Code, "cause", err)
		return c.print(encodeError(err), 1)
	}
	log.Log(ctx, logLevel(name), "end", "took", time.Since(start))
	return c.print(result, 0)
}

// logFields returns the fields that every line of the operation's log has.
func logFields(req metaplugin.Request) []any {
	fields := []any{"operation", req.Operation}
	if req.ContainerID != "" {
		fields = append(fields, "containerID", req.ContainerID, "pod", req.Args.Pod.Namespace+"/"+req.Args.Pod.Name)
	}
	if req.Args.Hot != nil {
		fields = append(fields, "network", req.Args.Hot.Network)
	}
	return fields
}

// logLevel returns the level at which start and success are logged: runtimes ask for the STATUS
// every few seconds.
func logLevel(name string) slog.Level {
	if name == "STATUS" {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// readStdin reads the netconf, until ctx ends or the runtime has had its time. The read itself
// cannot be interrupted, and lasts as long as the process.
func (c cli) readStdin(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, metaplugin.StdinTimeout,
		fmt.Errorf("no end within %s", metaplugin.StdinTimeout))
	defer cancel()
	type read struct {
		data []byte
		err  error
	}
	done := make(chan read, 1)
	go func() {
		data, err := io.ReadAll(io.LimitReader(c.stdin, netconf.MaxSize+1))
		done <- read{data, err}
	}()
	select {
	case r := <-done:
		return r.data, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// print writes the output of an operation and returns the exit code: the given one, or 1 if nobody
// reads the output. An ADD whose result is lost is followed by a DEL, for which everything is in
// the ledger.
func (c cli) print(output []byte, code int) int {
	if len(output) == 0 {
		return code
	}
	if _, err := c.stdout.Write(append(output, '\n')); err != nil {
		fmt.Fprintf(c.stderr, "kactus: print the result: %v: %s\n", err, output)
		return 1
	}
	return code
}

func versionInfo() []byte {
	info, _ := json.Marshal(struct { // cannot fail: strings alone
		CNIVersion        string   `json:"cniVersion"`
		SupportedVersions []string `json:"supportedVersions"`
	}{slices.Max(netconf.Versions()), netconf.Versions()})
	return info
}

// encodeError returns err as the CNI specification has errors (section 5, "Error").
func encodeError(err error) []byte {
	data, _ := json.MarshalIndent(struct { // cannot fail: strings and an integer
		CNIVersion string `json:"cniVersion"`
		*types.Error
	}{slices.Max(netconf.Versions()), cniError(err)}, "", "    ")
	return data
}

func cniError(err error) *types.Error {
	var e *types.Error
	if errors.As(err, &e) {
		return e
	}
	return types.NewError(types.ErrInternal, err.Error(), "")
}
