package metaplugin

import (
	"context"
	"errors"
	"fmt"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
)

// Status runs STATUS (CNI specification 1.1.0, section 2): it reports whether an ADD could work
// now. The ledger must be writable, the kubeconfig usable, and each of the netconf's delegates
// present and ready by its own STATUS. The apiserver is not asked, since its outage must not turn
// every node NotReady. A delegate may take its time, up to statusTimeout. The error, a *types.Error
// with the code 50 or 51, joins all problems.
func (p *Plugin) Status(ctx context.Context, req Request) error {
	if err := req.checkVersion("STATUS"); err != nil {
		return asCNI(err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, statusTimeout,
		fmt.Errorf("the limit of a STATUS is %s", statusTimeout))
	defer cancel()
	problems := []error{p.Store.Probe(), p.checkCredentials()}
	delegates := p.Delegates(nil)
	attachments := plan.Default(req.Conf, "")
	ofDelegates := make([]error, len(attachments))
	inParallel(p.Parallel, len(attachments), func(i int) {
		ofDelegates[i] = status(ctx, delegates, attachments[i].Config)
	})
	if err := errors.Join(append(problems, ofDelegates...)...); err != nil {
		return asCNI(statusError(err))
	}
	return nil
}

// checkCredentials creates a client, which reads the kubeconfig and opens no connection.
func (p *Plugin) checkCredentials() error {
	_, err := p.API()
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
