package main

import (
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/pages"
)

func inSource(name string) bool {
	_, err := os.Stat(filepath.Join(pages.Root(), name))
	return err == nil
}

func TestDocuments_LinksLeadSomewhere(t *testing.T) {
	anchors := map[string][]string{}
	all := pages.All(t)
	for _, page := range all {
		anchors[page.Name] = page.Anchors()
	}
	for _, page := range all {
		for _, link := range page.Links() {
			if strings.Contains(link.Text, "://") || strings.HasPrefix(link.Text, "mailto:") {
				continue
			}
			target, anchor, _ := strings.Cut(link.Text, "#")
			name := page.Name
			if target != "" {
				name = path.Join(path.Dir(page.Name), target)
			}
			switch {
			case !inSource(name):
				t.Errorf("%s: no such file", link)
			case anchor != "" && !slices.Contains(anchors[name], anchor):
				t.Errorf("%s: %s has no such heading", link, name)
			}
		}
	}
}

// inTree matches a path in the source tree, as commands, comments and documents write it.
var inTree = regexp.MustCompile(
	`(?:^|[\s"'=(\x60])(?:\./)?((?:docs|manifests|examples|scripts|test|pkg|kactus|\.ci|\.github)/[\w./-]*[\w-]|` +
		`(?:README|CONTRIBUTING|SECURITY|CHANGELOG)\.md|build\.sh)\b`)

func TestDocuments_FilesThatTheyNameExist(t *testing.T) {
	for _, page := range pages.All(t) {
		if page.Name == "CHANGELOG.md" || strings.HasPrefix(page.Name, "docs/adr/") {
			continue // they tell of what was, too
		}
		for _, code := range page.Code() {
			for _, match := range inTree.FindAllStringSubmatch(code.Text, -1) {
				if name := strings.TrimSuffix(match[1], "/..."); !inSource(name) && !slices.Contains(examples, name) {
					t.Errorf("%s: %s: no such file", code, name)
				}
			}
		}
	}
}

// What a script or a workflow names, and no test runs, might be gone.
func TestScripts_FilesThatTheyNameExist(t *testing.T) {
	for _, name := range pages.Files(t) {
		if ext := filepath.Ext(name); ext != ".sh" && ext != ".yml" && !strings.HasPrefix(name, ".ci/") {
			continue
		}
		source, err := os.ReadFile(filepath.Join(pages.Root(), name))
		must(t, err)
		for _, match := range inTree.FindAllStringSubmatch(string(source), -1) {
			if path := strings.TrimSuffix(match[1], "/..."); !inSource(path) {
				t.Errorf("%s: %s: no such file", name, path)
			}
		}
	}
}

// examples are files of which CONTRIBUTING.md tells how one would write them.
var examples = []string{
	"pkg/metaplugin/freeze.go", "pkg/metaplugin/freeze_test.go", "test/faults/freeze_test.go",
}

// comment matches a line of Go that is a comment.
var comment = regexp.MustCompile(`(?m)^\s*//.*$`)

func TestDocuments_ThatCommentsNameExist(t *testing.T) {
	named := regexp.MustCompile(`\b(?:docs/[\w/.-]+\.md|(?:README|CONTRIBUTING|SECURITY|CHANGELOG)\.md)\b`)
	sources := []string{".go", ".sh", ".yaml", ".yml", ".txt", ".tpl"}
	for _, name := range pages.Files(t) {
		ext := filepath.Ext(name)
		if ext != "" && !slices.Contains(sources, ext) || strings.Contains(name, "testdata/") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(pages.Root(), name))
		must(t, err)
		if strings.HasSuffix(name, "_test.go") { // what is no comment there may be made up
			data = []byte(strings.Join(comment.FindAllString(string(data), -1), "\n"))
		}
		for _, page := range named.FindAllString(string(data), -1) {
			if !inSource(page) && !inSource(path.Join(path.Dir(name), page)) {
				t.Errorf("%s names %s, which does not exist", name, page)
			}
		}
	}
}

// The flags and their defaults, as -h prints them.
var (
	flagLine    = regexp.MustCompile(`(?m)^  -([a-z-]+)`)
	flagDefault = regexp.MustCompile(`\(default "?([^")]*)"?\)`)
)

// flagsOf returns the flags of a subcommand, with what its help says of each.
func flagsOf(s subcommand) map[string]string {
	all := map[string]string{}
	if !strings.HasPrefix(s.args, withOptions) {
		return all
	}
	help := run(nil, "", s.name, "-h").stdout
	found := flagLine.FindAllStringSubmatchIndex(help, -1)
	for i, at := range found {
		end := len(help)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		all[help[at[2]:at[3]]] = help[at[0]:end]
	}
	return all
}

