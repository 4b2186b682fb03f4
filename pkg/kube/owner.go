package kube

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// checkOwner says whether nobody but root and this user can have written the kubeconfig: it decides whom a Pod's networks are asked of,
// and who gets the credentials.
func checkOwner(kubeconfig string) error {
	var st unix.Stat_t
	if err := unix.Stat(kubeconfig, &st); err != nil {
		return err
	}
	switch {
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return fmt.Errorf("it belongs to the user %d, not to root", st.Uid)
	case st.Mode&0o002 != 0 || st.Mode&0o020 != 0 && st.Gid != 0:
		return fmt.Errorf("its mode, %04o, lets others than root write to it", st.Mode&0o7777)
	}
	return nil
}

// Exposed is that others than root can read the kubeconfig, and so its token; nil where they cannot, and where that is not known.
func Exposed(kubeconfig string) error {
	var st unix.Stat_t
	if err := unix.Stat(kubeconfig, &st); err != nil {
		return nil
	}
	if st.Mode&0o004 == 0 && (st.Mode&0o040 == 0 || st.Gid == 0) {
		return nil
	}
	return fmt.Errorf("the mode of the kubeconfig %s, %04o, lets others than root read it: chmod 0600", kubeconfig, st.Mode&0o7777)
}
