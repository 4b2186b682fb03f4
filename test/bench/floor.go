package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// floor is what no meta-plugin that asks an apiserver gets under.
type floor struct{ empty, get *process }

// floorSummary has, of the process that gets a Pod, how long the TLS handshake took, and how long the answer.
type floorSummary struct {
	Empty     *summary `json:"emptyProcessMs"`
	Get       *summary `json:"getProcessMs"`
	Handshake *summary `json:"tlsHandshakeMs"`
	Answer    *summary `json:"apiserverAnswerMs"`
}

func (b *bed) floor(ctx context.Context) (floor, error) {
	o, err := b.makePod(ctx, alone{b, 1}, "n0", nil, 0)
	if err != nil {
		return floor{}, err
	}
	get, err := b.getProcess(o)
	return floor{empty: &process{command: command{path: filepath.Join(b.dir, folderFloor, "empty")}}, get: get}, err
}

func (f floor) summarize() *floorSummary {
	return &floorSummary{Empty: summarize(f.empty.wall), Get: summarize(f.get.wall), Handshake: summarize(f.get.handshake), Answer: summarize(f.get.answer)}
}

// process is the trial of a program that does nothing to a Pod's network.
type process struct {
	command
	wall, handshake, answer []time.Duration
}

// getProcess gets a Pod's metadata, by net/http alone.
func (b *bed) getProcess(o podObject) (*process, error) {
	ca, token := filepath.Join(b.dir, "ca.pem"), filepath.Join(b.dir, "token")
	for path, data := range map[string][]byte{ca: b.cp.CAPEM(), token: []byte(userToken)} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return nil, err
		}
	}
	args := []string{b.cp.URL() + podsPath + "/" + o.name, ca, token}
	return &process{command: command{path: filepath.Join(b.dir, folderFloor, "get"), args: args}}, nil
}

func (p *process) once(counts bool) error {
	begin := time.Now()
	out, err := new(clock).run(p.command)
	wall := time.Since(begin)
	if err != nil || !counts {
		return err
	}
	p.wall = append(p.wall, wall)
	if len(out) == 0 {
		return nil
	}
	var handshake, answer time.Duration
	if _, err := fmt.Sscan(string(out), &handshake, &answer); err != nil {
		return fmt.Errorf("%s prints %q: %w", p.path, out, err)
	}
	p.handshake, p.answer = append(p.handshake, handshake), append(p.answer, answer)
	return nil
}
