package main

import (
	"encoding/json"
	"os"
)

// report is all that was measured. What was not is nil, which is null in JSON and '-' in the tables, and never a zero.
type report struct {
	Machine     machine       `json:"machine"`
	Rounds      int           `json:"rounds"`
	Warmup      int           `json:"warmup"`
	BinaryBytes int64         `json:"binaryBytes"`
	Verbs       []row         `json:"verbs"`
	Floor       *floorSummary `json:"floor"`
	Storm       []stormRow    `json:"storm"`
	Growth      *growth       `json:"growth"`
	Sweep       *sweep        `json:"sweep"`
	Targets     []target      `json:"targets"`
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
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
