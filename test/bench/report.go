package main

import (
	"encoding/json"
	"os"
)

// A report has all figures. A figure that was not measured is nil, which is null in JSON and '-' in
// the tables, never zero.
type report struct {
	Date        string        `json:"date"`
	Machine     machine       `json:"machine"`
	Rounds      int           `json:"rounds"`
	Warmup      int           `json:"warmup"`
	BinaryBytes int64         `json:"binaryBytes"`
	Subjects    []named       `json:"subjects"`
	Operations  []row         `json:"operations"`
	Floor       *floorSummary `json:"floor"`
	Storm       []stormRow    `json:"storm"`
	Growth      *growth       `json:"growth"`
	Sweep       *sweep        `json:"sweep"`
	Agent       *agentFigures `json:"agent"`
	Targets     []target      `json:"targets"`
}

// A row is the cost of one operation for one subject.
type row struct {
	Subject   string    `json:"subject"`
	Operation operation `json:"operation"`
	Networks  int       `json:"networks"`
	Wall      *summary  `json:"wallMs"`
	CPU       *summary  `json:"cpuMs"`
	PeakKiB   *int64    `json:"peakKiB"` // of the meta-plugin's own process
	Requests  *int      `json:"requests"`
	Fsyncs    *fsyncs   `json:"fsyncs"`
}

func (r *report) save(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
