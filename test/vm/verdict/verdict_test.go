package verdict_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/vm/verdict"
)

func TestRead_ReturnsWhatWasWritten(t *testing.T) {
	sent := []verdict.Verdict{
		{Behavior: "seen", Took: time.Second},
		{Behavior: "missing", Failure: "in\ntwo lines"},
	}
	var line bytes.Buffer
	for _, v := range sent {
		if err := verdict.Write(&line, v); err != nil {
			t.Fatal(err)
		}
	}
	if err := verdict.Done(&line); err != nil {
		t.Fatal(err)
	}
	serial := strings.ReplaceAll(line.String(), "\n", "\r\n") // as a terminal ends lines
	var got []verdict.Verdict
	if err := verdict.Read(strings.NewReader(serial), func(v verdict.Verdict) { got = append(got, v) }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, sent) {
		t.Errorf("read %v; want %v", got, sent)
	}
}

func TestRead_Truncated(t *testing.T) {
	for what, stream := range map[string]string{
		"empty":                   "",
		"after a verdict":         `{"behavior":"seen","took":1}` + "\r\n",
		"in the middle of a line": `{"behavior":"seen","took":1}` + "\r\n" + `{"behav`,
	} {
		t.Run(what, func(t *testing.T) {
			err := verdict.Read(strings.NewReader(stream), func(verdict.Verdict) {})
			if !errors.Is(err, verdict.ErrTruncated) {
				t.Errorf("error %v; want %v", err, verdict.ErrTruncated)
			}
		})
	}
}
