package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// absence is why a command of docker's or podman's is not there.
type absence struct {
	names string // with spaces between; "network reload" is written "network/reload"
	why   string
	hint  string
}

// absences are those that people may well try.
func absences() []absence {
	cluster := "skiff is no cluster"
	return []absence{
		{"build builder buildx bake commit", "images cannot be made yet", "make them with another tool, push them to a registry, and skiff pull"},
		{"push save load import search history manifest", "this comes with the commands for images", "skopeo copies images between registries, archives and folders"},
		{"volume", "volumes are not there yet", "-v /folder:/place of skiff run mounts a folder of the host"},
		{"compose pod play kube generate quadlet auto-update", "groups of containers are not there yet", "start them by a script: skiff run --network … and --requires"},
		{"swarm node service stack config", cluster, ""},
		{"context", noDaemon, "another store is named by --root"},
		{"machine", "skiff runs on Linux itself, without a virtual machine", ""},
		{"plugin", "plugins are a daemon's", ""},
		{"trust", "Docker Content Trust was given up", "name images by digest: IMAGE@sha256:…"},
		{"checkpoint restore", "freezing processes to disk needs CRIU and root", ""},
		{"cleanup", "a container's shim cleans up after it, and any next command after the shim", ""},
		{"clone", "this is not there yet", "skiff inspect tells how a container was made"},
		{"init", "a container is made ready by its start, in milliseconds", ""},
		{"runlabel", "an image's label is no command to trust", "skiff image inspect shows it"},
		{"network/reload", "nothing is to be loaded: rules are in a network namespace of the user's own, where no firewall of the host's clears them away", "skiff network check --repair looks for what is broken"},
		{"network/update", "servers for names are those of each container, and the host's, as they change", "say --dns to skiff run"},
	}
}

// absent explains that cmd has no such child as docker or podman have, nil where
// nothing is known of it.
func absent(cmd *cobra.Command, name string) error {
	key := name
	switch {
	case cmd.HasParent() && cmd.Name() == "network":
		key = "network/" + name
	case cmd.HasParent() && cmd.Name() != "container" && cmd.Name() != "image":
		return nil
	}
	for _, a := range absences() {
		for known := range strings.SplitSeq(a.names, " ") {
			if known == key {
				return &hinted{fmt.Errorf("unknown command: %s %s: %s", cmd.CommandPath(), name, a.why), a.hint}
			}
		}
	}
	return nil
}
