package delegate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/budget"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
)

// Runner runs delegates.
type Runner struct {
	// Plugins finds the plugins' binaries.
	Plugins *Plugins
	// Env is what the environment of a plugin has in addition to the CNI variables, as KEY=VALUE.
	Env []string
	// Timeout is how long one plugin may run; zero means as long as the context lasts.
	Timeout time.Duration
	// Inherit is a file that plugins get as descriptor 3; nil for none.
	Inherit *os.File
	// Output bounds what all plugins together print; nil for no bound but that on each plugin.
	Output *budget.Budget

	// grace is how long a plugin has from SIGTERM to SIGKILL; zero means defaultGrace.
	grace time.Duration
}

// Call describes one attachment to its delegate.
type Call struct {
	ContainerID string
	Netns       string
	IfName      string
	// Args is the CNI_ARGS.
	Args   string
	Config cniconf.Chain
	// RuntimeConfig is filtered by the capabilities that each plugin declares.
	RuntimeConfig map[string]json.RawMessage
	// Result is the result of the attachment's ADD, in the version of Config; nil if unknown.
	Result json.RawMessage
	// TornDown are the positions in Config of the plugins whose DEL has succeeded.
	TornDown []int
	// PrevResult is what the first plugin of an ADD gets as prevResult; nil for none.
	PrevResult *cniconf.Result
}

// Find reports whether each plugin of the chain can be run. The error is ErrMissing, or says that
// the plugin is kactus itself.
func (r Runner) Find(chain cniconf.Chain) error {
	for _, plugin := range chain.Plugins {
		if _, err := r.Plugins.Find(plugin.Type); err != nil {
			return err
		}
	}
	return nil
}

// Add runs ADD of each plugin in turn, passes each the result of the one before, the first one
// PrevResult, and returns the last one's result. An *Error says which plugin failed; what the
// plugins before it made is left, and their result, if there is one, is returned too.
func (r Runner) Add(ctx context.Context, c Call) (*cniconf.Result, error) {
	var result *cniconf.Result
	prev := c.PrevResult
	for _, plugin := range c.Config.Plugins {
		next, err := r.add(ctx, c, plugin, prev)
		if err != nil {
			return result, newError("ADD", c, plugin, err)
		}
		result, prev = next, next
	}
	return result, nil
}

func (r Runner) add(
	ctx context.Context, c Call, plugin cniconf.Plugin, prev *cniconf.Result,
) (*cniconf.Result, error) {
	path, err := r.Plugins.Find(plugin.Type)
	if err != nil {
		return nil, err
	}
	keys := map[string]json.RawMessage{}
	if prev != nil {
		if keys[keyPrevResult], err = cniconf.EncodeResult(prev, c.Config.CNIVersion); err != nil {
			return nil, err
		}
	}
	stdin, err := c.stdin(plugin, keys)
	if err != nil {
		return nil, err
	}
	printed, err := invoke.ExecPluginWithResult(ctx, path, stdin, r.env("ADD", c), r.process("ADD"))
	var result *cniconf.Result
	if err == nil {
		result, err = cniconf.NewResult(printed)
	}
	if failed := (*exitError)(nil); err != nil && !errors.As(err, &failed) {
		return nil, fmt.Errorf("read its result: %w", err)
	}
	return result, err
}

// Del runs DEL of each plugin in reverse order, but for those that c.TornDown names, and passes
// each the result of the ADD. It stops at the first that fails, with an *Error: the DEL of a plugin
// may need what the plugins before it made. Without a network namespace, plugins that make nothing
// outside of it are passed over. It returns c.TornDown with the plugins whose DEL succeeded.
func (r Runner) Del(ctx context.Context, c Call) (tornDown []int, err error) {
	tornDown, failed := r.del(ctx, c, true)
	return tornDown, errors.Join(failed...)
}

// DelEach is Del for a delegate that is given up: a plugin that fails does not keep the others from
// being tried. The error joins an *Error for each that failed.
func (r Runner) DelEach(ctx context.Context, c Call) (tornDown []int, err error) {
	tornDown, failed := r.del(ctx, c, false)
	return tornDown, errors.Join(failed...)
}

