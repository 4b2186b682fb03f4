package delegate

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
)

// Check runs CHECK of each plugin in turn, and gives each the result of the ADD (CNI specification, section 2, "CHECK"). It ends at the first
// that fails, with an *Error. A delegate that has no CHECK (see cniconf.Chain.Has) passes.
func (r Runner) Check(ctx context.Context, c Call) error {
	if !c.Config.Has("CHECK") {
		return nil
	}
	keys, err := c.prevResult()
	if err != nil {
		return err
	}
	for _, plugin := range c.Config.Plugins {
		if err := r.run(ctx, "CHECK", c, plugin, keys); err != nil {
			return fail("CHECK", c, plugin, err)
		}
	}
	return nil
}

// GC runs GC of each plugin, and tells each which attachments of the delegate's are still valid (CNI specification 1.1.0, section 2, "GC"). Every
// plugin is tried; the error joins an *Error for each that failed. A delegate that has no GC is left alone.
// A plugin is killed when kactus dies: what it was told is not true for long.
func (r Runner) GC(ctx context.Context, chain cniconf.Chain, valid []types.GCAttachment) error {
	if !chain.Has("GC") {
		return nil
	}
	list, err := json.Marshal(append([]types.GCAttachment{}, valid...)) // never null
	if err != nil {
		return err
	}
	keys := map[string]json.RawMessage{
		"cni.dev/valid-attachments": list,
		"cni.dev/attachments":       list, // what plugins look for that are built with the CNI library 1.2.0
	}
	var failed []error
	for _, plugin := range chain.Plugins {
		c := Call{Config: chain}
		if err := r.run(ctx, "GC", c, plugin, keys); err != nil {
			failed = append(failed, fail("GC", c, plugin, err))
		}
	}
	return errors.Join(failed...)
}

// Status runs STATUS of each plugin in turn (CNI specification 1.1.0, section 2, "STATUS"). It ends at the first that fails, with an
// *Error. A plugin that does not answer before ctx ends is ended at once. A delegate that has no STATUS passes.
func (r Runner) Status(ctx context.Context, chain cniconf.Chain) error {
	if !chain.Has("STATUS") {
		return nil
	}
	r.grace = statusGrace
	for _, plugin := range chain.Plugins {
		c := Call{Config: chain}
		if err := r.run(ctx, "STATUS", c, plugin, nil); err != nil {
			return fail("STATUS", c, plugin, err)
		}
	}
	return nil
}
