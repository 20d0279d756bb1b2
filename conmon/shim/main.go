// Command shim is the small program that runs as the shim of a container and as the
// stages of the runtime: one of it stays for every container, so it links
// conmon and what lies below it and nothing else. Its first argument, argv[0], says
// which stage it is.
package main

import (
	"os"
	"runtime"

	"github.com/skiff-containers/skiff/conmon"
	"github.com/skiff-containers/skiff/oci"
	"github.com/skiff-containers/skiff/store"
)

func main() {
	runtime.MemProfileRate = 0 // its table of 1.4 MB would be paged in for nothing
	for _, stages := range []func() map[string]func() int{conmon.Stages, oci.Stages, store.Stages} {
		if stage, ok := stages()[os.Args[0]]; ok {
			os.Exit(stage())
		}
	}
	os.Stderr.WriteString("this program is started by skiff\n")
	os.Exit(125)
}
