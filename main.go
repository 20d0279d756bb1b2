// Command skiff runs OCI containers without root and without a daemon.
package main

import (
	"os"

	"github.com/skiff-containers/skiff/archive"
	"github.com/skiff-containers/skiff/cli"
	"github.com/skiff-containers/skiff/conmon"
	"github.com/skiff-containers/skiff/netns/helper"
	"github.com/skiff-containers/skiff/oci"
	"github.com/skiff-containers/skiff/registry"
	"github.com/skiff-containers/skiff/store"
)

func main() {
	// Skiff starts itself anew for what happens in namespaces; argv[0] says for which stage.
	for _, stages := range []func() map[string]func() int{conmon.Stages, helper.Stages, oci.Stages, store.Stages, registry.Stages, archive.Stages} {
		if stage, ok := stages()[os.Args[0]]; ok {
			os.Exit(stage())
		}
	}
	os.Exit(cli.Main(os.Args))
}
