package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// filesEnv is the environment variable by which EnterHost tells the program that it executes which
// descriptors are for it: a JSON object from names to numbers.
const filesEnv = "KACTUS_AGENT_FILES"

// EnterHost returns when the process is in the mount namespace of PID 1, which in a Pod with
// hostPID is the node's, with the files that open opened where the process was started. There, the
// working directory and the root directory are those of the namespace.
//
// A process with several threads cannot enter a mount namespace. So EnterHost has one of them do
// it, which then executes the program again, with the same arguments and environment: everything
// before the call happens twice. The second time, open is not called, and the files are those that
// the program has inherited. A directory that open opened can be read through [PathOf]. If the
// process is in the namespace already, nothing is executed.
//
// The program must be static: what it would be linked with is not the node's.
func EnterHost(open func() (map[string]*os.File, error)) (map[string]*os.File, error) {
	files, err := enterHost(open)
	if err != nil {
		return nil, fmt.Errorf("enter the node's mount namespace: %w", err)
	}
	return files, nil
}

// PathOf returns the path by which this process, and no other, reaches an open file. It ends with
// the file, which must therefore stay in use.
func PathOf(file *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", file.Fd()) }

func enterHost(open func() (map[string]*os.File, error)) (map[string]*os.File, error) {
	inherited, again := os.LookupEnv(filesEnv)
	if err := os.Unsetenv(filesEnv); err != nil { // not for the programs that this one executes
		return nil, err
	}
	host, entered, err := hostMounts()
	if err != nil {
		return nil, err
	}
	defer host.Close()
	switch {
	case entered && again:
		return inheritedFiles(inherited)
	case again: // the next time would be the same
		return nil, errors.New(filesEnv + ": set, but the process is not in that namespace; " +
			"the variable must not be set, and /proc must show the processes of the node")
	}
	files, err := open()
	if err != nil || entered {
		return files, err
	}
	return nil, executeIn(host, files)
}

// hostMounts opens the mount namespace of PID 1, and reports whether the process is in it.
func hostMounts() (host *os.File, entered bool, err error) {
	if os.Getpid() == 1 {
		return nil, false, errors.New("the process is PID 1 itself: the Pod needs hostPID: true")
	}
	host, err = os.Open("/proc/1/ns/mnt")
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w: the container must be privileged, or have CAP_SYS_PTRACE", err)
	}
	if err != nil {
		return nil, false, err
	}
	theirs, err := host.Stat()
	ours, errOurs := os.Stat("/proc/self/ns/mnt")
	if err := errors.Join(err, errOurs); err != nil {
		return nil, false, errors.Join(err, host.Close())
	}
	return host, os.SameFile(theirs, ours), nil
}

// inheritedFiles returns the files of descriptors that an earlier run of the program left open.
// They are closed when this one executes another program.
func inheritedFiles(encoded string) (map[string]*os.File, error) {
	var numbers map[string]int
	if err := json.Unmarshal([]byte(encoded), &numbers); err != nil {
		return nil, fmt.Errorf("%s: %w", filesEnv, err)
	}
	files := make(map[string]*os.File, len(numbers))
	for name, number := range numbers {
		// A descriptor that is closed at an exec was not inherited: it is the Go runtime's.
		flags, err := unix.FcntlInt(uintptr(number), unix.F_GETFD, 0)
		if err != nil || number <= 2 || flags&unix.FD_CLOEXEC != 0 {
			return nil, fmt.Errorf("%s: %s: %d is not an inherited descriptor", filesEnv, name, number)
		}
		unix.CloseOnExec(number)
		files[name] = os.NewFile(uintptr(number), name)
	}
	setProcessName()
	return files, nil
}

// setProcessName gives the process the name that it had before it was executed through a
// descriptor, whose number is its name otherwise. It is for ps and the like only.
func setProcessName() { _ = os.WriteFile("/proc/self/comm", []byte(filepath.Base(os.Args[0])), 0) }

// executeIn executes the program again in the mount namespace host, with files. It returns only if
// that fails.
func executeIn(host *os.File, files map[string]*os.File) error {
	program, err := os.Open("/proc/self/exe") // while that can be found
	if err != nil {
		return err
	}
	defer program.Close()
	env, closeCopies, err := passOn(files)
	defer closeCopies()
	if err != nil {
		return err
	}
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: if the exec fails, nothing else must run on this thread
		failed <- executeOnThread(host, program, env)
	}()
	return <-failed
}

// passOn returns the environment of a program that is to inherit copies of files, and a function
// that closes the copies.
func passOn(files map[string]*os.File) (env []string, closeCopies func(), err error) {
	numbers := map[string]int{}
	closeCopies = func() {
		for _, number := range numbers {
			_ = unix.Close(number)
		}
	}
	for name, file := range files {
		number, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD, 3) // without close-on-exec
		runtime.KeepAlive(file)
		if err != nil {
			return nil, closeCopies, fmt.Errorf("copy the descriptor of %s: %w", file.Name(), err)
		}
		numbers[name] = number
	}
	encoded, err := json.Marshal(numbers)
	return append(os.Environ(), filesEnv+"="+string(encoded)), closeCopies, err
}

func executeOnThread(host, program *os.File, env []string) error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // as setns requires
		return fmt.Errorf("unshare the thread's directories: %w", err)
	}
	if err := unix.Setns(int(host.Fd()), unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("setns: %w: the container must be privileged, "+
			"or have CAP_SYS_ADMIN and CAP_SYS_CHROOT without a user namespace", err)
	}
	path := PathOf(program)
	if err := syscall.Exec(path, os.Args, env); err != nil {
		return fmt.Errorf("execute %s there, through %s: %w", program.Name(), path, err)
	}
	return nil
}