func TestDocuments_EachFlagIsDocumented(t *testing.T) {
	page := pages.Read(t, "docs/configuration.md")
	var subcommands []string
	for _, s := range (cli{}).subcommands() {
		subcommands = append(subcommands, s.name)
		flags := flagsOf(s)
		if len(flags) == 0 {
			continue
		}
		var own, documented []string
		for name := range flags {
			own = append(own, name)
		}
		for _, row := range page.Section(t, "kactus "+s.name).Table(t, "flag") {
			name, _, _ := strings.Cut(strings.Trim(row["flag"], "`-"), " ")
			documented = append(documented, name)
			value := flagDefault.FindStringSubmatch(flags[name])
			if value != nil && name != "node" && !strings.Contains(row["default"], value[1]) {
				t.Errorf("kactus %s -%s: default %s, documented is %s", s.name, name, value[1], row["default"])
			}
		}
		pages.Compare(t, "a flag of kactus "+s.name, documented, own)
	}
	var documented []string
	for _, row := range page.Section(t, "The command line").Table(t, "subcommand") {
		for _, span := range pages.Spans(row["subcommand"]) {
			documented = append(documented, strings.Fields(span)[1])
		}
	}
	pages.Compare(t, "a subcommand", documented, subcommands)
}

// Each environment variable that the code reads is documented. Proxies are net/http's business.
func TestDocuments_EachVariableIsDocumented(t *testing.T) {
	read := regexp.MustCompile(`[gG]etenv\("([A-Z_]+)"\)`)
	found := map[string]bool{envLogLevel: true, envLogFile: true}
	for _, name := range pages.Files(t) {
		own := strings.HasPrefix(name, "kactus/") || strings.HasPrefix(name, "pkg/")
		isTest := strings.HasSuffix(name, "_test.go") || strings.Contains(name, "testdata/")
		if !own || isTest || filepath.Ext(name) != ".go" {
			continue
		}
		source, err := os.ReadFile(filepath.Join(pages.Root(), name))
		must(t, err)
		for _, match := range read.FindAllStringSubmatch(string(source), -1) {
			found[match[1]] = true
		}
	}
	rows := pages.Read(t, "docs/configuration.md").Section(t, "The environment").Table(t, "variable")
	documented := slices.DeleteFunc(pages.Keys(rows, "variable"), func(name string) bool {
		return strings.HasSuffix(name, "_PROXY")
	})
	pages.Compare(t, "an environment variable", documented, slices.Collect(maps.Keys(found)))
}

// command matches a command line with kactus or a script of the tree, up to the next command.
var command = regexp.MustCompile(
	`(?:^|[\s/(])(kactus|build\.sh|` +
		`(?:bench|create-kubeconfig|build-docker-image|demo|faults|manifests|release|try)\.sh)` +
		`((?: +[^\s|;&<>#()]+)*)`)

// Each option of kactus, and of a script, that a document has in a command exists.
func TestDocuments_OptionsInCommandsExist(t *testing.T) {
	known := scriptOptions(t)
	for _, s := range (cli{}).subcommands() {
		known["kactus "+s.name] = map[string]bool{"-h": true, "--help": true}
		for name := range flagsOf(s) {
			known["kactus "+s.name]["-"+name], known["kactus "+s.name]["--"+name] = true, true
		}
	}
	for _, page := range pages.All(t) {
		for _, code := range page.Code() {
			for _, match := range command.FindAllStringSubmatch(code.Text, -1) {
				program, words := match[1], strings.Fields(match[2])
				if program == "kactus" && len(words) > 0 {
					program += " " + words[0]
				}
				options, ok := known[program]
				if !ok {
					continue // the word kactus in a sentence, or the name of an object
				}
				for _, word := range words {
					option, _, _ := strings.Cut(word, "=")
					if strings.HasPrefix(option, "-") && option != "-" && !options[option] {
						t.Errorf("%s: %s has no option %s", code, program, option)
					}
				}
			}
		}
	}
}

