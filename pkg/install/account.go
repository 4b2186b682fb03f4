package install

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
)

const (
	// tokenLifetime is the lifetime of the tokens that an installer asks for. At four fifths of it,
	// the installer asks for the next.
	tokenLifetime = 24 * time.Hour
	// contactInterval is the time between two conversations with the apiserver, and the longest
	// pause after one that failed.
	contactInterval = time.Minute
	// contactTimeout bounds one conversation.
	contactTimeout = 10 * time.Second
)

// account is what an installer has learned from the apiserver with its service account.
type account struct {
	requested string    // the node's token, which the apiserver issued to this installer
	renewAt   time.Time // when to ask for the next
	rejected  string    // a token that the apiserver rejects
	reached   bool      // the apiserver has answered at Options.Server
	created   int64     // when the installer's Pod was created, in seconds since the epoch

	next         time.Time // when to talk to the apiserver again
	failures     int       // since the last success
	warning, err error     // of the last conversation
}

// Refresh talks to the apiserver if that is due: it asks for a token for the node, learns when the
// installer's Pod was created, and finds out whether the apiserver still accepts the token on the
// node. A warning says why the node's token depends on the installer's Pod; an error, why it may
// not work, or why the installer's order among others is unknown.
func (i *Installer) Refresh(ctx context.Context) (warning, err error) {
	a := &i.account
	if i.now().Before(a.next) {
		return a.warning, a.err
	}
	a.warning, a.err = i.contact(ctx)
	a.failures++
	pause := min(time.Second<<min(a.failures, 10), contactInterval)
	if a.warning == nil && a.err == nil {
		a.failures, pause = 0, contactInterval
	}
	a.next = i.now().Add(pause)
	return a.warning, a.err
}

func (i *Installer) contact(ctx context.Context) (warning, err error) {
	ctx, cancel := context.WithTimeout(ctx, contactTimeout)
	defer cancel()
	token, err := i.projected()
	if err != nil {
		return nil, err
	}
	ca, err := i.authority()
	if err != nil {
		return nil, err
	}
	client, err := kube.NewWithToken(i.Server, ca, token, i.UserAgent)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	unordered := i.learnCreated(ctx, client, token)
	if i.unproven(i.nodeToken()) {
		i.answered(client.Authenticate(ctx))
	}
	rejected := i.rejects(ctx, ca)
	if rejected == "" && i.now().Before(i.account.renewAt) {
		return nil, unordered
	}
	err = i.request(ctx, client, token)
	if statusOf(err) != http.StatusUnauthorized && i.account.reached {
		i.account.rejected = rejected // and not because the apiserver is only starting
	}
	if err != nil {
		err = fmt.Errorf("ask for a token that outlives this Pod: %w", err)
	}
	if rejected != "" {
		return nil, errors.Join(unordered, err)
	}
	return err, unordered
}

// learnCreated learns when the installer's Pod was created. An installer outside of a Pod counts
// from the issue of its token instead.
func (i *Installer) learnCreated(ctx context.Context, client *kube.Client, token string) error {
	c := claimsOf(token)
	namespace, _, ok := c.account()
	switch pod := c.Kubernetes.Pod.Name; {
	case i.account.created != 0:
	case !ok || pod == "":
		i.account.created = int64(c.IssuedAt)
	default:
		created, err := client.PodCreated(ctx, namespace, pod)
		i.answered(err)
		if err != nil {
			return fmt.Errorf("find out when this Pod was created: %w", err)
		}
		i.account.created = created.Unix()
	}
	return nil
}

// rejects returns the node's token if the apiserver rejects it, and "" if not, or if that is
// unknown. A token can become invalid before it expires: with the Node that it is bound to, which
// is another object after the node registered again, or with the service account.
func (i *Installer) rejects(ctx context.Context, ca []byte) string {
	node := i.nodeToken()
	if node == "" {
		return ""
	}
	client, err := kube.NewWithToken(i.Server, ca, node, i.UserAgent)
	if err != nil {
		return ""
	}
	defer client.Close()
	if statusOf(client.Authenticate(ctx)) != http.StatusUnauthorized {
		return ""
	}
	return node
}

// refusals are the statuses with which apiservers that cannot bind a token to a Node refuse to.
var refusals = []int{
	http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusConflict,
	http.StatusUnprocessableEntity,
}

// request asks for a token that is bound to the Node or, if the apiserver refuses that, to nothing.
func (i *Installer) request(ctx context.Context, client *kube.Client, token string) error {
	namespace, name, ok := claimsOf(token).account()
	if !ok {
		return errors.New("the service account token does not name its account")
	}
	r := kube.TokenRequest{Namespace: namespace, Account: name, Node: i.Node, Lifetime: tokenLifetime}
	issued, err := client.RequestToken(ctx, r)
	i.answered(err)
	if r.Node != "" && slices.Contains(refusals, statusOf(err)) {
		r.Node = ""
		issued, err = client.RequestToken(ctx, r)
	}
	if err != nil {
		return err
	}
	i.account.requested = issued
	i.account.renewAt = i.now().Add(claimsOf(issued).lifetime() / 5 * 4)
	return nil
}

// answered notes whether err shows that the apiserver knows the service account.
func (i *Installer) answered(err error) {
	if status := statusOf(err); err == nil || status != 0 && status != http.StatusUnauthorized {
		i.account.reached = true
	}
}

// statusOf returns the HTTP status of an error of kube, and 0 if it has none.
func statusOf(err error) int {
	var failed *kube.Error
	if errors.As(err, &failed) {
		return failed.Status
	}
	return 0
}
