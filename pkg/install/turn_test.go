package install

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func (s *site) turn() *Turn {
	s.Helper()
	t, err := s.Turn()
	s.must(err)
	s.Cleanup(t.End)
	return t
}

func (s *site) mine(t *Turn, want bool, when string) {
	s.Helper()
	got, err := t.Mine()
	s.must(err)
	if got != want {
		s.Errorf("%s: in charge is %v, want %v", when, got, want)
	}
}

func TestTheInstallerThatCameLastIsInCharge(t *testing.T) {
	s := newSite(t)
	old := s.turn()
	s.mine(old, true, "alone")
	update := s.turn()
	s.mine(old, false, "after the update came")
	s.mine(update, true, "the update")
	update.End()
	s.mine(old, true, "after the update ended")
	s.must(s.turn().file.Close()) // as the kernel does when a process is killed
	s.mine(old, true, "after another update was killed")
	left, err := filepath.Glob(s.ConfDir + "/kactus.d/installer-*")
	s.must(err)
	if len(left) != 1 {
		s.Errorf("the dead leave %q", left)
	}
}

func TestAnInstallerStaysInChargeAfterSomebodyUninstalled(t *testing.T) {
	s := newSite(t)
	turn := s.turn()
	s.install()
	if _, err := s.Uninstall(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.ConfDir + "/kactus.d"); err == nil {
		t.Error("the installer's own files are left")
	}
	s.mine(turn, true, "after an uninstallation")
}

func TestOneInstallerOfManyIsInCharge(t *testing.T) {
	s := newSite(t)
	turns := make([]*Turn, 20)
	var all sync.WaitGroup
	for n := range turns {
		all.Go(func() { turns[n] = s.turn() })
	}
	all.Wait()
	charge := 0
	for _, turn := range turns {
		mine, err := turn.Mine()
		s.must(err)
		if mine {
			charge++
		}
	}
	if charge != 1 {
		t.Errorf("%d are in charge", charge)
	}
}
