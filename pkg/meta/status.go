package meta

import (
	"context"
	"errors"
	"fmt"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
)

// Status runs STATUS (CNI specification 1.1.0, section 2): says whether an ADD could work now. The ledger must be writable, the kubeconfig usable, each
// of the netconf's delegates there, and ready by its own STATUS. It does not ask the apiserver, whose outage must not turn every node
// NotReady. It takes less than a second. The error, a *types.Error with the code 50 or 51, joins all that is wrong.
func (v *Verbs) Status(ctx context.Context, conf netconf.Conf) error {
	if err := needVersion(conf, "STATUS"); err != nil {
		return asCNI(err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, statusTime, fmt.Errorf("a STATUS may take %s", statusTime))
	defer cancel()
	failed := []error{v.Probe(), v.credentials()}
	delegates := v.Delegates(nil)
	attachments := plan.Default(conf, "")
	of := make([]error, len(attachments))
	inParallel(v.Parallel, len(attachments), func(i int) {
		of[i] = status(ctx, delegates, attachments[i].Config)
	})
	if err := errors.Join(append(failed, of...)...); err != nil {
		return asCNI(coded(statusCode(err), err))
	}
	return nil
}

// credentials makes a client, which reads the kubeconfig and opens no connection.
func (v *Verbs) credentials() error {
	_, err := v.API()
	return err
}

func status(ctx context.Context, delegates Delegates, chain cniconf.Chain) error {
	if err := delegates.Find(chain); err != nil {
		return fmt.Errorf("network %s: %w", chain.Name, err)
	}
	if err := delegates.Status(ctx, chain); err != nil {
		return fmt.Errorf("network %s: %w", chain.Name, err)
	}
	return nil
}

// statusCode is the worse of the two that the specification has: a delegate may say that the Pods that run are affected, too.
func statusCode(err error) uint {
	for _, e := range delegateErrors(err) {
		if e.Code == types.ErrLimitedConnectivity {
			return types.ErrLimitedConnectivity
		}
	}
	return types.ErrPluginNotAvailable
}
