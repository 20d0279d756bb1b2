// Command skiff runs OCI containers without root and without a daemon.
package main

import (
	"os"

	"github.com/skiff-containers/skiff/cli"
)

func main() { os.Exit(cli.Main(os.Args)) }
