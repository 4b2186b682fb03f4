package faults

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"
)

// fullCampaign makes the campaign's tests, TestFault…, try all that they can; without it they try what a few minutes allow.
var fullCampaign = flag.Bool("faults.full", false, "run the whole fault campaign")

// faultTableEnv names the file that the campaign's rows are added to, one a line, its fields parted by tabs.
const faultTableEnv = "KACTUS_FAULT_TABLE"

// fault is a row of the campaign's table.
type fault struct {
	name  string        // what was done to kactus, or to what it needs
	tried int           // how many times
	lost  int           // devices, leases, records, temporary files and processes that stayed, or verbs that failed and were not hit
	worst time.Duration // the longest from the fault until all was well again
}

// count adds a try to the row: how long it took from the fault until all was well again, and what was lost.
func (f *fault) count(t *testing.T, what string, took time.Duration, lost ...string) {
	t.Helper()
	f.tried++
	f.lost += len(lost)
	f.worst = max(f.worst, took)
	for _, l := range lost {
		t.Errorf("%s: %s", what, l)
	}
}

// try is one of the times: a test of its own, which gives how long it took until all was well.
func (f *fault) try(t *testing.T, name string, attempt func(*testing.T) time.Duration) {
	t.Helper()
	f.tried++
	well := t.Run(name, func(t *testing.T) { f.worst = max(f.worst, attempt(t)) })
	if !well {
		f.lost++
	}
}

// report adds a row to the table, and fails the test if something was lost, or nothing tried.
func (f fault) report(t *testing.T) {
	t.Helper()
	row := fmt.Sprintf("%s\t%d\t%d\t%s", f.name, f.tried, f.lost, f.worst.Round(time.Millisecond))
	t.Log(row)
	if f.lost > 0 || f.tried == 0 {
		t.Errorf("%s: tried %d times, lost %d", f.name, f.tried, f.lost)
	}
	path := os.Getenv(faultTableEnv)
	if path == "" {
		return
	}
	table, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatalf("open the table of faults: %v", err)
	}
	defer table.Close()
	if _, err := fmt.Fprintln(table, row); err != nil {
		t.Fatalf("add to the table of faults: %v", err)
	}
}
