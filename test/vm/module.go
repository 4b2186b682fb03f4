package vm

import (
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// inOrder returns the files of the modules and their dependencies in the order to load them.
// Modules that are built into the kernel are omitted.
func (k Kernel) inOrder(names ...string) ([]string, error) {
	order := loadOrder{files: map[string]string{}, done: map[string]bool{}}
	if err := order.index(k.modules); err != nil {
		return nil, fmt.Errorf("listing the kernel's modules: %w", err)
	}
	for _, name := range names {
		if err := order.add(name); err != nil {
			return nil, err
		}
	}
	return order.sorted, nil
}

// loadOrder sorts modules by their dependencies. It reads them from the modules, because the
// package does not have depmod's list.
type loadOrder struct {
	files  map[string]string // by module name
	done   map[string]bool
	sorted []string
}

func (o *loadOrder) index(dir string) error {
	builtin, err := os.ReadFile(filepath.Join(dir, "modules.builtin"))
	if err != nil {
		return err
	}
	for file := range strings.FieldsSeq(string(builtin)) {
		o.done[moduleName(file)] = true
	}
	return filepath.WalkDir(dir, func(file string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(file, ".ko") {
			o.files[moduleName(file)] = file
		}
		return err
	})
}

// moduleName returns a module's name as in dependencies, which has underscores where the file name
// may have hyphens.
func moduleName(file string) string {
	return strings.ReplaceAll(strings.TrimSuffix(path.Base(file), ".ko"), "-", "_")
}

func (o *loadOrder) add(name string) error {
	if o.done[name] {
		return nil
	}
	o.done[name] = true
	file, ok := o.files[name]
	if !ok {
		return fmt.Errorf("looking for the kernel module %s: not found", name)
	}
	needed, err := dependencies(file)
	if err != nil {
		return fmt.Errorf("reading the dependencies of the kernel module %s: %w", name, err)
	}
	for _, n := range needed {
		if err := o.add(n); err != nil {
			return err
		}
	}
	o.sorted = append(o.sorted, file)
	return nil
}

// dependencies returns the names of the modules that a module depends on. They are in the section
// .modinfo of its file, which consists of NUL-terminated strings of the form KEY=VALUE.
func dependencies(file string) ([]string, error) {
	module, err := elf.Open(file)
	if err != nil {
		return nil, err
	}
	defer module.Close()
	section := module.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("%s: no section .modinfo", file)
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for fact := range strings.SplitSeq(string(info), "\x00") {
		if names, ok := strings.CutPrefix(fact, "depends="); ok && names != "" {
			return strings.Split(names, ","), nil
		}
	}
	return nil, nil
}
