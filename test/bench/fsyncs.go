package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
)

// fsyncs counts how often an operation waited for the disk.
type fsyncs struct {
	Total int `json:"total"`
	// FilesBefore and DirsBefore count the fsyncs of files and directories before the first
	// delegate ran.
	FilesBefore int `json:"filesBeforeFirstDelegate"`
	DirsBefore  int `json:"directoriesBeforeFirstDelegate"`
}

// fsyncCounter is the runner that counts the fsyncs of a command and of all processes that it
// starts, by strace. It makes a command several times slower.
type fsyncCounter struct{ fsyncs }

func (t *fsyncCounter) run(c command) ([]byte, error) {
	log, err := os.CreateTemp("", "strace-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(log.Name())
	defer log.Close()
	args := append([]string{"-f", "-qq", "-y", "-e", "trace=execve,fsync,fdatasync,sync,syncfs", "-e", "signal=none",
		"-o", log.Name(), c.path}, c.args...)
	strace := command{path: "strace", args: args, stdin: c.stdin, env: c.env}
	stdout, err := new(cpuTimer).run(strace)
	if err != nil {
		return nil, err
	}
	calls, err := os.ReadFile(log.Name())
	if err == nil {
		err = t.count(calls)
	}
	return stdout, err
}

var (
	execCall  = regexp.MustCompile(`^\d+ +execve\(`)
	fsyncCall = regexp.MustCompile(`^\d+ +(?:fsync|fdatasync|syncfs|sync)\((?:\d+<(.*?)>)?`)
)

// count parses strace's log. The first program in the log is the command itself, the second its
// first delegate.
func (t *fsyncCounter) count(log []byte) error {
	programs := 0
	for line := range bytes.Lines(log) {
		if execCall.Match(line) {
			programs++
			continue
		}
		m := fsyncCall.FindSubmatch(line)
		if m == nil {
			continue
		}
		t.Total++
		if programs > 1 {
			continue
		}
		// A file may have been renamed since. The directory of the ledger still exists.
		if info, err := os.Stat(string(m[1])); err == nil && info.IsDir() {
			t.DirsBefore++
		} else {
			t.FilesBefore++
		}
	}
	if programs == 0 {
		return fmt.Errorf("parsing the output of strace: no program: %q", log)
	}
	return nil
}
