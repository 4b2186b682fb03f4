package faults

import (
	"fmt"
	"slices"

	"github.com/containernetworking/cni/pkg/types"
)

// A podModel predicts what a Pod has, from the outcomes of its operations. It knows as much of
// kactus as a runtime does: what a killed operation leaves is uncertain until the next one that
// ends well.
type podModel struct {
	// has is indexed as randomNetworks.
	has [len(randomNetworks)]presence
	// closed is whether the Pod had its DEL, after which hot ADDs are refused.
	closed presence
	// lost is set when the Pod's network namespace is gone.
	lost bool
	// interrupted is set if an operation was killed since, whose temporary file may still be there.
	interrupted bool
}

type presence int

const (
	absent presence = iota
	present
	uncertain
)

// An outcome is how an operation ended.
type outcome struct {
	killed bool
	err    *types.Error
}

// mustFail returns an error unless the operation failed with that code, or with any if code is
// zero.
func (o outcome) mustFail(code uint) error {
	switch {
	case o.killed:
		return nil
	case o.err == nil:
		return fmt.Errorf("succeeded; want the error code %d", code)
	case code != 0 && o.err.Code != code:
		return fmt.Errorf("error code %d; want %d: %w", o.err.Code, code, o.err)
	default:
		return nil
	}
}

func (o outcome) mustSucceed() error {
	if o.killed || o.err == nil {
		return nil
	}
	return fmt.Errorf("failed with code %d: %w", o.err.Code, o.err)
}

func (m *podModel) any(p presence) bool {
	for _, has := range m.has {
		if has == p {
			return true
		}
	}
	return false
}

// clean reports whether it is certain that nothing is left of the Pod.
func (m *podModel) clean() bool { return !m.any(present) && !m.any(uncertain) }

func (m *podModel) set(networks []int, p presence) {
	for _, n := range networks {
		m.has[n] = p
	}
}

// judge returns what is wrong with the outcome of an operation other than GC, and updates the
// model.
func (m *podModel) judge(s step, o outcome) error {
	m.interrupted = o.killed || m.interrupted && o.err != nil
	switch s.operation {
	case "ADD":
		m.closed = m.closed.changed(absent, o, o.err == nil)
		return m.added(s, o)
	case "DEL":
		m.closed = m.closed.changed(present, o, true)
		return m.deleted(s, o)
	case "hot ADD":
		return m.hotAdded(s, o)
	case "hot DEL":
		return m.hotDeleted(s, o)
	default:
		return m.checked(o)
	}
}

// changed returns what p is after an operation that makes it to, if it is effective.
func (p presence) changed(to presence, o outcome, effective bool) presence {
	switch {
	case o.killed && p != to:
		return uncertain
	case o.killed || !effective:
		return p
	}
	return to
}

func (m *podModel) added(s step, o outcome) error {
	plan := append([]int{0}, randomPods[s.pod].networks...)
	fails := s.fault.inADD() && slices.Contains(plan, s.culprit)
	switch {
	case m.lost:
		return o.mustFail(8)
	case m.any(present): // refused, however it is killed
		return o.mustFail(104)
	case o.killed:
		m.set(plan, uncertain)
		return nil
	case m.any(uncertain): // with or without a record
		if o.err == nil {
			m.has = [len(randomNetworks)]presence{}
			m.set(plan, present)
		} else if s.fault.inDEL() {
			m.set(plan, uncertain)
		}
		return nil
	case s.fault.api() != 0:
		return o.mustFail(s.fault.api())
	case fails:
		if s.fault.inDEL() { // the rollback fails
			m.has[s.culprit] = uncertain
		}
		return o.mustFail(102)
	default:
		m.set(plan, present)
		return o.mustSucceed()
	}
}

func (m *podModel) deleted(s step, o outcome) error {
	before := *m
	// Where the ledger does not know a default network, the DEL runs for the netconf's, and records
	// what fails.
	ofNetconf := s.fault.inDEL() && s.culprit == 0 && before.has[0] == absent
	if o.killed {
		for n, has := range m.has {
			if has != absent {
				m.has[n] = uncertain
			}
		}
		if ofNetconf {
			m.has[0] = uncertain
		}
		return nil
	}
	m.has = [len(randomNetworks)]presence{}
	if ofNetconf {
		if o.err != nil {
			m.has[0] = uncertain
		}
		return nil
	}
	if !s.fault.inDEL() || before.has[s.culprit] == absent {
		return o.mustSucceed()
	}
	if o.err != nil {
		m.has[s.culprit] = uncertain
	}
	if before.has[s.culprit] == present {
		return o.mustFail(102)
	}
	return nil
}

func (m *podModel) hotAdded(s step, o outcome) error {
	has := &m.has[s.network]
	mine := s.culprit == s.network
	switch {
	case m.lost:
		return o.mustFail(8)
	case m.closed == present:
		return o.mustFail(3)
	case m.closed == uncertain && o.err != nil && o.err.Code == 3:
		m.closed = present
		return nil
	case *has == present: // attached already, whatever the fault
		return o.mustSucceed()
	case o.killed:
		*has = uncertain
		return nil
	case *has == uncertain:
		if o.err == nil {
			*has = present
		}
		if mine && (s.fault.inADD() || s.fault.inDEL()) || s.fault.api() != 0 {
			return nil
		}
		return o.mustSucceed()
	case s.fault.api() != 0:
		return o.mustFail(s.fault.api())
	case mine && s.fault.inADD():
		if s.fault.inDEL() {
			*has = uncertain
		}
		return o.mustFail(102)
	default:
		*has = present
		return o.mustSucceed()
	}
}

func (m *podModel) hotDeleted(s step, o outcome) error {
	has := &m.has[s.network]
	before := *has
	stuck := s.culprit == s.network && s.fault.inDEL()
	switch {
	case before == absent:
		return o.mustSucceed()
	case o.killed || stuck && o.err != nil:
		*has = uncertain
		return nil
	case stuck && before == present:
		return o.mustFail(102)
	default:
		*has = absent
		return o.mustSucceed()
	}
}

func (m *podModel) checked(o outcome) error {
	switch {
	case m.has[0] == absent:
		return o.mustFail(107)
	case m.any(uncertain):
		return nil
	case m.lost:
		return o.mustFail(8)
	default:
		return o.mustSucceed()
	}
}

// othersDel updates the model after a DEL of another Pod, which reclaims what may be left of one
// whose network namespace is gone.
func (m *podModel) othersDel(o outcome) {
	if !m.lost {
		return
	}
	m.interrupted = m.interrupted || o.killed
	for n, has := range m.has {
		if has == present {
			m.has[n] = uncertain
		}
	}
}

// collected updates the model after a GC that keeps the Pod or not. It considers only this Pod: the
// GC may have failed because of another. mayFail reports whether it may because of this one.
func (m *podModel) collected(s step, kept bool, o outcome) (mayFail bool) {
	if kept {
		return false
	}
	m.interrupted = m.interrupted || o.killed
	for n, has := range m.has {
		stuck := s.fault.inDEL() && s.culprit == n
		switch {
		case has == absent:
		case o.killed || stuck:
			m.has[n] = uncertain
			mayFail = true
		default:
			m.has[n] = absent
		}
	}
	return mayFail
}
