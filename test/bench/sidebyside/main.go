// Command sidebyside draws what kactus and other meta-plugins take for the same operations, from
// figures that scripts/bench.sh --json has written. Its usage is: sidebyside SVG JSON...
//
// Each file of figures is a run of its own, with a part of the picture of its own: figures of two
// runs are not to be compared.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: sidebyside SVG JSON...")
		os.Exit(2)
	}
	if err := draw(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "sidebyside:", err)
		os.Exit(1)
	}
}

func draw(to string, from []string) error {
	var runs []run
	for _, path := range from {
		r, err := readRun(path)
		if err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
		runs = append(runs, r)
	}
	return os.WriteFile(to, picture(runs), 0o644)
}

// A run has the parts of the benchmark's report that are drawn.
type run struct {
	Date    string `json:"date"`
	Machine struct {
		Cores  int    `json:"cores"`
		CPU    string `json:"cpu"`
		Kernel string `json:"kernel"`
	} `json:"machine"`
	Rounds     int       `json:"rounds"`
	Subjects   []subject `json:"subjects"`
	Operations []row     `json:"operations"`
}

type subject struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// A row has the figures of one operation by one subject. What was not measured is nil.
type row struct {
	Subject   string `json:"subject"`
	Operation string `json:"operation"`
	Networks  int    `json:"networks"`
	Wall      *took  `json:"wallMs"`
	PeakKiB   *int64 `json:"peakKiB"`
	Requests  *int   `json:"requests"`
}

type took struct {
	Median float64 `json:"median"`
}

func readRun(path string) (run, error) {
	var r run
	data, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, err
	}
	if len(r.Operations) == 0 || len(r.Subjects) == 0 {
		return r, errors.New("no operations: not measured")
	}
	return r, nil
}

// find returns the row of an operation by a subject, or an empty one.
func (r run) find(subject, operation string, networks int) row {
	for _, w := range r.Operations {
		if w.Subject == subject && w.Operation == operation && w.Networks == networks {
			return w
		}
	}
	return row{}
}
