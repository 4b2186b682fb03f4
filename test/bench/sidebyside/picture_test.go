package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const docs = "../../../docs/"

// figures are the files that docs/side-by-side.svg is drawn from, in its order.
var figures = []string{docs + "side-by-side.json", docs + "side-by-side-thick.json"}

func TestDraw_DocumentsHaveThePictureOfTheirFigures(t *testing.T) {
	drawn := filepath.Join(t.TempDir(), "side-by-side.svg")
	if err := draw(drawn, figures); err != nil {
		t.Fatal(err)
	}
	got, want := read(t, docs+"side-by-side.svg"), read(t, drawn)
	if !bytes.Equal(got, want) {
		t.Errorf("docs/side-by-side.svg is not what its figures give; draw it again:\n" +
			"go run ./test/bench/sidebyside docs/side-by-side.svg docs/side-by-side.json docs/side-by-side-thick.json")
	}
}

func TestPicture_HasEveryFigure(t *testing.T) {
	r := run{Date: "26 November 2026", Rounds: 3}
	r.Subjects = []subject{{Name: nameAlone}, {"kactus", "1.0"}, {"<peer>", ""}}
	peak, requests := int64(11<<10), 12
	r.Operations = []row{
		{Subject: nameAlone, Operation: "ADD", Networks: 10, Wall: &took{100}},
		{Subject: "kactus", Operation: "ADD", Networks: 10, Wall: &took{80}, PeakKiB: &peak, Requests: &requests},
		{Subject: "<peer>", Operation: "ADD", Networks: 10, Wall: &took{4321}},
		{Subject: "kactus", Operation: "hot DEL", Networks: 1, Wall: &took{28.44}},
	}
	texts := textsOf(t, picture([]run{r}))
	for _, want := range []string{
		"Median ms of 3 rounds, in brackets the ratio to delegates alone. 26 November 2026", "kactus 1.0", "<peer>",
		"ADD, 10 networks", "100.0", "80.0 (0.80)", "4321.0 (43.21)", "hot DEL", "28.4", "11.0", "12",
	} {
		if !strings.Contains(texts, "\n"+want+"\n") {
			t.Errorf("no text %q in the picture; its texts:%s", want, texts)
		}
	}
	if strings.Contains(texts, "hot ADD") {
		t.Error("the picture has a panel without a figure, of hot ADD")
	}
}

func TestDraw_RefusesFiguresWithoutOperations(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "figures.json")
	if err := os.WriteFile(empty, []byte(`{"rounds": 1, "operations": null}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := draw(filepath.Join(t.TempDir(), "none.svg"), []string{empty}); err == nil {
		t.Error("no error")
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// textsOf returns the texts of a picture, a line each.
func textsOf(t *testing.T, svg []byte) string {
	t.Helper()
	texts := "\n"
	for decoder := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := token.(xml.CharData); ok {
			texts += string(text) + "\n"
		}
	}
}
