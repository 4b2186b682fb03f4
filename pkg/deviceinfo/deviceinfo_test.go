package deviceinfo

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const pci = `{"type": "pci", "version": "1.1.0", "pci": {"pci-address": "0000:03:02.0"}}`

// put writes a file below the directory.
func put(t *testing.T, dir Dir, file, content string) {
	t.Helper()
	path := filepath.Join(string(dir), file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestOfDevice_ReadsWhatTheDevicePluginWrote(t *testing.T) {
	dir := Dir(t.TempDir())
	if info, err := dir.OfDevice("kaloom.com/nic", "nic1"); info != nil || err != nil {
		t.Errorf("without any file: %s, %v", info, err)
	}
	put(t, dir, "dp/kaloom.com-nic-nic1-device.json", pci)
	put(t, dir, "dp/kaloom.com-nic--dev-nic1-device.json", strings.Replace(pci, "pci", "memif", 1))
	if info, err := dir.OfDevice("kaloom.com/nic", "nic1"); string(info) != pci || err != nil {
		t.Errorf("got %s, %v", info, err)
	}
	info, err := dir.OfDevice("kaloom.com/nic", "/dev/nic1")
	if !strings.Contains(string(info), "memif") || err != nil {
		t.Errorf("an ID with slashes: %s, %v", info, err)
	}
	if info, err := Dir(filepath.Join(string(dir), "missing")).OfDevice("a", "b"); info != nil || err != nil {
		t.Errorf("without the directory: %s, %v", info, err)
	}
}

func TestOfDevice_Hostile(t *testing.T) {
	dir := Dir(t.TempDir())
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte(pci), 0o644); err != nil {
		t.Fatal(err)
	}
	put(t, dir, "dp/r-inside-device.json", pci)
	put(t, dir, "dp/r-large-device.json", `{"type":"`+strings.Repeat("x", maxSize)+`"}`)
	put(t, dir, "dp/r-text-device.json", "text")
	put(t, dir, "dp/r-array-device.json", "[]")
	put(t, dir, "dp/r-twice-device.json", `{"type":"pci","type":"memif"}`)
	put(t, dir, "dp/r-typeless-device.json", `{}`)
	at := func(name string) string { return filepath.Join(string(dir), "dp", "r-"+name+"-device.json") }
	if err := errors.Join(
		os.Symlink(outside, at("out")), os.Symlink("r-inside-device.json", at("in")),
		os.Mkdir(at("directory"), 0o755), unix.Mkfifo(at("fifo"), 0o644),
	); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{
		"large": "larger than 16384 bytes", "text": "invalid", "array": "must be", "twice": "type",
		"typeless": "type: missing", "out": "escapes", "in": "not a regular file",
		"directory": "not a regular file", "fifo": "not a regular file",
		"nul\x00": "invalid argument", strings.Repeat("x", 300): "file name too long",
	} {
		info, err := dir.OfDevice("r", id)
		if info != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: got %s, %v, want %s", id, info, err, want)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "read the device-info file "+string(dir)) {
			t.Errorf("%.20q: the error does not name the file: %v", id, err)
		}
	}
	for _, id := range []string{"../../outside", "..", "/etc/passwd"} {
		if info, err := dir.OfDevice("..", id); info != nil || err != nil {
			t.Errorf("%s: got %s, %v", id, info, err)
		}
	}
}

func TestWrite_UntilRemove(t *testing.T) {
	dir := Dir(filepath.Join(t.TempDir(), "made", "by", "Write"))
	if err := dir.Remove("container", "net1"); err != nil {
		t.Errorf("Remove without the directory: %v", err)
	}
	for _, content := range []string{pci, strings.Replace(pci, "03:02.0", "03:02.1", 1)} {
		if err := dir.Write("container", "net1", []byte(content)); err != nil {
			t.Fatal(err)
		}
		if info, err := dir.OfAttachment("container", "net1"); string(info) != content || err != nil {
			t.Errorf("got %s, %v", info, err)
		}
	}
	if got, err := os.ReadFile(dir.Path("container", "net1")); err != nil || !strings.Contains(string(got), "03:02.1") {
		t.Errorf("at its path: %s, %v", got, err)
	}
	put(t, dir, "cni/container:net1:new", "half") // of a process that was killed
	for range 2 {
		if err := dir.Remove("container", "net1"); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(filepath.Join(string(dir), "cni")); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

func TestWrite_FollowsNoLink(t *testing.T) {
	dir := Dir(t.TempDir())
	outside := filepath.Join(t.TempDir(), "outside")
	put(t, dir, "cni/x", "")
	for _, name := range []string{dir.Path("container", "net1"), dir.Path("container", "net1") + ":new"} {
		if err := os.Symlink(outside, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := dir.Write("container", "net1", []byte(pci)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(outside); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("written through the link: %v", err)
	}
	if info, err := dir.OfAttachment("container", "net1"); string(info) != pci || err != nil {
		t.Errorf("got %s, %v", info, err)
	}
}

func TestWrite_Errors(t *testing.T) {
	dir := Dir(t.TempDir())
	put(t, dir, "cni", "a file")
	for what, err := range map[string]error{
		"write": dir.Write("container", "net1", []byte(pci)), "remove": dir.Remove("container", "net1"),
	} {
		if err == nil || !strings.Contains(err.Error(), what+" the device-info file "+dir.Path("container", "net1")) {
			t.Errorf("got %v", err)
		}
	}
}
