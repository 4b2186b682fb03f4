package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
)

// fsyncs counts the times that a verb waited for the disk.
type fsyncs struct {
	Total int `json:"total"`
	// FilesBefore and FoldersBefore are those before the meta-plugin ran its first delegate.
	FilesBefore   int `json:"filesBeforeFirstDelegate"`
	FoldersBefore int `json:"foldersBeforeFirstDelegate"`
}

// tracer is the runner that counts fsyncs, of a command and of all that it starts, by strace. That makes a command several times slower.
type tracer struct{ fsyncs }

func (t *tracer) run(c command) ([]byte, error) {
	log, err := os.CreateTemp("", "strace-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(log.Name())
	defer log.Close()
	args := append([]string{"-f", "-qq", "-y", "-e", "trace=execve,fsync,fdatasync,sync,syncfs", "-e", "signal=none", "-o", log.Name(), c.path}, c.args...)
	strace := command{path: "strace", args: args, stdin: c.stdin, env: c.env}
	stdout, err := new(clock).run(strace)
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

// count reads strace's log, in which the first program is the command itself and the second its first delegate.
func (t *tracer) count(log []byte) error {
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
		// A file may have another name by now; a folder of the ledger's stays.
		if info, err := os.Stat(string(m[1])); err == nil && info.IsDir() {
			t.FoldersBefore++
		} else {
			t.FilesBefore++
		}
	}
	if programs == 0 {
		return fmt.Errorf("strace says nothing of the program: %q", log)
	}
	return nil
}
