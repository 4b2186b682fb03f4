// enterhost enters a mount namespace as the node agent does, in a process namespace of its own. It
// is started in new process and mount namespaces, which are the node's:
//
//	enterhost init DIR HOW   starts the next one, as the node's PID 1
//	enterhost agent DIR      calls EnterHost, and prints what there is afterwards
//	enterhost drop DIR       gives up CAP_SYS_ADMIN, and is the agent then
//
// HOW is how the agent is started. DIR has the file "where", which differs in the Pod, and the
// directory "volume", of which the Pod has a bind mount at "account".
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/agent"
)

// opened tells the process that opened the files from the one that it executed.
var opened bool

func main() {
	var err error
	dir := os.Args[2]
	switch os.Args[1] {
	case "init":
		err = asInit(dir, os.Args[3])
	case "agent":
		err = asAgent(dir)
	case "drop":
		err = errors.Join(unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_ADMIN, 0, 0, 0),
			syscall.Exec("/proc/self/exe", []string{"enterhost", "agent", dir}, os.Environ()))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func asInit(dir, how string) error {
	err := errors.Join(
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("proc", "/proc", "proc", 0, ""),
		unix.Mount("tmpfs", dir, "tmpfs", 0, ""),
		os.WriteFile(filepath.Join(dir, "where"), []byte("node"), 0o644),
		os.Mkdir(filepath.Join(dir, "volume"), 0o755),
		os.Mkdir(filepath.Join(dir, "account"), 0o755),
		os.Chmod(dir, 0o755),
		update(dir, "first"))
	if err != nil {
		return err
	}
	if how == "PID 1" {
		return asAgent(dir)
	}
	content, err := os.ReadFile("/proc/self/exe")
	program := filepath.Join(dir, "enterhost") // which another user can execute too
	if err := errors.Join(err, os.WriteFile(program, content, 0o755)); err != nil {
		return err
	}
	cmd := exec.Command(program, "agent", dir)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "IN_POD=yes")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	switch how {
	case "on the node":
		cmd.SysProcAttr = nil
		cmd.Env = os.Environ()
	case "without CAP_SYS_ADMIN":
		cmd.Args[1] = "drop"
		cmd.Env = os.Environ()
	case "without root":
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
		cmd.Env = os.Environ()
	}
	return cmd.Run()
}

// update renews the token as the kubelet does: the file is a link through the link ..data.
func update(dir, token string) error {
	volume := func(name string) string { return filepath.Join(dir, "volume", name) }
	err := errors.Join(
		os.Mkdir(volume(".."+token), 0o755),
		os.WriteFile(volume(".."+token+"/token"), []byte(token), 0o644),
		os.Symlink(".."+token, volume("..tmp")),
		os.Rename(volume("..tmp"), volume("..data")))
	if _, missing := os.Lstat(volume("token")); missing != nil {
		err = errors.Join(err, os.Symlink("..data/token", volume("token")))
	}
	return err
}

// makePod changes the mounts, unless that is done, as the container runtime does.
func makePod(dir string) error {
	return errors.Join(
		unix.Mount(filepath.Join(dir, "volume"), filepath.Join(dir, "account"), "", unix.MS_BIND, ""),
		unix.Mount("tmpfs", filepath.Join(dir, "volume"), "tmpfs", 0, ""), // hides the node's
		os.WriteFile(filepath.Join(dir, "pod"), []byte("pod"), 0o644),
		unix.Mount(filepath.Join(dir, "pod"), filepath.Join(dir, "where"), "", unix.MS_BIND, ""))
}

func open(dir string) (map[string]*os.File, error) {
	opened = true
	if os.Getenv("IN_POD") != "" {
		if err := makePod(dir); err != nil {
			return nil, err
		}
	}
	account, err := os.Open(filepath.Join(dir, "account"))
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "account", "probes.sock"))
	if err != nil {
		return nil, err
	}
	file, err := listener.(*net.UnixListener).File()
	return map[string]*os.File{"account": account, "probes": file}, err
}

// A report is what the agent finds after EnterHost.
type report struct {
	Executed         bool
	Args             []string
	Name, Where      string
	WorkingDirectory string
	Tokens           []string
	Probe            string
	Environment      []string // of a program that the agent executes
	Leaked           []string // files that such a program would inherit
}

func asAgent(dir string) error {
	files, err := agent.EnterHost(func() (map[string]*os.File, error) { return open(dir) })
	if err != nil {
		return err
	}
	r := report{Executed: !opened, Args: os.Args[1:]}
	where, err := os.ReadFile(filepath.Join(dir, "where"))
	name, errName := os.ReadFile("/proc/self/comm")
	cwd, errCwd := os.Getwd()
	if err := errors.Join(err, errName, errCwd); err != nil {
		return err
	}
	r.Where, r.Name, r.WorkingDirectory = string(where), strings.TrimSpace(string(name)), cwd
	if r.Executed {
		if err := r.useFiles(dir, files); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

func (r *report) useFiles(dir string, files map[string]*os.File) error {
	account := agent.PathOf(files["account"])
	for _, renewed := range []string{"second", "third"} {
		token, err := os.ReadFile(filepath.Join(account, "token"))
		if err := errors.Join(err, update(dir, renewed)); err != nil {
			return err
		}
		r.Tokens = append(r.Tokens, string(token))
	}
	listener, err := net.FileListener(files["probes"])
	if err != nil {
		return err
	}
	defer listener.Close()
	go func() {
		if conn, err := listener.Accept(); err == nil {
			fmt.Fprint(conn, "ok")
			conn.Close()
		}
	}()
	conn, err := net.Dial("unix", filepath.Join(account, "probes.sock"))
	if err != nil {
		return err
	}
	defer conn.Close()
	answer := make([]byte, 2)
	_, err = conn.Read(answer)
	r.Probe = string(answer)
	env, errEnv := exec.Command("env").Output()
	r.Environment = strings.Fields(string(env))
	for name, file := range files {
		flags, errFlags := unix.FcntlInt(file.Fd(), unix.F_GETFD, 0)
		if err = errors.Join(err, errFlags); flags&unix.FD_CLOEXEC == 0 {
			r.Leaked = append(r.Leaked, name)
		}
	}
	return errors.Join(err, errEnv)
}
