package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/ociruntime"
	"github.com/spf13/cobra"
)

// runtimeExec are the attributes of a process that may be given one by one.
type runtimeExec struct {
	ociruntime.ExecOptions
	process    string
	tty        bool
	cwd, user  string
	env, caps  []string
	groups     []uint
	appArmor   string
	label      string
	noNewPrivs bool
}

func newRuntimeExec(f *runtimeFlags) *cobra.Command {
	var e runtimeExec
	cmd := &cobra.Command{
		Use:               "exec [OPTIONS] CONTAINER [COMMAND] [ARG...]",
		Short:             "Run a further process in a container",
		Example:           `  skiff runtime exec --env A=b --cwd /tmp test sh -c 'pwd'`,
		Args:              minArgs(1),
		ValidArgsFunction: f.completeContainers,
	}
	cmd.RunE = f.does(func(r *ociruntime.Runtime, args []string) error {
		e.Stdio = f.processStdio()
		e.Process = func(of *specs.Process) (*specs.Process, error) { return e.build(of, args[1:]) }
		if !e.Detach {
			e.TerminalSize = f.terminalSize()
		}
		started, err := r.Exec(args[0], &e.ExecOptions)
		if err != nil {
			return err
		}
		if e.Detach {
			return nil
		}
		return f.attend(started)
	})
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	addRuntimeProcess(flags, &e.ProcessOptions)
	flags.StringVarP(&e.process, "process", "p", "", `File with a "process" object of the runtime spec`)
	flags.BoolVarP(&e.Detach, "detach", "d", false, "Do not wait for the end of the process")
	flags.BoolVarP(&e.tty, "tty", "t", false, "Give the process a terminal")
	flags.StringVar(&e.cwd, "cwd", "", "Working directory in the container")
	listVar(flags, &e.env, "env", "e", "Set an environment variable")
	flags.StringVarP(&e.user, "user", "u", "", "User of the process (UID[:GID])")
	flags.UintSliceVarP(&e.groups, "additional-gids", "g", nil, "Additional groups of the process")
	listVar(flags, &e.caps, "cap", "c", "Add a capability")
	flags.StringVar(&e.appArmor, "apparmor", "", "AppArmor profile of the process")
	flags.StringVar(&e.label, "process-label", "", "SELinux label of the process")
	flags.BoolVar(&e.noNewPrivs, "no-new-privs", false, "Keep the process from gaining privileges")
	flags.StringVar(&e.Cgroup, "cgroup", "", "Run in this cgroup beneath the container's own")
	flags.BoolVar(&e.IgnorePaused, "ignore-paused", false, "Do so in a paused container too")
	return cmd
}

// build makes the process: the one of the file, or the container's own with what was
// given instead.
func (e *runtimeExec) build(of *specs.Process, args []string) (*specs.Process, error) {
	if e.process != "" {
		data, err := os.ReadFile(e.process)
		if err != nil {
			return nil, fmt.Errorf("reading the process: %w", err)
		}
		p := new(specs.Process)
		if err := json.Unmarshal(data, p); err != nil {
			return nil, fmt.Errorf("parsing the process: %w", err)
		}
		return p, nil
	}
	if len(args) == 0 {
		return nil, errors.New("process args cannot be empty")
	}
	p := *of
	p.Args, p.Terminal, p.ConsoleSize = args, e.tty, nil
	p.Env = append(slices.Clone(of.Env), e.env...)
	p.NoNewPrivileges = of.NoNewPrivileges || e.noNewPrivs
	if e.cwd != "" {
		p.Cwd = e.cwd
	}
	if e.appArmor != "" {
		p.ApparmorProfile = e.appArmor
	}
	if e.label != "" {
		p.SelinuxLabel = e.label
	}
	if e.user != "" {
		p.User.GID = 0
		if err := ociruntime.SplitUser(e.user, &p.User); err != nil {
			return nil, err
		}
	}
	for _, gid := range e.groups {
		p.User.AdditionalGids = append(slices.Clip(p.User.AdditionalGids), uint32(gid))
	}
	if len(e.caps) > 0 {
		p.Capabilities = withCapabilities(of.Capabilities, e.caps)
	}
	return &p, nil
}

func withCapabilities(of *specs.LinuxCapabilities, names []string) *specs.LinuxCapabilities {
	var c specs.LinuxCapabilities
	if of != nil {
		c = *of
	}
	for _, name := range names {
		if name = strings.ToUpper(name); !strings.HasPrefix(name, "CAP_") {
			name = "CAP_" + name
		}
		for _, set := range []*[]string{&c.Bounding, &c.Effective, &c.Permitted} {
			*set = append(slices.Clip(*set), name)
		}
	}
	return &c
}
