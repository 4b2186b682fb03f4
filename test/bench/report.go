package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

// report is all that was measured. What was not is nil, which the table prints as '-'.
type report struct {
	Machine machine `json:"machine"`
	Rounds  int     `json:"rounds"`
	Warmup  int     `json:"warmup"`
	Verbs   []row   `json:"verbs,omitempty"`
}

// row is what one verb costs one subject.
type row struct {
	Subject  string   `json:"subject"`
	Verb     verb     `json:"verb"`
	Networks int      `json:"networks"`
	Wall     *summary `json:"wallMs"`
	CPU      *summary `json:"cpuMs"`
	PeakKiB  *int64   `json:"peakKiB"` // of the meta-plugin's own process
	Requests *int     `json:"requests"`
	Fsyncs   *fsyncs  `json:"fsyncs"`
}

func (r *report) save(path string) error {
	if path == "" {
		return nil
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Clean(path), append(data, '\n'), 0o644)
}

func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "%s\n%d rounds after %d of warm-up; times in ms\n", r.Machine, r.Rounds, r.Warmup)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	r.printVerbs(table)
	_ = table.Flush()
}

func (r *report) printVerbs(w io.Writer) {
	if len(r.Verbs) == 0 {
		return
	}
	line(w, "\nverb", "n", "by", "median", "min", "p90", "cpu", "peak MiB", "requests", "fsyncs")
	for _, v := range r.Verbs {
		line(w, string(v.Verb), fmt.Sprint(v.Networks), v.Subject, v.Wall.median(), v.Wall.min(), v.Wall.p90(), v.CPU.median(), mebibytes(v.PeakKiB), count(v.Requests), v.Fsyncs.total())
	}
}

// line writes the cells of a table's line.
func line(w io.Writer, cells ...string) { fmt.Fprintln(w, strings.Join(cells, "\t")+"\t") }

// unmeasured stands for a figure that there is none of.
const unmeasured = "-"

func (s *summary) median() string {
	if s == nil {
		return unmeasured
	}
	return fmt.Sprintf("%.1f", s.Median)
}

func (s *summary) min() string {
	if s == nil {
		return unmeasured
	}
	return fmt.Sprintf("%.1f", s.Min)
}

func (s *summary) p90() string {
	if s == nil {
		return unmeasured
	}
	return fmt.Sprintf("%.1f", s.P90)
}

func (f *fsyncs) total() string {
	if f == nil {
		return unmeasured
	}
	return fmt.Sprint(f.Total)
}

func mebibytes(kib *int64) string {
	if kib == nil {
		return unmeasured
	}
	return fmt.Sprintf("%.1f", float64(*kib)/1024)
}

func count(n *int) string {
	if n == nil {
		return unmeasured
	}
	return fmt.Sprint(*n)
}
