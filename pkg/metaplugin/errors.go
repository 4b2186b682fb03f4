package metaplugin

import (
	"errors"
	"fmt"
	"strings"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/delegate"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
)

// kactus's own CNI error codes. The specification leaves 100 and above to plugins (section 5,
// "Error").
const (
	// CodeAPI means that the apiserver refused, or cannot be asked, and that asking again will not
	// help.
	CodeAPI uint = 100
	// CodeReplaced means that the Pod of that name is another one by now.
	CodeReplaced uint = 101
	// CodeDelegate means that a delegate failed, or that its binary is missing; its own code is in
	// the details.
	CodeDelegate uint = 102
	// CodeIsolation means that the Pod may not use a Network of that namespace.
	CodeIsolation uint = 103
	// CodeAttached means that the container has attachments that the operation would have to touch,
	// and does not, or that the Pod has an interface of that name which kactus did not make.
	CodeAttached uint = 104
	// CodeNotHonored means that the delegate made an interface without the MAC address or the IP
	// addresses that were asked for, that the default route cannot lead through it as was asked
	// for, or that what is asked for needs a capability that no plugin of the network declares.
	CodeNotHonored uint = 105
	// CodeCheck means that a CHECK found an attachment that is not as its ADD left it.
	CodeCheck uint = 107
	// CodeNotForwarded means that a GC did not forward the valid attachments to the delegates,
	// because the ledger cannot name all of them: the record of one of those containers is corrupt.
	CodeNotForwarded uint = 108
)

// codedError is an error whose CNI error code is decided where it arises.
type codedError struct {
	code uint
	error
}

func (e *codedError) Unwrap() error { return e.error }

// The errors of this package by kind; code has those of the others.

func environmentError(name string, cause error) error {
	return &codedError{types.ErrInvalidEnvironmentVariables, fmt.Errorf("%s: %w", name, cause)}
}

func configError(err error) error       { return &codedError{types.ErrInvalidNetworkConfig, err} }
func versionError(err error) error      { return &codedError{types.ErrIncompatibleCNIVersion, err} }
func netnsError(err error) error        { return &codedError{types.ErrInvalidNetNS, err} }
func ioError(err error) error           { return &codedError{types.ErrIOFailure, err} }
func tryLaterError(err error) error     { return &codedError{types.ErrTryAgainLater, err} }
func delegateError(err error) error     { return &codedError{CodeDelegate, err} }
func replacedError(err error) error     { return &codedError{CodeReplaced, err} }
func attachedError(err error) error     { return &codedError{CodeAttached, err} }
func notHonoredError(err error) error   { return &codedError{CodeNotHonored, err} }
func checkError(err error) error        { return &codedError{CodeCheck, err} }
func notForwardedError(err error) error { return &codedError{CodeNotForwarded, err} }

// planError returns err as one of the plan: what a Pod or a Network says cannot be done.
func planError(err error) error {
	if errors.Is(err, plan.ErrNotDeclared) {
		return notHonoredError(err)
	}
	return configError(err)
}

// storeError returns err as one of the ledger's.
func storeError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ledger.ErrBusy):
		return tryLaterError(err)
	default:
		return ioError(err)
	}
}

func corruptError(err error) error {
	return ioError(fmt.Errorf("nothing is touched until a DEL of the Pod quarantines the record: %w", err))
}

// statusError returns err with the more severe of the two codes that the specification has for a
// STATUS: a delegate may say that running Pods are affected, too.
func statusError(err error) error {
	for _, e := range delegateErrors(err) {
		if e.Code == types.ErrLimitedConnectivity {
			return &codedError{types.ErrLimitedConnectivity, err}
		}
	}
	return &codedError{types.ErrPluginNotAvailable, err}
}

// leftoverError is an error after whose roll-back something is left.
type leftoverError struct {
	error
	leftover error
}

func (e *leftoverError) Unwrap() error { return e.error }

func withLeftover(cause, leftover error) error {
	if leftover == nil {
		return cause
	}
	return &leftoverError{error: cause, leftover: leftover}
}

// notFound reports whether err is the apiserver's answer that there is no such object.
func notFound(err error) bool {
	var kubeErr *kube.Error
	return errors.As(err, &kubeErr) && kubeErr.Missing()
}

// asCNI returns err as the CNI specification has errors: one sentence in msg, what delegates said
// besides it in details. A nil err stays nil.
func asCNI(err error) error {
	if err == nil {
		return nil
	}
	return toCNI(err)
}

func toCNI(err error) *types.Error {
	// One that is wrapped is only a part: the CNI library returns them for interface names.
	if whole, ok := err.(*types.Error); ok {
		return whole
	}
	var details []string
	for _, e := range delegateErrors(err) {
		if words := e.Words(); words != "" {
			details = append(details, words)
		}
	}
	var left *leftoverError
	if errors.As(err, &left) {
		details = append(details, "not torn down, and left in the ledger for a DEL: "+oneLine(left.leftover.Error()))
	}
	return types.NewError(code(err), oneLine(err.Error()), strings.Join(details, "\n"))
}

// asCNIOfDel returns err as asCNI does, for a DEL. containerd takes an error of a DEL whose text
// has the words "not found", or without a network namespace "no such file or directory", for a
// success, and delegates often say them, so they are joined by non-breaking spaces.
func asCNIOfDel(err error) error {
	if err == nil {
		return nil
	}
	e := toCNI(err)
	hide := strings.NewReplacer(
		"not found", "not\u00a0found", "no such file or directory", "no such file or\u00a0directory")
	return types.NewError(e.Code, hide.Replace(e.Msg), hide.Replace(e.Details))
}

// oneLine puts joined errors on one line.
func oneLine(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\n", "; ") }

// code returns the CNI error code of err.
func code(err error) uint {
	var known *codedError
	var netconfErr *netconf.Error
	var kubeErr *kube.Error
	var delegateErr *delegate.Error
	switch {
	case errors.As(err, &known):
		return known.code
	case errors.As(err, &netconfErr) && netconfErr.Undecodable:
		return types.ErrDecodingFailure
	case errors.As(err, &netconfErr) && netconfErr.UnknownVersion:
		return types.ErrIncompatibleCNIVersion
	case errors.As(err, &netconfErr) && netconfErr.UnknownKeys:
		return types.ErrUnsupportedField
	case errors.As(err, &netconfErr):
		return types.ErrInvalidNetworkConfig
	case errors.Is(err, plan.ErrIsolation):
		return CodeIsolation
	case errors.As(err, &kubeErr) && kubeErr.Temporary():
		return types.ErrTryAgainLater
	case errors.As(err, &kubeErr):
		return CodeAPI
	case errors.As(err, &delegateErr) && delegateErr.Code == types.ErrTryAgainLater:
		return types.ErrTryAgainLater
	case errors.As(err, &delegateErr):
		return CodeDelegate
	default:
		return types.ErrInternal
	}
}

// delegateErrors returns the errors of plugins in err, which may join several.
func delegateErrors(err error) []*delegate.Error {
	if e, ok := err.(*delegate.Error); ok {
		return []*delegate.Error{e}
	}
	var all []*delegate.Error
	switch e := err.(type) {
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			all = append(all, delegateErrors(inner)...)
		}
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			all = delegateErrors(inner)
		}
	}
	return all
}
