package cli

import (
	"errors"
	"slices"
	"strings"

	"github.com/skiff-containers/skiff/completions"
	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// containerFlags are what run and create have in common. Flags bind straight to
// the engine's options.
type containerFlags struct {
	run.CreateOptions
	pull  pullFlags
	parts platformParts
}

func (c *containerFlags) add(flags *pflag.FlagSet, when string) {
	// --help without -h, which is the hostname here.
	flags.Bool("help", false, "Print usage")
	c.addProcess(flags)
	c.addIsolation(flags)
	c.addHost(flags)
	c.addShared(flags)
	c.addIDs(flags)
	c.addEnvironment(flags)
	c.addRefused(flags)
	c.addNetwork(flags)
	c.addPorts(flags)
	c.addLife(flags)
	c.addLimits(flags)
	flags.StringVar(&c.CIDFile, "cidfile", "", "Write the container ID to the file")
	flags.StringVar(&c.PidFile, "pidfile", "", "Write the process ID of the container to the file")
	flags.StringVar(&c.Name, "name", "", "Assign a name to the container")
	flags.BoolVar(&c.AutoRemove, "rm", false, "Automatically remove the container and its associated anonymous volumes when it exits")
	listVar(flags, &c.Labels, "label", "l", "Set meta data on a container")
	listVar(flags, &c.LabelFiles, "label-file", "", "Read in a line delimited file of labels")
	flags.StringVar(&c.Platform, "platform", platformDefault(), "Set platform if server is multi-platform capable")
	flags.Lookup("platform").DefValue = ""
	c.parts.add(flags)
	flags.StringVar(&c.AuthFile, "authfile", "", "Path of the credentials file (default: podman's and docker's)")
	c.Pull = "missing"
	flags.Var(choice{&c.Pull, pullPolicies()}, "pull", `Pull image before `+when+` ("always", "missing", "never")`)
	c.pull.add(flags, "Suppress the pull output")
}

// addProcess: what runs, and how the caller is connected to it.
func (c *containerFlags) addProcess(flags *pflag.FlagSet) {
	flags.VarP(streamList{list{&c.Attach}}, "attach", "a", "Attach to STDIN, STDOUT or STDERR")
	flags.Var(optionalText{&c.Entrypoint}, "entrypoint", "Overwrite the default ENTRYPOINT of the image")
	listVar(flags, &c.Env, "env", "e", "Set environment variables")
	listVar(flags, &c.EnvFiles, "env-file", "", "Read in a file of environment variables")
	listVar(flags, &c.GroupAdd, "group-add", "", "Add additional groups to join")
	flags.BoolVar(&c.Init, "init", false, "Run an init inside the container that forwards signals and reaps processes")
	flags.BoolVarP(&c.Interactive, "interactive", "i", false, "Keep STDIN open even if not attached")
	flags.StringVar(&c.StopSignal, "stop-signal", "", "Signal to stop the container")
	flags.Var(optionalInt{&c.StopTimeout}, "stop-timeout", "Timeout (in seconds) to stop a container")
	flags.BoolVarP(&c.TTY, "tty", "t", false, "Allocate a pseudo-TTY")
	flags.StringVarP(&c.User, "user", "u", "", "Username or UID (format: <name|uid>[:<group|gid>])")
	flags.StringVarP(&c.Workdir, "workdir", "w", "", "Working directory inside the container")
}

// addIsolation: what the process may do.
func (c *containerFlags) addIsolation(flags *pflag.FlagSet) {
	listVar(flags, &c.CapAdd, "cap-add", "", "Add Linux capabilities")
	listVar(flags, &c.CapDrop, "cap-drop", "", "Drop Linux capabilities")
	flags.BoolVar(&c.Privileged, "privileged", false, "Give extended privileges to this container")
	flags.BoolVar(&c.ReadOnly, "read-only", false, "Mount the container's root filesystem as read only")
	listVar(flags, &c.SecurityOpt, "security-opt", "", "Security Options")
	flags.Var(namedList{list{&c.Ulimits}, "ulimit"}, "ulimit", "Ulimit options")
}

// addHost: what it gets of the host.
func (c *containerFlags) addHost(flags *pflag.FlagSet) {
	listVar(flags, &c.Devices, "device", "", "Add a host device to the container")
	flags.StringVar(&c.Domainname, "domainname", "", "Container NIS domain name")
	flags.StringVarP(&c.Hostname, "hostname", "h", "", "Container host name")
	flags.StringVar(&c.LogDriver, "log-driver", "", "Logging driver for the container")
	listVar(flags, &c.LogOpts, "log-opt", "", "Log driver options")
	flags.Var(namedList{list{&c.Mounts}, "mount"}, "mount", "Attach a filesystem mount to the container")
	flags.Var(named{&c.ShmSize, "bytes"}, "shm-size", "Size of /dev/shm")
	listVar(flags, &c.Tmpfs, "tmpfs", "", "Mount a tmpfs directory")
	listVar(flags, &c.Volumes, "volume", "v", "Bind mount a volume")
}

// complete makes the words that follow the flags' names known to shells.
func (c *containerFlags) complete(p *program, cmd *cobra.Command) {
	completeFlag(cmd, "attach", "stdin", "stdout", "stderr")
	completeFlagBy(cmd, "cap-add", completions.Capabilities)
	completeFlagBy(cmd, "cap-drop", completions.Capabilities)
	completeFlag(cmd, "log-driver", "json-file", "none")
	completeFlag(cmd, "log-opt", "max-size=", "max-file=")
	completeFlag(cmd, "mount", "type=bind,", "type=tmpfs,")
	c.completeNetwork(p, cmd)
	c.completePorts(cmd)
	completeLife(cmd)
	completeLimits(cmd)
	c.completeShared(p, cmd)
	c.completeIDs(p, cmd)
	c.completeEnvironment(p, cmd)
	completeRefused(cmd)
	c.parts.complete(cmd)
	completeFlagBy(cmd, "platform", completions.Platforms)
	completeFlag(cmd, "pull", pullPolicies()...)
	completeFlag(cmd, "security-opt", "apparmor=", "label=disable", "mask=", "no-new-privileges", "proc-opts=", "seccomp=", "systempaths=unconfined", "unmask=")
	completeFlagBy(cmd, "stop-signal", completions.Signals)
	completeFlagBy(cmd, "ulimit", completions.Ulimits)
	completeFlag(cmd, "name")
	completeFlag(cmd, "hostname")
	completeFlagBy(cmd, "env", completions.Environment)
	c.pull.complete(cmd)
	cmd.ValidArgsFunction = p.completeImage(true)
}

// pullPolicies are what --pull takes: docker's, and podman's newer.
func pullPolicies() []string { return []string{"always", "missing", "never", "newer"} }

// streamList is --attach.
type streamList struct{ list }

func (s streamList) Set(value string) error {
	value = strings.ToLower(value)
	if value != "stdin" && value != "stdout" && value != "stderr" {
		return errors.New("valid streams are STDIN, STDOUT and STDERR")
	}
	return s.list.Set(value)
}

// choice is a flag that takes one of a few words.
type choice struct {
	to    *string
	words []string
}

func (c choice) Set(value string) error {
	if !slices.Contains(c.words, value) {
		return errors.New("must be one of " + quoted(c.words))
	}
	*c.to = value
	return nil
}
func (c choice) Type() string   { return "string" }
func (c choice) String() string { return *c.to }

func quoted(words []string) string {
	return `"` + strings.Join(words, `", "`) + `"`
}
