package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

func TestLog(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	p := tn.NewPod(t, `[{"name":"green"}]`)
	p.Add(t)
	p.HotAdd(t, "green")
	p.Del(t)
	conf := tn.Conf
	conf.Kubeconfig = tn.NewKubeconfig(t, "unknown", "unknown-token")
	if _, err := p.AddWith(t, conf, p.Runtime()); err == nil {
		t.Fatal("an ADD with a wrong token succeeds")
	}
	conf.Kubeconfig = brokenKubeconfig(t, tn, kactustest.NodeToken, "users:", "users: {")
	if _, err := p.AddWith(t, conf, p.Runtime()); err == nil {
		t.Fatal("an ADD with a broken kubeconfig succeeds")
	}
	data, err := os.ReadFile(tn.Conf.LogFile)
	if err != nil {
		t.Fatal(err)
	}
	log := string(data)
	t.Run("has mode 0600", func(t *testing.T) {
		info, err := os.Stat(tn.Conf.LogFile)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
		}
	})
	t.Run("has time, level, container, Pod and operation in each line", func(t *testing.T) {
		for line := range strings.Lines(log) {
			for _, want := range []string{"time=", "level=", "containerID=" + p.ID,
				"pod=" + tn.Namespace + "/" + p.Name, "operation="} {
				if !strings.Contains(line, want) {
					t.Errorf("line %q; want %q in it", line, want)
				}
			}
			if strings.Count(line, " operation=") != 1 {
				t.Errorf("line %q; want one operation", line)
			}
		}
		for _, operation := range []string{"operation=ADD", "operation=DEL"} {
			if !strings.Contains(log, operation) {
				t.Errorf("no line has %s", operation)
			}
		}
	})
	t.Run("has an error's code and cause", func(t *testing.T) {
		if !strings.Contains(log, `code=100 cause="GET /api/v1/namespaces/`+tn.Namespace+"/pods/"+p.Name+
			": 401 Unauthorized") {
			t.Errorf("no line has the code 100 and the status 401:\n%s", log)
		}
	})
	t.Run("has no token and nothing of a kubeconfig", func(t *testing.T) {
		for _, secret := range []string{kactustest.NodeToken, kactustest.AgentToken, "unknown-token",
			"certificate-authority-data"} {
			if strings.Contains(log, secret) {
				t.Errorf("the log has %q", secret)
			}
		}
	})
	t.Run("goes to the file and at the level of the environment", func(t *testing.T) {
		file := filepath.Join(tn.Dir, "environment.log")
		before, err := os.Stat(tn.Conf.LogFile)
		if err != nil {
			t.Fatal(err)
		}
		c := p.Runtime()
		c.Env = []string{"_CNI_LOGGING_FILE=" + file, "_CNI_LOGGING_LEVEL=2"}
		if _, err := p.Start(t, "DEL", tn.Conf, c).Wait(t); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(data), "level=INFO") ||
			strings.Contains(string(data), "level=DEBUG") {
			t.Errorf("the log of level 2: %q, %v", data, err)
		}
		c.Env[1] = "_CNI_LOGGING_LEVEL=0"
		if _, err := p.Start(t, "DEL", tn.Conf, c).Wait(t); err != nil {
			t.Fatal(err)
		}
		if more, err := os.ReadFile(file); err != nil || len(more) != len(data) {
			t.Errorf("the log grew at level 0: %q, %v", more, err)
		}
		if after, err := os.Stat(tn.Conf.LogFile); err != nil || after.Size() != before.Size() {
			t.Errorf("the netconf's log grew, %v", err)
		}
	})
	t.Run("that cannot be written fails no operation", func(t *testing.T) {
		tn.Conf.LogFile = filepath.Join(tn.Dir, "no", "such", "dir", "log")
		p.Add(t)
		p.ExpectInterfaces(t, "eth0", kactustest.GreenIfName)
		p.HotDel(t, "green")
		tn.Conf.LogFile = tn.Dir
		p.Del(t)
		p.ExpectGone(t)
	})
	t.Run("that is a symbolic link is not followed", func(t *testing.T) {
		target := filepath.Join(tn.Dir, "precious")
		if err := os.WriteFile(target, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		tn.Conf.LogFile = filepath.Join(tn.Dir, "link")
		if err := os.Symlink(target, tn.Conf.LogFile); err != nil {
			t.Fatal(err)
		}
		p.Add(t)
		p.Del(t)
		if data, err := os.ReadFile(target); err != nil || len(data) > 0 {
			t.Errorf("the link's target has %q, %v", data, err)
		}
	})
}
