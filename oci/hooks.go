package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// hookConfig is one hook that a stage runs, with the container's state for its
// standard input.
type hookConfig struct {
	Path      string
	Args, Env []string
	Timeout   int // seconds; 0 is no limit
	State     []byte
}

// maxHookOutput bounds what a failed hook may add to an error.
const maxHookOutput = 4 << 10

// RunHooks runs hooks one after the other and ends with the first that fails. Each
// gets the container's state, as JSON, on its standard input (runtime-spec, "POSIX-platform
// Hooks"). word is the list's name in the config.
func RunHooks(word string, hooks []specs.Hook, state *specs.State) error {
	all, err := compileHooks(word, hooks, state)
	if err != nil {
		return err
	}
	return runHooks(all)
}

// compileHooks reads a spec's list.
func compileHooks(word string, hooks []specs.Hook, state *specs.State) ([]hookConfig, error) {
	if len(hooks) == 0 {
		return nil, nil
	}
	data, err := json.Marshal(state)
	if err != nil {
		return nil, fmt.Errorf("describing the container to its hooks: %w", err)
	}
	all := make([]hookConfig, len(hooks))
	for i, h := range hooks {
		all[i] = hookConfig{Path: h.Path, Args: h.Args, Env: h.Env, State: data}
		if !path.IsAbs(h.Path) {
			return nil, fmt.Errorf("%s hook %q: the path is not absolute", word, h.Path)
		}
		if h.Timeout != nil {
			if *h.Timeout <= 0 {
				return nil, fmt.Errorf("%s hook %q: a timeout of %d seconds is none", word, h.Path, *h.Timeout)
			}
			all[i].Timeout = *h.Timeout
		}
	}
	return all, nil
}

func runHooks(all []hookConfig) error {
	for i := range all {
		if err := all[i].run(); err != nil {
			return fmt.Errorf("running the hook %q: %w", all[i].Path, err)
		}
	}
	return nil
}

// run waits for the hook's end, but not for what it left running in the background.
func (h *hookConfig) run() error {
	output := limitedBuffer{most: maxHookOutput}
	cmd := exec.Cmd{Path: h.Path, Args: h.Args, Env: h.Env, Stdin: bytes.NewReader(h.State), Stdout: &output, Stderr: &output,
		WaitDelay: 100 * time.Millisecond}
	if len(cmd.Args) == 0 {
		cmd.Args = []string{h.Path}
	}
	if cmd.Env == nil {
		cmd.Env = []string{} // nil would be ours
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	late := false
	if h.Timeout > 0 {
		stop := make(chan struct{})
		timer := time.AfterFunc(time.Duration(h.Timeout)*time.Second, func() {
			late = true
			cmd.Process.Kill()
			close(stop)
		})
		defer func() {
			if !timer.Stop() {
				<-stop
			}
		}()
	}
	err := cmd.Wait()
	switch {
	case late:
		return fmt.Errorf("not ended after %d seconds", h.Timeout)
	case err == nil || errors.Is(err, exec.ErrWaitDelay):
		return nil
	}
	if words := strings.TrimSpace(output.String()); words != "" {
		return fmt.Errorf("%w: %s", err, words)
	}
	return err
}

// limitedBuffer keeps the beginning of what is written to it.
type limitedBuffer struct {
	bytes.Buffer
	most int
}

func (b *limitedBuffer) Write(data []byte) (int, error) {
	b.Buffer.Write(data[:min(len(data), max(b.most-b.Len(), 0))])
	return len(data), nil
}
