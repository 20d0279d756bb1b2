package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// absence is why a command of docker's or podman's is not there.
type absence struct {
	names string // with spaces between; what is one of a group alone is written "network/reload"
	why   string
	hint  string
}

// absences are those that people may well try.
func absences() []absence {
	cluster, desktop := "skiff is no cluster", "it is Docker Desktop's"
	later, made := "this comes with the commands for images", "images cannot be made yet"
	return []absence{
		{"build builder buildx bake", made, "make them with another tool, push them to a registry, and skiff pull"},
		{"commit", made, "skiff export CONTAINER writes a container's files, and skiff diff CONTAINER lists what it has changed"},
		{"history image/tree", later, "skiff image inspect IMAGE shows its layers; skopeo inspect --config docker://IMAGE tells how they were made"},
		{"image/diff", later, "skiff create IMAGE, skiff mount, and diff -r of two of them"},
		{"image/mount image/unmount", later, "skiff create IMAGE makes a container, which skiff mount mounts"},
		{"image/scp", later, "skiff pull IMAGE there"},
		{"import", later, "unpack the archive into a folder, and skiff run --rootfs FOLDER"},
		{"load", later, "skopeo copy docker-archive:FILE docker://REGISTRY/IMAGE, then skiff pull"},
		{"manifest", later, "skopeo inspect --raw docker://IMAGE shows one"},
		{"push", later, "skopeo copy docker://IMAGE docker://OTHER copies from registry to registry"},
		{"save", later, "skopeo copy docker://IMAGE docker-archive:FILE"},
		{"search", later, "look at the registry's own pages; skopeo list-tags docker://REPOSITORY lists the tags of one"},
		{"untag", "an image goes name by name", "skiff rmi NAME:TAG takes one name away"},
		{"image/sign image/trust trust", "Docker Content Trust was given up", "name images by digest: IMAGE@sha256:…"},
		{"artifact", "images are all that is kept", ""},
		{"scan scout sbom", "images are not looked through", "tools that do so read them from the registry"},
		{"volume", "volumes are not there yet", "-v /folder:/place of skiff run mounts a folder of the host"},
		{"compose pod play kube", "groups of containers are not there yet", "start them by a script: skiff run --network … and --requires"},
		{"generate quadlet", "no units are written yet", "a unit needs no more than ExecStart=skiff run --rm --name NAME IMAGE"},
		{"auto-update", "a running container keeps its image", "skiff run --pull newer takes the newest at each start"},
		{"service", cluster, "skiff run -d --restart always keeps a container running"},
		{"swarm node stack", cluster, ""},
		{"config", cluster, "skiff secret create keeps a file for containers"},
		{"context farm system/connection", noDaemon, "another store is named by --root"},
		{"system/service system/dial-stdio", noDaemon, ""},
		{"machine", "skiff runs on Linux itself, without a virtual machine", ""},
		{"plugin", "plugins are a daemon's", ""},
		{"checkpoint restore", "freezing processes to disk needs CRIU and root", "skiff pause freezes them in memory"},
		{"cleanup", "a container's shim cleans up after it, and any next command after the shim", ""},
		{"clone", "this is not there yet", "skiff inspect tells how a container was made"},
		{"debug", "this is not there yet", "skiff run -it --pid container:NAME --network container:NAME IMAGE sh"},
		{"desktop extension mcp model offload sandbox", desktop, ""},
		{"init", "a container is made ready by its start, in milliseconds", ""},
		{"runlabel", "an image's label is no command to trust", "skiff image inspect shows it"},
		{"system/check", "each command clears away what was left broken", "skiff network check looks at networks"},
		{"system/migrate", "nothing is to be migrated: ids are read at each start", ""},
		{"system/renumber", "locks are files, and have no numbers", ""},
		{"system/reset", "nothing is taken away all at once", "skiff rm -f -a, then skiff system prune -a"},
		{"network/reload", "nothing is to be loaded: rules are in a network namespace of the user's own, where no firewall of the host's clears them away", "skiff network check --repair looks for what is broken"},
		{"network/update", "servers for names are those of each container, and the host's, as they change", "say --dns to skiff run"},
	}
}

// absent explains that cmd has no such child as docker or podman have, nil where
// nothing is known of it.
func absent(cmd *cobra.Command, name string) error {
	keys := []string{name}
	if group := cmd.Name(); cmd.HasParent() {
		keys = []string{group + "/" + name}
		if group == "container" || group == "image" { // whose commands stand alone as well
			keys = append(keys, name)
		}
	}
	for _, a := range absences() {
		for known := range strings.SplitSeq(a.names, " ") {
			if slices.Contains(keys, known) {
				return &hinted{fmt.Errorf("unknown command: %s %s: %s", cmd.CommandPath(), name, a.why), a.hint}
			}
		}
	}
	return nil
}
