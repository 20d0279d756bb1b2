// Command embed builds the shim's small program for package program to carry:
// shim_<arch>.bin, and in shim_<arch>.hash the first 16 digits of its SHA-256. It is
// run by go generate, in the folder of package program. SHIM_ARCH is the
// architecture to build for (GOARCH would have go generate run this very command
// for it); releases of several are built at the same time.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"runtime"
)

func main() {
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		os.Exit(1)
	}
}

func build() error {
	arch := os.Getenv("SHIM_ARCH")
	if arch == "" {
		arch = runtime.GOARCH
	}
	program := "shim_" + arch + ".bin"
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-o", program, "../shim")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building the shim: %w", err)
	}
	data, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	return os.WriteFile("shim_"+arch+".hash", []byte(hex.EncodeToString(sum[:8])), 0o644)
}
