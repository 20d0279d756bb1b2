package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/ociruntime"
	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

// runtimeName is argv[0] of skiff as an OCI runtime: a link to skiff has this name.
const runtimeName = "skiff-runtime"

// runtimeFlags are the global flags of an OCI runtime, as runc has them.
type runtimeFlags struct {
	p         *program
	root      string
	log       string
	logFormat string
	debug     bool
	systemd   bool
	manager   string // crun's word for the same
	rootless  string
	version   bool
}

func newRuntime(p *program) *cobra.Command {
	f := &runtimeFlags{p: p}
	cmd := &cobra.Command{
		Use:   "runtime [OPTIONS] COMMAND",
		Short: "Run containers from OCI bundles, as runc and crun do",
		Long: `Run containers from OCI bundles, as runc and crun do, for programs that call an OCI
runtime: podman, containerd, docker. Under the name skiff-runtime (a link to skiff)
the word "runtime" is left out.`,
		Example: `  skiff runtime spec --rootless    begin a bundle in this folder, beside rootfs/
  skiff runtime run test           run it`,
		Args:             unknownCommand,
		TraverseChildren: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.version {
				return f.writeVersion()
			}
			return help(cmd, args)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	flags.StringVar(&f.root, "root", "", "Folder of containers (default $XDG_RUNTIME_DIR/skiff-runtime, /run/skiff-runtime for root)")
	flags.StringVar(&f.log, "log", "", "Append errors and warnings to this file as well")
	flags.StringVar(&f.logFormat, "log-format", "text", `Format of the log ("text"|"json")`)
	flags.BoolVar(&f.debug, "debug", false, "Show what errors are made of")
	flags.BoolVar(&f.systemd, "systemd-cgroup", false, "Have systemd make the cgroups, over D-Bus")
	flags.StringVar(&f.manager, "cgroup-manager", "cgroupfs", `How cgroups are made ("cgroupfs"|"systemd"|"disabled")`)
	flags.StringVar(&f.rootless, "rootless", "auto", `Do without cgroups that cannot be made ("true"|"false"|"auto")`)
	flags.BoolVarP(&f.version, "version", "v", false, "Print version information and quit")
	completeFlag(cmd, "log-format", "text", "json")
	completeFlag(cmd, "cgroup-manager", "cgroupfs", "systemd", "disabled")
	completeFlag(cmd, "rootless", "true", "false", "auto")
	cmd.AddCommand(
		newRuntimeCreate(f), newRuntimeDelete(f), newRuntimeExec(f), newRuntimeEvents(f), newRuntimeFeatures(f), newRuntimeKill(f),
		newRuntimeList(f), newRuntimePause(f), newRuntimePs(f), newRuntimeResume(f), newRuntimeRun(f), newRuntimeSpec(f),
		newRuntimeStart(f), newRuntimeState(f), newRuntimeUpdate(f), newRuntimeCheckpoint(f), newRuntimeRestore(f),
	)
	return cmd
}

// asRuntime are the arguments of skiff when it was called as an OCI runtime.
func asRuntime(argv []string) []string {
	if len(argv) == 0 || filepath.Base(argv[0]) != runtimeName {
		return nil
	}
	return append([]string{"runtime"}, argv[1:]...)
}

func (f *runtimeFlags) writeVersion() error {
	v := (&run.Engine{}).Version()
	_, err := fmt.Fprintf(f.p.data(), "%s version %s\ncommit: %s\nspec: %s\ngo: %s\n", runtimeName, v.Version, v.GitCommit, specs.Version, runtime.Version())
	return err
}

// does is the RunE of a command: what fails is logged where the caller looks for it.
func (f *runtimeFlags) does(work func(r *ociruntime.Runtime, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		f.p.debug = f.p.debug || f.debug
		if f.logFormat != "text" && f.logFormat != "json" {
			return badFlag(cmd, fmt.Sprintf("invalid log format %q: text or json", f.logFormat))
		}
		r, err := f.runtime()
		if err == nil {
			err = work(r, args)
		}
		if err != nil && !silent(err) {
			f.record("error", err.Error())
		}
		return err
	}
}

func (f *runtimeFlags) runtime() (*ociruntime.Runtime, error) {
	r := &ociruntime.Runtime{Root: f.root, SystemdCgroup: f.systemd, Warn: func(text string) { f.record("warning", text) }}
	if r.Root == "" {
		r.Root = ociruntime.DefaultRoot()
	}
	var err error
	if r.Root, err = filepath.Abs(r.Root); err != nil {
		return nil, err
	}
	switch f.manager {
	case "cgroupfs":
	case "systemd":
		r.SystemdCgroup = true
	case "disabled":
		r.NoCgroups = true
	default:
		return nil, fmt.Errorf("invalid value %q for --cgroup-manager: cgroupfs, systemd or disabled", f.manager)
	}
	switch f.rootless {
	case "true":
		r.Rootless = true
	case "false":
	case "auto", "":
		r.Rootless = !ociruntime.InitialRoot()
	default:
		return nil, fmt.Errorf("invalid value %q for --rootless: true, false or auto", f.rootless)
	}
	return r, nil
}

// record appends a line to the log, in the form that runc's has.
func (f *runtimeFlags) record(level, message string) {
	if f.log == "" {
		return
	}
	file, err := os.OpenFile(f.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		f.p.note(fmt.Sprintf("opening the log: %v", err))
		return
	}
	defer file.Close()
	now := time.Now().UTC().Format(time.RFC3339Nano)
	if f.logFormat == "json" {
		line, _ := json.Marshal(map[string]string{"level": level, "msg": message, "time": now})
		file.Write(append(line, '\n'))
		return
	}
	fmt.Fprintf(file, "time=%q level=%s msg=%q\n", now, level, strings.TrimSpace(message))
}

// processStdio are the descriptors that a container's process gets as they are: the
// caller of a runtime has chosen them for it.
func (f *runtimeFlags) processStdio() [3]*os.File { return [3]*os.File{f.p.In, f.p.Out, f.p.Err} }

// terminalSize is nil without a terminal.
func (f *runtimeFlags) terminalSize() *specs.Box {
	t := f.p.terminalState()
	if t.f == nil {
		return nil
	}
	rows, columns := t.Size()
	if rows == 0 {
		return nil
	}
	return &specs.Box{Height: uint(rows), Width: uint(columns)}
}

// completeContainers offers the ids of the runtime's containers.
func (f *runtimeFlags) completeContainers(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	r, err := f.runtime()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all, err := r.List()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var ids []string
	for _, s := range all {
		ids = append(ids, s.ID)
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
