package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
)

// controllers are the processes that create Pods from Deployments and assign Pods to nodes.
type controllers struct {
	manager   *process
	scheduler *process
}

// startControllers starts kube-controller-manager and kube-scheduler, and returns once Pods can be
// created.
func (c *Cluster) startControllers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	url := apiserverURL(hostAPIServerPort)
	for _, part := range []Part{ControllerManager, Scheduler} {
		if err := c.writeKubeconfig(c.path(string(part)+suffixKubeconfig), url, c.users[part].Token); err != nil {
			return err
		}
	}
	var err error
	if c.controllers.manager, err = c.launch(ControllerManager, c.managerArgs()); err != nil {
		return err
	}
	if c.controllers.scheduler, err = c.launch(Scheduler, c.controllerArgs(Scheduler)); err != nil {
		return err
	}
	if err := c.controllers.manager.await(ctx, c.podsCanBeCreated); err != nil {
		return err
	}
	return c.controllers.scheduler.await(ctx, c.schedulerListens)
}

// RestartControllers starts kube-controller-manager and kube-scheduler again, and returns once they
// work. After an outage of the apiserver that is longer than a few seconds, those of a real cluster
// do so by themselves, because they have lost their leases; here they have none, and would go on
// with watches that may lag behind for minutes.
func (c *Cluster) RestartControllers(ctx context.Context) error {
	err := c.controllers.stop()
	if err == nil {
		err = c.startControllers(ctx)
	}
	if err != nil {
		return fmt.Errorf("starting the controllers again: %w", err)
	}
	return nil
}

func (c *controllers) stop() error {
	return errors.Join(c.manager.stop(), c.scheduler.stop())
}

const schedulerPort = "10259" // kube-scheduler's default

// managerArgs leaves out a check by which the controller of DaemonSets can forget to look again
// when a Pod will have been ready for minReadySeconds: it tries again what the check refuses, and
// of two appointments for the same object the earlier one replaces the later one. A rollout with
// maxSurge then stops for minutes.
func (c *Cluster) managerArgs() []string {
	return append(c.controllerArgs(ControllerManager),
		"--feature-gates=StaleControllerConsistencyDaemonSet=false",
		"--use-service-account-credentials",
		"--service-account-private-key-file="+c.path(fileSigningKey),
		"--root-ca-file="+c.path(fileCA),
	)
}

// controllerArgs returns the arguments that both controllers take.
func (c *Cluster) controllerArgs(part Part) []string {
	kubeconfig := c.path(string(part) + suffixKubeconfig)
	return []string{
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1",
		"--leader-elect=false",
	}
}

// podsCanBeCreated checks for the service account default, without which the apiserver refuses
// Pods.
func (c *Cluster) podsCanBeCreated(ctx context.Context) error {
	const path = "/api/v1/namespaces/default/serviceaccounts/default"
	status, answer, err := c.Do(ctx, http.MethodGet, path, "", nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s: status %d: %s", path, status, answer)
	}
	return err
}

func (c *Cluster) schedulerListens(ctx context.Context) error {
	conn, err := c.dial(ctx, "tcp", net.JoinHostPort("127.0.0.1", schedulerPort))
	if err != nil {
		return err
	}
	return conn.Close()
}

// componentUsers returns the users of the controllers.
func componentUsers() map[Part]User {
	users := map[Part]User{}
	for _, part := range []Part{ControllerManager, Scheduler} {
		users[part] = User{Name: "system:" + string(part), Token: rand.Text()}
	}
	return users
}

// nodeUsers returns the users of the kubelets, in the order of their nodes.
func nodeUsers(nodes int) []User {
	var users []User
	for number := range nodes {
		users = append(users, User{Name: "system:node:" + nodeName(number+1), Token: rand.Text(),
			Groups: []string{"system:nodes"}})
	}
	return users
}