// insidePlugins are the types of plugins that make nothing outside of the Pod's network namespace.
// Once that is gone, nothing is left for them to tear down, and sbr always fails.
var insidePlugins = []string{"route-override", "sbr", "vrf"}

func (r Runner) del(ctx context.Context, c Call, stopAtFailure bool) (tornDown []int, failed []error) {
	keys := c.prevResult()
	tornDown = slices.Clone(c.TornDown)
	for i, plugin := range slices.Backward(c.Config.Plugins) {
		if slices.Contains(c.TornDown, i) {
			continue
		}
		if c.Netns == "" && slices.Contains(insidePlugins, plugin.Type) {
			tornDown = append(tornDown, i)
			continue
		}
		if err := r.run(ctx, "DEL", c, plugin, keys); err != nil {
			failed = append(failed, newError("DEL", c, plugin, err))
			if stopAtFailure {
				break
			}
			continue
		}
		tornDown = append(tornDown, i)
	}
	return tornDown, failed
}

// Check runs CHECK of each plugin in turn, and passes each the result of the ADD (CNI
// specification, section 2, "CHECK"). It stops at the first that fails, with an *Error. A delegate
// that does not support CHECK passes.
func (r Runner) Check(ctx context.Context, c Call) error {
	if !c.Config.Supports("CHECK") {
		return nil
	}
	keys := c.prevResult()
	for _, plugin := range c.Config.Plugins {
		if err := r.run(ctx, "CHECK", c, plugin, keys); err != nil {
			return newError("CHECK", c, plugin, err)
		}
	}
	return nil
}

// GC runs GC of each plugin, and passes each the attachments of the delegate that are still valid
// (CNI specification 1.1.0, section 2, "GC"). Every plugin is tried; the error joins an *Error for
// each that failed. A delegate that does not support GC is left alone. A plugin is killed when
// kactus dies, because the list does not stay true for long.
func (r Runner) GC(ctx context.Context, chain cniconf.Chain, valid []types.GCAttachment) error {
	if !chain.Supports("GC") {
		return nil
	}
	list, err := json.Marshal(append([]types.GCAttachment{}, valid...)) // never null
	if err != nil {
		return err
	}
	keys := map[string]json.RawMessage{
		"cni.dev/valid-attachments": list,
		"cni.dev/attachments":       list, // read by plugins that were built with the CNI library 1.2.0
	}
	var failed []error
	for _, plugin := range chain.Plugins {
		c := Call{Config: chain}
		if err := r.run(ctx, "GC", c, plugin, keys); err != nil {
			failed = append(failed, newError("GC", c, plugin, err))
		}
	}
	return errors.Join(failed...)
}

// Status runs STATUS of each plugin in turn (CNI specification 1.1.0, section 2, "STATUS"). It
// stops at the first that fails, with an *Error. A plugin that does not answer before ctx ends is
// killed at once. A delegate that does not support STATUS passes.
func (r Runner) Status(ctx context.Context, chain cniconf.Chain) error {
	if !chain.Supports("STATUS") {
		return nil
	}
	r.grace = statusGrace
	for _, plugin := range chain.Plugins {
		c := Call{Config: chain}
		if err := r.run(ctx, "STATUS", c, plugin, nil); err != nil {
			return newError("STATUS", c, plugin, err)
		}
	}
	return nil
}

// run runs one plugin for an operation without a result.
func (r Runner) run(
	ctx context.Context, operation string, c Call, plugin cniconf.Plugin, keys map[string]json.RawMessage,
) error {
	path, err := r.Plugins.Find(plugin.Type)
	if err != nil {
		return err
	}
	stdin, err := c.stdin(plugin, keys)
	if err != nil {
		return err
	}
	return invoke.ExecPluginWithoutResult(ctx, path, stdin, r.env(operation, c), r.process(operation))
}

const keyPrevResult = "prevResult"

// prevResult returns the key of that name with the result of the ADD, or nothing: the specification
// has it for DEL and CHECK since 0.4.0.
func (c Call) prevResult() map[string]json.RawMessage {
	since040, err := version.GreaterThanOrEqualTo(c.Config.CNIVersion, "0.4.0")
	if err != nil || !since040 || len(c.Result) == 0 {
		return nil
	}
	return map[string]json.RawMessage{keyPrevResult: c.Result}
}
