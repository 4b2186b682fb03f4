package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
)

// Lengths of the picture, in pixels.
const (
	width      = 960
	margin     = 16
	columns    = 5
	panelWidth = (width - 2*margin) / columns
	barLength  = 92
	barHeight  = 11
	barPitch   = 15
	lineHeight = 20
	panelGap   = 12
	// letterWidth is at least the mean width of a letter in the legend.
	letterWidth = 7
)

// colors are those of the subjects: gray for the delegates alone, and strong for kactus.
var colors = []string{"#9aa4b2", "#1f6feb", "#d9730d", "#8250df", "#1a7f37", "#bf3989", "#57606a"}

// A canvas is a picture that grows downward.
type canvas struct {
	body   bytes.Buffer
	y      int
	colors map[string]string // by the name of a subject, the same in all runs
}

// picture draws the runs one below the other. The ground is white, whatever the page's is.
func picture(runs []run) []byte {
	c := &canvas{y: margin, colors: map[string]string{}}
	for _, r := range runs {
		c.run(r)
	}
	var svg bytes.Buffer
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" role="img" width="%d" height="%d"`, width, c.y)
	fmt.Fprintf(&svg, ` viewBox="0 0 %d %d">`+"\n", width, c.y)
	svg.WriteString("<!-- Drawn by test/bench/sidebyside: change the figures, not this file. -->\n" +
		"<title>Time and memory of kactus and other meta-plugins, side by side</title>\n" +
		"<style>text { font: 11px system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', sans-serif; " +
		"fill: #1f2328 } .t { font-weight: 600 }</style>\n")
	fmt.Fprintf(&svg, `<rect width="%d" height="%d" rx="6" fill="#ffffff"/>`+"\n", width, c.y)
	svg.Write(c.body.Bytes())
	svg.WriteString("</svg>\n")
	return svg.Bytes()
}

func (c *canvas) run(r run) {
	c.y += lineHeight / 2
	c.text(margin, c.y, "t", r.heading())
	c.y += lineHeight
	c.legend(r)
	for _, line := range r.lines() {
		for i, p := range line {
			c.panel(margin+i*panelWidth, r, p)
		}
		c.y += lineHeight + len(r.Subjects)*barPitch + panelGap
	}
}

func (r run) heading() string {
	heading := fmt.Sprintf("Median ms of %d rounds", r.Rounds)
	if r.Subjects[0].Name == nameAlone {
		heading += ", in brackets the ratio to " + nameAlone
	}
	facts := []string{r.Date}
	if r.Machine.Cores > 0 {
		facts = append(facts, fmt.Sprintf("%d cores of %s", r.Machine.Cores, r.Machine.CPU))
	}
	if r.Machine.Kernel != "" {
		facts = append(facts, "Linux "+r.Machine.Kernel)
	}
	return heading + ". " + strings.Join(facts, ", ")
}

func (c *canvas) legend(r run) {
	x := margin
	for _, s := range r.Subjects {
		text := strings.TrimSpace(s.Name + " " + s.Version)
		length := barHeight + 24 + letterWidth*len(text)
		if x+length > width {
			x, c.y = margin, c.y+lineHeight
		}
		c.rect(x, c.y-barHeight+2, barHeight, c.color(s.Name))
		c.text(x+barHeight+5, c.y, "", text)
		x += length
	}
	c.y += lineHeight + panelGap
}

func (c *canvas) color(subject string) string {
	if c.colors[subject] == "" {
		c.colors[subject] = colors[len(c.colors)%len(colors)]
	}
	return c.colors[subject]
}

func (c *canvas) panel(x int, r run, p panel) {
	c.text(x, c.y, "t", p.title)
	most := p.most()
	for i, figure := range p.figures {
		y, length := c.y+lineHeight/2+i*barPitch, 0
		if figure != nil && most > 0 {
			length = max(int(min(*figure/most, 1)*barLength), 1)
			c.rect(x, y, length, c.color(r.Subjects[i].Name))
			if *figure > most {
				c.interrupt(x+length*3/4, y)
			}
		}
		c.text(x+length+4, y+barHeight-2, "", p.label(i))
	}
}

// interrupt marks a bar that is shorter than its figure.
func (c *canvas) interrupt(x, y int) {
	fmt.Fprintf(&c.body, `<path d="M%d %dl4 %dh4l-4 -%dz" fill="#ffffff"/>`+"\n", x, y, barHeight, barHeight)
}

func (c *canvas) rect(x, y, width int, color string) {
	fmt.Fprintf(&c.body, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", x, y, width, barHeight, color)
}

func (c *canvas) text(x, y int, class, text string) {
	if class != "" {
		class = ` class="` + class + `"`
	}
	fmt.Fprintf(&c.body, `<text x="%d" y="%d"%s>`, x, y, class)
	_ = xml.EscapeText(&c.body, []byte(text)) // a bytes.Buffer takes everything
	c.body.WriteString("</text>\n")
}
