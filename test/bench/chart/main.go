// Command chart draws the curves of scripts/bench.sh. Its usage is: chart JSON SVG.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"image/color"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: chart JSON SVG")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

// report has the parts of the benchmark's report that are drawn.
type report struct {
	Growth *struct {
		Networks      []point `json:"networks"`
		LedgerEntries []point `json:"ledgerEntries"`
		PodKB         []point `json:"podKB"`
	} `json:"growth"`
}

type point struct {
	Subject string `json:"subject"`
	X       int    `json:"x"`
	Add     *took  `json:"addMs"`
	Del     *took  `json:"delMs"`
}

type took struct {
	Median float64 `json:"median"`
}

func run(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var r report
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("reading %s: %w", from, err)
	}
	if r.Growth == nil {
		return fmt.Errorf("reading %s: no curves: not measured", from)
	}
	add := func(p point) *took { return p.Add }
	del := func(p point) *took { return p.Del }
	var plots [2][2]*plot.Plot
	for i, c := range []struct {
		title, x string
		points   []point
		y        func(point) *took
	}{
		{"ADD", "networks", r.Growth.Networks, add},
		{"DEL", "networks", r.Growth.Networks, del},
		{"ADD of one network", "other Pods in the ledger", r.Growth.LedgerEntries, add},
		{"ADD without networks", "KB of the Pod's object", r.Growth.PodKB, add},
	} {
		p, err := curve(c.title, c.x, c.points, c.y)
		if err != nil {
			return err
		}
		plots[i/2][i%2] = p
	}
	return save(plots, to)
}

// curve draws a line of the medians for each subject. Points that were not measured are left out.
func curve(title, x string, points []point, y func(point) *took) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, "ms"
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	lines := map[string]plotter.XYs{}
	var subjects []string // in the order of the report
	for _, pt := range points {
		t := y(pt)
		if t == nil {
			continue
		}
		if lines[pt.Subject] == nil {
			subjects = append(subjects, pt.Subject)
		}
		lines[pt.Subject] = append(lines[pt.Subject], plotter.XY{X: float64(pt.X), Y: t.Median})
	}
	for i, subject := range subjects {
		line, dots, err := plotter.NewLinePoints(lines[subject])
		if err != nil {
			return nil, fmt.Errorf("drawing %s of %s: %w", title, subject, err)
		}
		line.Color, line.Width = plotutil.Color(i), vg.Points(1.5)
		dots.Color, dots.Shape = plotutil.Color(i), plotutil.Shape(i)
		p.Add(line, dots)
		p.Legend.Add(subject, line, dots)
	}
	p.Y.Min = 0
	p.Y.Max *= 1.25 // space for the legend
	return p, nil
}

func save(plots [2][2]*plot.Plot, to string) error {
	svg := vgsvg.New(24*vg.Centimeter, 16*vg.Centimeter)
	canvas := draw.New(svg)
	canvas.SetColor(color.White) // readable on a dark page too
	canvas.Fill(canvas.Rectangle.Path())
	tiles := draw.Tiles{Rows: 2, Cols: 2, PadX: vg.Centimeter, PadY: vg.Centimeter, PadTop: vg.Points(6),
		PadBottom: vg.Points(6), PadLeft: vg.Points(6), PadRight: vg.Points(12)}
	rows := [][]*plot.Plot{plots[0][:], plots[1][:]}
	for i, row := range plot.Align(rows, tiles, canvas) {
		for j, c := range row {
			plots[i][j].Draw(c)
		}
	}
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = svg.WriteTo(file)
	return errors.Join(err, file.Close())
}
