package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/utils"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cnilog"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/delegate"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/device"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/meta"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

// runVerb does what CNI_COMMAND says, and prints the result, or the error, as the CNI specification has them.
func (p program) runVerb(ctx context.Context) int {
	out, err := p.verb(ctx)
	if err == nil {
		if out != nil {
			_, werr := p.stdout.Write(out)
			if werr != nil {
				fmt.Fprintf(p.stderr, "kactus: print the result: %v\n", werr)
				return 1
			}
		}
		return 0
	}
	var cniErr *types.Error
	if !errors.As(err, &cniErr) {
		cniErr = types.NewError(types.ErrInternal, err.Error(), "")
	}
	data, merr := json.MarshalIndent(struct {
		CNIVersion string `json:"cniVersion"`
		*types.Error
	}{slices.Max(netconf.Versions()), cniErr}, "", "    ")
	if merr != nil {
		data = []byte(`{"code": 999, "msg": "print an error: it does not encode"}`)
	}
	fmt.Fprintf(p.stdout, "%s\n", data)
	return 1
}

func (p program) verb(ctx context.Context) ([]byte, error) {
	command := p.getenv("CNI_COMMAND")
	switch command {
	case "VERSION":
		return json.Marshal(struct {
			CNIVersion        string   `json:"cniVersion"`
			SupportedVersions []string `json:"supportedVersions"`
		}{slices.Max(netconf.Versions()), netconf.Versions()})
	case "ADD", "DEL":
		return p.addOrDel(ctx, command)
	case "CHECK", "GC", "STATUS":
		return nil, types.NewError(meta.CodeUnsupported, fmt.Sprintf("%s: this version of kactus (%s) does not do that verb: it does ADD, DEL and VERSION", command, version), "")
	default:
		return nil, types.NewError(types.ErrInvalidEnvironmentVariables, fmt.Sprintf("CNI_COMMAND: %.64q is not a verb of the CNI specification", command), "")
	}
}

func (p program) addOrDel(ctx context.Context, command string) ([]byte, error) {
	req, err := p.request(command)
	if err != nil {
		return nil, err
	}
	var warning *netconf.Error
	if req.Conf, warning, err = p.netconf(command); err != nil {
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
		log.Error("end", "took", time.Since(begin), "cause", err)
		return nil, err
	}
	log.Info("end", "took", time.Since(begin))
	return out, nil
}

func (p program) do(ctx context.Context, command string, req meta.Request, log *slog.Logger) ([]byte, error) {
	verbs, err := p.verbs(req.Conf, log)
	if err != nil {
		return nil, types.NewError(types.ErrIOFailure, err.Error(), "")
	}
	if command == "DEL" {
		return nil, verbs.Del(ctx, req)
	}
	result, err := verbs.Add(ctx, req)
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(result, "", "    ")
}

// request reads the environment (CNI specification, section 2, "Parameters").
func (p program) request(command string) (meta.Request, error) {
	req := meta.Request{ContainerID: p.getenv("CNI_CONTAINERID"), Netns: p.getenv("CNI_NETNS"), Device: p.getenv("CNI_IFNAME")}
	fail := func(name string, cause error) (meta.Request, error) {
		return meta.Request{}, types.NewError(types.ErrInvalidEnvironmentVariables, fmt.Sprintf("%s: %v", name, cause), "")
	}
	if err := podargs.ValidateContainerID(req.ContainerID); err != nil {
		return fail("CNI_CONTAINERID", err)
	}
	if err := utils.ValidateInterfaceName(req.Device); err != nil {
		return fail("CNI_IFNAME", err)
	}
	if command == "ADD" && req.Netns == "" {
		return fail("CNI_NETNS", errors.New("it is empty"))
	}
	if req.Netns != "" && !filepath.IsAbs(req.Netns) {
		return fail("CNI_NETNS", fmt.Errorf("%.128q is not an absolute path", req.Netns))
	}
	if p.getenv("CNI_PATH") == "" {
		return fail("CNI_PATH", errors.New("it is empty"))
	}
	var err error
	if req.Args, err = podargs.Parse(p.getenv("CNI_ARGS")); err != nil {
		return fail("CNI_ARGS", err)
	}
	return req, nil
}

// netconf reads stdin; the warning is what a DEL does without.
func (p program) netconf(command string) (netconf.Conf, *netconf.Error, error) {
	stdin, err := io.ReadAll(io.LimitReader(p.stdin, netconf.MaxSize+1))
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

// The environment's names for the log, which win over the netconf's and reach the delegates.
const (
	envLogLevel = "_CNI_LOGGING_LEVEL"
	envLogFile  = "_CNI_LOGGING_FILE"
)

func (p program) log(conf netconf.Conf) (*slog.Logger, func()) {
	level, file := netconf.LevelError, conf.LogFile
	if conf.LogLevel != nil {
		level = *conf.LogLevel
	}
	if l, err := netconf.ParseLevel(p.getenv(envLogLevel)); err == nil {
		level = l
	}
	if f := p.getenv(envLogFile); f != "" {
		file = f
	}
	return cnilog.Open(level, file, p.stderr)
}

// verbs puts the real collaborators together.
func (p program) verbs(conf netconf.Conf, log *slog.Logger) (*meta.Verbs, error) {
	records, err := ledger.Open(conf.CNIDir)
	if err != nil {
		return nil, err
	}
	runner := delegate.Runner{
		Path:    filepath.SplitList(p.getenv("CNI_PATH")),
		Env:     p.delegateEnv(),
		Timeout: conf.DelegateTimeout,
	}
	return &meta.Verbs{
		API: func() (meta.API, error) { return kube.New(conf.Kubeconfig, "kactus/"+version) },
		Lock: func(ctx context.Context, containerID string) (meta.Book, error) {
			return records.Lock(ctx, containerID)
		},
		Delegates: func(lock *os.File) meta.Delegates {
			r := runner
			r.Inherit = lock
			return r
		},
		Devices: func(netns string) (meta.Devices, error) { return device.Open(netns) },
		Log:     log,
		Now:     time.Now,
	}, nil
}

// delegateEnv is what delegates get of the environment, beside the CNI variables.
func (p program) delegateEnv() []string {
	var env []string
	for _, name := range []string{"PATH", envLogLevel, envLogFile} {
		if value := p.getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// about is what kactus says of itself.
func about() string {
	known := strings.Join(netconf.Versions(), ", ")
	return fmt.Sprintf("kactus %s: a CNI meta-plugin that gives Pods more than one network\nCNI versions: %s\n", version, known)
}
