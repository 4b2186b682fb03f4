package delegate

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/containernetworking/cni/pkg/invoke"
)

// ErrMissing is returned when the binary of a plugin does not exist, or cannot be executed.
var ErrMissing = errors.New("the plugin's binary is missing")

// Plugins finds the binaries of plugins. Each type is looked up once in its lifetime, unless it was
// missing. It is safe for concurrent use.
type Plugins struct {
	path []string

	mu    sync.Mutex
	found map[string]string
}

// NewPlugins returns the plugins in the directories of path, which is CNI_PATH as a list.
func NewPlugins(path []string) *Plugins { return &Plugins{path: path, found: map[string]string{}} }

// Find returns the path of the binary of that plugin type. The error is ErrMissing, or says that
// the plugin is this very program, under whatever name: it would run itself without end.
func (p *Plugins) Find(pluginType string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if path, ok := p.found[pluginType]; ok {
		return path, nil
	}
	path, err := p.lookUp(pluginType)
	if err == nil {
		p.found[pluginType] = path
	}
	return path, err
}

func (p *Plugins) lookUp(pluginType string) (string, error) {
	path, err := invoke.FindInPath(pluginType, p.path)
	if err != nil {
		return "", fmt.Errorf("%w: there is no %s in CNI_PATH (%v)", ErrMissing, pluginType, p.path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrMissing, err)
	}
	if info.Mode()&0o111 == 0 {
		return "", &notExecutable{fmt.Errorf("%s is not executable", path)}
	}
	if self, err := os.Stat("/proc/self/exe"); err == nil && os.SameFile(info, self) {
		return "", fmt.Errorf("%s is kactus itself, which cannot be its own delegate", path)
	}
	return path, nil
}

// notExecutable is the ErrMissing of a binary that exists, and says why it cannot be executed.
type notExecutable struct{ error }

// Is implements the interface that errors.Is uses.
func (*notExecutable) Is(target error) bool { return target == ErrMissing }

// Unwrap returns the cause.
func (e *notExecutable) Unwrap() error { return e.error }
