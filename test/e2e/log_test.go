package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLog(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	tn.bridges(t, "green")
	p := tn.pod(t, `[{"name":"green"}]`)
	p.add(t)
	p.hotAdd(t, "green")
	p.del(t)
	conf := tn.conf
	conf.Kubeconfig = tn.kubeconfig(t, "unknown", "unknown-token")
	if _, err := p.libcniAdd(t, conf, p.runtime()); err == nil {
		t.Fatal("an ADD with a wrong token succeeds")
	}
	conf.Kubeconfig = tn.spoilt(t, nodeToken, "users:", "users: {")
	if _, err := p.libcniAdd(t, conf, p.runtime()); err == nil {
		t.Fatal("an ADD with a broken kubeconfig succeeds")
	}
	data, err := os.ReadFile(tn.conf.LogFile)
	if err != nil {
		t.Fatal(err)
	}
	log := string(data)
	t.Run("is the owner's alone", func(t *testing.T) {
		info, err := os.Stat(tn.conf.LogFile)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
		}
	})
	t.Run("has the time, the level, the container, the Pod and the verb in each line", func(t *testing.T) {
		for line := range strings.Lines(log) {
			for _, want := range []string{"time=", "level=", "containerID=" + p.id, "pod=" + tn.namespace + "/" + p.name, "verb="} {
				if !strings.Contains(line, want) {
					t.Errorf("line %q; want %q in it", line, want)
				}
			}
			if strings.Count(line, " verb=") != 1 {
				t.Errorf("line %q; want one verb", line)
			}
		}
		for _, verb := range []string{"verb=ADD", "verb=DEL"} {
			if !strings.Contains(log, verb) {
				t.Errorf("no line has %s", verb)
			}
		}
	})
	t.Run("tells an error's code and cause", func(t *testing.T) {
		if !strings.Contains(log, `code=100 cause="GET /api/v1/namespaces/`+tn.namespace+"/pods/"+p.name+": 401 Unauthorized") {
			t.Errorf("no line has the code 100 and the status 401:\n%s", log)
		}
	})
	t.Run("holds no token and nothing of a kubeconfig", func(t *testing.T) {
		for _, secret := range []string{nodeToken, agentToken, "unknown-token", "certificate-authority-data"} {
			if strings.Contains(log, secret) {
				t.Errorf("the log has %q", secret)
			}
		}
	})
	t.Run("goes where the environment says, as much as it says", func(t *testing.T) {
		file := filepath.Join(tn.dir, "environment.log")
		before, err := os.Stat(tn.conf.LogFile)
		if err != nil {
			t.Fatal(err)
		}
		c := p.runtime()
		c.env = []string{"_CNI_LOGGING_FILE=" + file, "_CNI_LOGGING_LEVEL=2"}
		if _, err := p.start(t, "DEL", tn.conf, c).wait(t); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(data), "level=INFO") || strings.Contains(string(data), "level=DEBUG") {
			t.Errorf("the log of level 2: %q, %v", data, err)
		}
		c.env[1] = "_CNI_LOGGING_LEVEL=0"
		if _, err := p.start(t, "DEL", tn.conf, c).wait(t); err != nil {
			t.Fatal(err)
		}
		if more, err := os.ReadFile(file); err != nil || len(more) != len(data) {
			t.Errorf("the log grew at level 0: %q, %v", more, err)
		}
		if after, err := os.Stat(tn.conf.LogFile); err != nil || after.Size() != before.Size() {
			t.Errorf("the netconf's log grew, %v", err)
		}
	})
	t.Run("that cannot be written fails no verb", func(t *testing.T) {
		tn.conf.LogFile = filepath.Join(tn.dir, "no", "such", "folder", "log")
		p.add(t)
		p.expectDevices(t, "eth0", greenDevice)
		p.hotDel(t, "green")
		tn.conf.LogFile = tn.dir
		p.del(t)
		p.expectGone(t)
	})
	t.Run("that is a symbolic link is not followed", func(t *testing.T) {
		target := filepath.Join(tn.dir, "precious")
		if err := os.WriteFile(target, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		tn.conf.LogFile = filepath.Join(tn.dir, "link")
		if err := os.Symlink(target, tn.conf.LogFile); err != nil {
			t.Fatal(err)
		}
		p.add(t)
		p.del(t)
		if data, err := os.ReadFile(target); err != nil || len(data) > 0 {
			t.Errorf("the link's target has %q, %v", data, err)
		}
	})
}
