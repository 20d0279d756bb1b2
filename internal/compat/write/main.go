// Command write writes docs/compat.md.
package main

import (
	"fmt"
	"os"

	"github.com/skiff-containers/skiff/cli"
	"github.com/skiff-containers/skiff/internal/compat"
)

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "write:", err)
		os.Exit(1)
	}
}

func write() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: write FILE")
	}
	docker, podman, err := compat.Compare(cli.Tree())
	if err != nil {
		return err
	}
	return os.WriteFile(os.Args[1], compat.Markdown(docker, podman), 0o644)
}
