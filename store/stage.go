package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/skiff-containers/skiff/userns"
)

// Stages are the tasks of this package that run as root of the user's user
// namespace, by argv[0]. Each returns its exit code.
func Stages() map[string]func() int {
	return map[string]func() int{
		probeStage:  probe,
		removeStage: remove,
		sizeStage:   size,
		remapStage:  remap,
	}
}

// runStage runs a stage of this program in the user's user namespace, with
// namespaces of its own beyond that, and returns what it wrote to stdout. What it
// wrote to stderr is the error where it did not return 0.
func (s *Store) runStage(args []string, namespaces uintptr, files ...userns.File) ([]byte, error) {
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer outRead.Close()
	errRead, errWrite, err := os.Pipe()
	if err != nil {
		outWrite.Close()
		return nil, err
	}
	defer errRead.Close()
	who := "stage-" + NewID()[:16]
	process, _, err := s.Enter(&userns.Command{
		Path:   "/proc/self/exe",
		Args:   args,
		Env:    os.Environ(),
		Stdout: outWrite,
		Stderr: errWrite,
		Files:  files,
	}, namespaces, who)
	outWrite.Close()
	errWrite.Close()
	if err != nil {
		return nil, err
	}
	defer s.Leave(who)
	var out, complaint bytes.Buffer
	read := make(chan struct{})
	go func() { io.Copy(&complaint, errRead); close(read) }()
	_, copyErr := io.Copy(&out, outRead)
	<-read
	status, err := process.Wait()
	switch {
	case err != nil:
		return nil, err
	case copyErr != nil:
		return nil, copyErr
	case status.Signaled():
		return nil, fmt.Errorf("running stage %s: %v", args[0], status.Signal())
	case status.ExitStatus() != 0:
		return nil, errors.New(strings.TrimSpace(complaint.String()))
	}
	return out.Bytes(), nil
}

// complain is the end of a stage that did not succeed.
func complain(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}
