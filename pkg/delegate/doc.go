// Package delegate runs a delegate, which is a chain of CNI plugins, for one operation (CNI
// specification, section 3, "Execution of network configurations").
//
// Each plugin is a process of its own, in its own process group. What it reads on stdin is its
// configuration with the keys that the specification adds: name, cniVersion, the runtimeConfig of
// the capabilities that it declares, and prevResult. Its environment holds the CNI variables and
// what Runner.Env lists, and nothing else. It inherits the lock of the container as descriptor 3,
// so that the container stays locked as long as the plugin runs, even if kactus is killed.
//
// A plugin that does not end in time gets SIGTERM, then SIGKILL, together with all that it started.
// When kactus itself is told to end, the plugin has two seconds to end by itself first: the next
// plugin is not started. Its output is bounded: by a limit for each plugin, and by a Budget for all
// plugins of an operation.
//
// An Error says which plugin of which delegate failed in which operation, and keeps the plugin's
// own words: its CNI error code, message, details and stderr.
package delegate
