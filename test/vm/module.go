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

// inOrder returns the files of the named modules and of all that they depend on, each after those that it depends on: the order in which
// to load them. What is built into the kernel is left out.
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

// loadOrder is worked out from the modules themselves: the list that depmod makes of it is not in the package.
type loadOrder struct {
	files  map[string]string // by the module's name
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

// moduleName is the name by which modules call each other, which has no hyphens, though the file's may.
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
		return fmt.Errorf("looking for the module %s: the kernel has none of that name", name)
	}
	needed, err := dependencies(file)
	if err != nil {
		return fmt.Errorf("reading what the module %s depends on: %w", name, err)
	}
	for _, n := range needed {
		if err := o.add(n); err != nil {
			return err
		}
	}
	o.sorted = append(o.sorted, file)
	return nil
}

// dependencies are what a module's file says of itself: its section .modinfo is strings of the form KEY=VALUE, each of which ends with a NUL.
func dependencies(file string) ([]string, error) {
	module, err := elf.Open(file)
	if err != nil {
		return nil, err
	}
	defer module.Close()
	section := module.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("%s has no section .modinfo", file)
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
