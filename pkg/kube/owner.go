package kube

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// checkOwner returns an error if anyone but root and the current user may have written the
// kubeconfig: it decides which server kactus trusts, and which one gets the credentials.
func checkOwner(kubeconfig string) error {
	var st unix.Stat_t
	if err := unix.Stat(kubeconfig, &st); err != nil {
		return err
	}
	switch {
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return fmt.Errorf("owned by user %d, must be owned by root", st.Uid)
	case st.Mode&0o002 != 0 || st.Mode&0o020 != 0 && st.Gid != 0:
		return fmt.Errorf("mode %04o, must be writable by root alone", st.Mode&0o7777)
	}
	return nil
}

// Exposed returns an error if users other than root can read the kubeconfig, and so its token. It
// returns nil where they cannot, and where that is not known.
func Exposed(kubeconfig string) error {
	var st unix.Stat_t
	if err := unix.Stat(kubeconfig, &st); err != nil {
		return nil
	}
	if st.Mode&0o004 == 0 && (st.Mode&0o040 == 0 || st.Gid == 0) {
		return nil
	}
	return fmt.Errorf("kubeconfig %s: mode %04o lets users other than root read the token, should be 0600",
		kubeconfig, st.Mode&0o7777)
}