// scriptOptions returns the options of the scripts, by the name of the script.
func scriptOptions(t *testing.T) map[string]map[string]bool {
	t.Helper()
	option := regexp.MustCompile(`(?m)(?:^|[\s\[|,])(--?[a-zA-Z][a-z-]*)`)
	scripts, err := filepath.Glob(filepath.Join(pages.Root(), "scripts", "*.sh"))
	must(t, err)
	all := map[string]map[string]bool{}
	for _, script := range append(scripts, filepath.Join(pages.Root(), "build.sh")) {
		name := filepath.Base(script)
		all[name] = map[string]bool{}
		for _, match := range option.FindAllStringSubmatch(scriptHelp(t, script), -1) {
			all[name][match[1]] = true
		}
	}
	return all
}

// scriptHelp returns what a script prints about its options, if it does.
func scriptHelp(t *testing.T, script string) string {
	t.Helper()
	if filepath.Base(script) == "bench.sh" { // prints that of a program, which would have to be built
		source, err := os.ReadFile(filepath.Join(pages.Root(), "test/bench/options.go"))
		must(t, err)
		return regexp.MustCompile(`"([a-z-]+)"`).ReplaceAllString(string(source), " --$1 -$1") + " --svg -svg"
	}
	source, err := os.ReadFile(script)
	must(t, err)
	if !strings.Contains(string(source), "usage()") {
		return ""
	}
	help, err := exec.CommandContext(t.Context(), script, "-h").Output()
	if err != nil {
		t.Fatalf("%s -h: %v", script, err)
	}
	return string(help)
}

// Each flag that a document names by itself is one of kactus, or of a script, or one of these.
func TestDocuments_FlagsThatTheyNameExist(t *testing.T) {
	known := map[string]bool{}
	for _, s := range (cli{}).subcommands() {
		for name := range flagsOf(s) {
			known["-"+name], known["--"+name] = true, true
		}
	}
	for _, options := range scriptOptions(t) {
		for option := range options {
			known[option] = true
		}
	}
	alone := regexp.MustCompile(`^(--?[a-z][a-z-]*)(?:[= ].*)?$`)
	for _, page := range pages.All(t) {
		for _, code := range page.Code() {
			match := alone.FindStringSubmatch(code.Text)
			if match != nil && !known[match[1]] && !slices.Contains(othersFlags, match[1]) {
				t.Errorf("%s: nothing has this flag", code)
			}
		}
	}
}

// othersFlags are flags of other programs, which the documents name.
var othersFlags = []string{
	"-tags",                                                              // go
	"--root-dir",                                                         // kubelet
	"--service-account-max-token-expiration",                             // kube-apiserver
	"--multus-master-cni-file-name",                                      // Multus's installer
	"--data-dir",                                                         // k3s
	"--take-ownership", "--force-conflicts", "--reset-then-reuse-values", // helm
	"--register-with-taints", // kubelet
}

// CONTRIBUTING.md says of each directory of code what is there.
func TestDocuments_EachDirectoryIsDocumented(t *testing.T) {
	var documented, directories []string
	for _, span := range pages.Keys(pages.Read(t, "CONTRIBUTING.md").Table(t, "directory"), "directory") {
		if strings.HasPrefix(span, "pkg/") || strings.HasPrefix(span, "test/") {
			documented = append(documented, span)
		}
	}
	for _, name := range pages.Files(t) {
		parts := strings.Split(name, "/")
		if len(parts) < 3 || parts[0] != "pkg" && parts[0] != "test" {
			continue
		}
		if dir := path.Join(parts[:2]...); !slices.Contains(directories, dir) {
			directories = append(directories, dir)
		}
	}
	pages.Compare(t, "a directory", documented, directories)
}

func TestDocuments_ReadmeIsShort(t *testing.T) {
	const limit = 200
	if lines := pages.Read(t, "README.md").Lines(); lines > limit {
		t.Errorf("README.md has %d lines, limit is %d: what is more belongs into docs/", lines, limit)
	}
}

// The table of the fault campaign is what the script writes.
func TestDocuments_TableOfFaultsIsGenerated(t *testing.T) {
	want, err := os.ReadFile(filepath.Join(pages.Root(), "docs/reliability-table.md"))
	must(t, err)
	file := filepath.Join(t.TempDir(), "table.md")
	must(t, os.WriteFile(file, want, 0o600))
	cmd := exec.CommandContext(t.Context(), "bash", "-euc",
		`source scripts/fault-table.sh; KACTUS_FAULT_TABLE=/dev/null write_fault_table "$1"`, "bash", file)
	cmd.Dir = pages.Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got, err := os.ReadFile(file)
	must(t, err)
	if string(got) != string(want) {
		t.Errorf("docs/reliability-table.md is not what scripts/faults.sh --table writes:\n%s", got)
	}
}
