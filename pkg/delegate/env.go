package delegate

import "strings"

// env is a plugin's whole environment.
type env []string

// AsEnv implements invoke.CNIArgs.
func (e env) AsEnv() []string { return e }

func (r Runner) env(verb string, c Call) env {
	e := env{
		"CNI_COMMAND=" + verb,
		"CNI_CONTAINERID=" + c.ContainerID,
		"CNI_NETNS=" + c.Netns,
		"CNI_IFNAME=" + c.Device,
		"CNI_ARGS=" + c.Args,
		"CNI_PATH=" + strings.Join(r.Path, ":"),
	}
	return append(e, r.Env...)
}
