package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// resources are what a running process has used.
type resources struct {
	// cpu is the processor time of the process and of those that it waited for.
	cpu time.Duration
	// own is the processor time of the process alone.
	own             time.Duration
	rssKiB, peakKiB int64
}

var (
	residentSize = regexp.MustCompile(`VmRSS:\s*(\d+) kB`)
	highWater    = regexp.MustCompile(`VmHWM:\s*(\d+) kB`)
)

// resourcesOf returns what a running process has used until now.
func resourcesOf(pid int) (resources, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return resources{}, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return resources{}, err
	}
	u := resources{}
	// The name of the program, in parentheses, may contain anything.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	const utime, stime, cstime, tick = 11, 12, 14, 10 * time.Millisecond
	for i, field := range fields[utime : cstime+1] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return resources{}, err
		}
		u.cpu += time.Duration(ticks) * tick
		if i <= stime-utime {
			u.own += time.Duration(ticks) * tick
		}
	}
	if u.rssKiB, err = kib(residentSize, status); err != nil {
		return resources{}, err
	}
	u.peakKiB, err = kib(highWater, status)
	return u, err
}

// kib returns a size from a process's /proc/PID/status.
func kib(size *regexp.Regexp, status []byte) (int64, error) {
	found := size.FindSubmatch(status)
	if found == nil {
		return 0, fmt.Errorf("reading /proc/PID/status: no match of %s", size)
	}
	return strconv.ParseInt(string(found[1]), 10, 64)
}
