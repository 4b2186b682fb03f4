// Package delegate runs a delegate for one verb: a chain of CNI plugins, each a process of its own
// (CNI specification, section 3, "Execution of network configurations").
package delegate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniresult"
)

// Runner runs delegates.
type Runner struct {
	// Path is the folders that plugins are looked for in.
	Path []string
	// Env is what a plugin's environment has beside the CNI variables, as KEY=VALUE.
	Env []string
	// Timeout is how long one plugin may run; zero: as long as the context lasts.
	Timeout time.Duration
	// Inherit is a file that plugins get as descriptor 3; may be nil.
	Inherit *os.File
	// Room is for what plugins print; nil: each may print as much as one may.
	Room *Room

	// grace is how long a plugin has from SIGTERM to SIGKILL; zero: defaultGrace.
	grace time.Duration
}

// Call is one attachment, as a delegate needs to know it.
type Call struct {
	ContainerID string
	Netns       string
	Device      string
	// Args is CNI_ARGS.
	Args   string
	Config cniconf.Chain
	// RuntimeConfig is filtered by the capabilities that each plugin declares.
	RuntimeConfig map[string]json.RawMessage
	// Result is what the attachment's ADD printed; nil where it is not known.
	Result json.RawMessage
}

// Find says whether each plugin of the chain is there to be run; if not, the error is ErrMissing or that the plugin is kactus itself.
func (r Runner) Find(chain cniconf.Chain) error {
	for _, plugin := range chain.Plugins {
		if _, err := r.find(plugin.Type); err != nil {
			return err
		}
	}
	return nil
}

// Add runs ADD of each plugin in turn, and gives each the result of the one before. The result is the last one's, in the chain's version
// of the CNI specification. An *Error says which plugin failed; what the ones before it made is left.
func (r Runner) Add(ctx context.Context, c Call) (types.Result, error) {
	var result types.Result
	for _, plugin := range c.Config.Plugins {
		next, err := r.add(ctx, c, plugin, result)
		if err != nil {
			return nil, fail("ADD", c, plugin, err)
		}
		result = next
	}
	return result, nil
}

func (r Runner) add(ctx context.Context, c Call, plugin cniconf.Plugin, prev types.Result) (types.Result, error) {
	path, err := r.find(plugin.Type)
	if err != nil {
		return nil, err
	}
	keys := map[string]json.RawMessage{}
	if prev != nil {
		if keys[keyPrevResult], err = json.Marshal(prev); err != nil {
			return nil, err
		}
	}
	stdin, err := c.stdin(plugin, keys)
	if err != nil {
		return nil, err
	}
	return c.result(ctx, path, stdin, r.env("ADD", c), r.process("ADD"))
}

// result runs the plugin at path for a result, in the chain's version of the CNI specification, whatever version the plugin prints.
func (c Call) result(ctx context.Context, path string, stdin []byte, e env, exec invoke.Exec) (types.Result, error) {
	result, err := invoke.ExecPluginWithResult(ctx, path, stdin, e, exec)
	if err == nil {
		result, err = cniresult.As(result, c.Config.CNIVersion)
	}
	if ended := (*exit)(nil); err != nil && !errors.As(err, &ended) {
		return nil, fmt.Errorf("read its result: %w", err)
	}
	return result, err
}

// Del runs DEL of each plugin in reverse, and gives each the result of the ADD. It ends at the first that fails, with an *Error,
// as the specification says: a plugin's DEL may need what the ones before it made. A plugin whose binary is
// gone cannot come back by waiting: the others run all the same, and the error is ErrMissing.
func (r Runner) Del(ctx context.Context, c Call) error {
	keys, err := c.prevResult()
	if err != nil {
		return err
	}
	var missing error
	for _, plugin := range slices.Backward(c.Config.Plugins) {
		err := r.run(ctx, "DEL", c, plugin, keys)
		switch {
		case errors.Is(err, ErrMissing):
			missing = errors.Join(missing, fail("DEL", c, plugin, err))
		case err != nil:
			return fail("DEL", c, plugin, err)
		}
	}
	return missing
}

// run runs one plugin for a verb that has no result. Its configuration has these keys beside its own.
func (r Runner) run(ctx context.Context, verb string, c Call, plugin cniconf.Plugin, keys map[string]json.RawMessage) error {
	path, err := r.find(plugin.Type)
	if err != nil {
		return err
	}
	stdin, err := c.stdin(plugin, keys)
	if err != nil {
		return err
	}
	return invoke.ExecPluginWithoutResult(ctx, path, stdin, r.env(verb, c), r.process(verb))
}

const keyPrevResult = "prevResult"

// prevResult is the key of that name with the result of the ADD, or nothing: the specification has had it since 0.4.0.
func (c Call) prevResult() (map[string]json.RawMessage, error) {
	has, err := version.GreaterThanOrEqualTo(c.Config.CNIVersion, "0.4.0")
	if err != nil || !has || len(c.Result) == 0 {
		return nil, err
	}
	result, err := cniresult.Read(c.Result, c.Config.CNIVersion)
	if err != nil {
		return nil, fmt.Errorf("read the recorded result of %s: %w", c.Device, err)
	}
	data, err := json.Marshal(result)
	return map[string]json.RawMessage{keyPrevResult: data}, err
}

// stdin is the plugin's configuration with these keys, and what the specification adds to it (section 3, "Deriving request configuration from
// plugin configuration").
func (c Call) stdin(plugin cniconf.Plugin, keys map[string]json.RawMessage) ([]byte, error) {
	with := map[string]json.RawMessage{}
	maps.Copy(with, keys)
	with["name"], _ = json.Marshal(c.Config.Name)
	with["cniVersion"], _ = json.Marshal(c.Config.CNIVersion)
	rc := map[string]json.RawMessage{}
	for capability, declared := range plugin.Capabilities {
		if value, said := c.RuntimeConfig[capability]; said && declared {
			rc[capability] = value
		}
	}
	if len(rc) > 0 {
		with["runtimeConfig"], _ = json.Marshal(rc)
	}
	return plugin.Stdin(with)
}

// find is the path of a plugin's binary. A plugin that is this very program, under whatever name, would run itself without end.
func (r Runner) find(pluginType string) (string, error) {
	path, err := invoke.FindInPath(pluginType, r.Path)
	if err != nil {
		return "", fmt.Errorf("%w: there is no %s in CNI_PATH (%v)", ErrMissing, pluginType, r.Path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrMissing, err)
	}
	if info.Mode()&0o111 == 0 {
		return "", &unrunnable{fmt.Errorf("%s may not be executed", path)}
	}
	if self, err := os.Stat("/proc/self/exe"); err == nil && os.SameFile(info, self) {
		return "", fmt.Errorf("%s is kactus itself, which cannot be its own delegate", path)
	}
	return path, nil
}

// ErrMissing is that a plugin's binary is not there, or is nothing that can be run.
var ErrMissing = errors.New("the plugin's binary is missing")

// unrunnable is why a plugin's binary, which is there, is as good as missing.
type unrunnable struct{ error }

func (*unrunnable) Is(target error) bool { return target == ErrMissing }

func (e *unrunnable) Unwrap() error { return e.error }
