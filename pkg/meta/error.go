package meta

import (
	"errors"
	"fmt"
	"strings"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/delegate"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

// kactus's own CNI error codes; the specification leaves 100 and above to plugins (section 5, "Error").
const (
	// CodeAPI: the apiserver refused, or cannot be asked, and asking again will not help.
	CodeAPI uint = 100
	// CodeReplaced: the Pod of that name is another by now.
	CodeReplaced uint = 101
	// CodeDelegate: a delegate failed, or its binary is missing; its own code is in the details.
	CodeDelegate uint = 102
	// CodeIsolation: the Pod may not have a Network of that namespace.
	CodeIsolation uint = 103
	// CodeAttached: the container has attachments that the verb would have to touch, and does not.
	CodeAttached uint = 104
	// CodeUnfulfilled: the delegate made a device without the MAC address or the IP addresses that were asked for.
	CodeUnfulfilled uint = 105
	// CodeCheck: a CHECK found that an attachment is not as its ADD left it.
	CodeCheck uint = 107
	// CodeUntold: a GC did not tell the delegates what is valid, because the ledger cannot say all that is.
	CodeUntold uint = 108
)

// codedError is an error whose CNI error code is known where it arises.
type codedError struct {
	code uint
	error
}

func (e *codedError) Unwrap() error { return e.error }

func coded(code uint, err error) error { return &codedError{code: code, error: err} }

// ledgerError is err as one of the ledger's.
func ledgerError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ledger.ErrBusy):
		return coded(types.ErrTryAgainLater, err)
	default:
		return coded(types.ErrIOFailure, err)
	}
}

// leftError is an error after whose roll-back something is left.
type leftError struct {
	error
	left error
}

func (e *leftError) Unwrap() error { return e.error }

func withLeft(cause, left error) error {
	if left == nil {
		return cause
	}
	return &leftError{error: cause, left: left}
}

// missing says whether err is the apiserver's answer that there is no such object.
func missing(err error) bool {
	var kubeErr *kube.Error
	return errors.As(err, &kubeErr) && kubeErr.Missing()
}

// asCNI is err as the CNI specification has errors: the sentence in msg, what delegates said of it in details.
func asCNI(err error) *types.Error {
	var details []string
	for _, e := range delegateErrors(err) {
		if words := e.Words(); words != "" {
			details = append(details, words)
		}
	}
	var left *leftError
	if errors.As(err, &left) {
		details = append(details, fmt.Sprintf("not undone, and left in the ledger for a DEL: %s", oneLine(left.left.Error())))
	}
	return types.NewError(code(err), oneLine(err.Error()), strings.Join(details, "\n"))
}

// asCNIOfDel is asCNI for a DEL: containerd takes any error of a DEL whose text has these two words for a
// success, so they are joined by a space that it does not know. Delegates say them often.
func asCNIOfDel(err error) *types.Error {
	const nonBreakingSpace = "\u00a0"
	e := asCNI(err)
	hide := strings.NewReplacer("not found", "not"+nonBreakingSpace+"found")
	return types.NewError(e.Code, hide.Replace(e.Msg), hide.Replace(e.Details))
}

// oneLine puts joined errors on one line.
func oneLine(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\n", "; ") }

func code(err error) uint {
	var known *codedError
	var kubeErr *kube.Error
	var delegateErr *delegate.Error
	switch {
	case errors.As(err, &known):
		return known.code
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

// delegateErrors are the errors of plugins in err, which may be joined of several.
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
