package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// floor measures the least that any meta-plugin costs which reads from an apiserver.
type floor struct{ empty, get *process }

// floorSummary has the times of the floor. Handshake and Answer are parts of Get, the process that
// gets a Pod.
type floorSummary struct {
	Empty     *summary `json:"emptyProcessMs"`
	Get       *summary `json:"getProcessMs"`
	Handshake *summary `json:"tlsHandshakeMs"`
	Answer    *summary `json:"apiserverAnswerMs"`
}

func (l *lab) floor(ctx context.Context) (floor, error) {
	o, err := l.makePod(ctx, alone{l, 1}, "n0", nil, 0)
	if err != nil {
		return floor{}, err
	}
	get, err := l.getProcess(o)
	return floor{empty: &process{command: command{path: filepath.Join(l.dir, dirFloor, "empty")}}, get: get}, err
}

func (f floor) summarize() *floorSummary {
	return &floorSummary{
		Empty: summarize(f.empty.wall), Get: summarize(f.get.wall),
		Handshake: summarize(f.get.handshake), Answer: summarize(f.get.answer),
	}
}

// process is the trial of a program that changes no Pod's network.
type process struct {
	command
	wall, handshake, answer []time.Duration
}

// getProcess returns the trial of a process that gets a Pod's metadata, using only net/http.
func (l *lab) getProcess(o podObject) (*process, error) {
	ca, token := filepath.Join(l.dir, "ca.pem"), filepath.Join(l.dir, "token")
	for path, data := range map[string][]byte{ca: l.cp.CAPEM(), token: []byte(userToken)} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return nil, err
		}
	}
	args := []string{l.cp.URL() + podsPath + "/" + o.name, ca, token}
	return &process{command: command{path: filepath.Join(l.dir, dirFloor, "get"), args: args}}, nil
}

func (p *process) once(record bool) error {
	begin := time.Now()
	out, err := new(cpuTimer).run(p.command)
	wall := time.Since(begin)
	if err != nil || !record {
		return err
	}
	p.wall = append(p.wall, wall)
	if len(out) == 0 {
		return nil
	}
	var handshake, answer time.Duration
	if _, err := fmt.Sscan(string(out), &handshake, &answer); err != nil {
		return fmt.Errorf("reading the output of %s, %q: %w", p.path, out, err)
	}
	p.handshake, p.answer = append(p.handshake, handshake), append(p.answer, answer)
	return nil
}
