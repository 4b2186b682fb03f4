package faults

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"
)

// fullCampaign makes the tests try everything they can, instead of what fits in a few minutes.
var fullCampaign = flag.Bool("faults.full", false, "run the whole fault campaign")

// faultTableEnv names the file to which the rows of the table are added, one per line, with fields
// separated by tabs.
const faultTableEnv = "KACTUS_FAULT_TABLE"

// A fault is a row of the campaign's table.
type fault struct {
	name  string // what was done to kactus, or to what it needs
	tried int
	lost  int           // interfaces, leases, records, files and processes left behind, and operations that failed
	worst time.Duration // the longest time from the fault until everything was in order again
}

// count adds a try to the row: the time from the fault until everything was in order again, and
// what was lost.
func (f *fault) count(t *testing.T, what string, took time.Duration, lost ...string) {
	t.Helper()
	f.tried++
	f.lost += len(lost)
	f.worst = max(f.worst, took)
	for _, l := range lost {
		t.Errorf("%s: %s", what, l)
	}
}

// try adds a try that is a subtest, which returns the time until everything was in order again.
func (f *fault) try(t *testing.T, name string, attempt func(*testing.T) time.Duration) {
	t.Helper()
	f.tried++
	ok := t.Run(name, func(t *testing.T) { f.worst = max(f.worst, attempt(t)) })
	if !ok {
		f.lost++
	}
}

// report adds the row to the table, and fails the test if something was lost or nothing was tried.
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
