package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/conmon"
	"github.com/skiff-containers/skiff/store"
)

// Exec runs a further process in a running container and, unless o.Detach, stays
// with it. The error is a *[conmon.Failure] with Docker's exit code where the
// program cannot be executed. A process whose caller goes away is killed.
func (e *Engine) Exec(ctx context.Context, ref string, o *ExecOptions) (Outcome, error) {
	defer e.tidy()()
	if len(o.Command) == 0 {
		return Outcome{}, errors.New("no command specified")
	}
	keys, err := detachKeys(o.DetachKeys)
	if err != nil {
		return Outcome{}, err
	}
	c, r, err := e.find(ref)
	if err != nil {
		return Outcome{}, err
	}
	request, err := execRequest(r, o)
	if err != nil {
		return Outcome{}, err
	}
	preserve, err := preserved(o.PreserveFDs)
	if err != nil {
		return Outcome{}, err
	}
	client, err := e.dial(ctx, c, r, "exec in")
	if err != nil {
		return Outcome{}, err
	}
	signals := e.proxy(o.SigProxy && !o.Detach)
	defer signals.stop()
	var direct [3]*os.File
	if !o.Detach && !o.TTY {
		direct = pipesOf(&o.AttachOptions, request.Attach)
	}
	session, err := signals.during(func() (*conmon.Session, error) { return client.Exec(*request, direct, preserve...) })
	if err != nil {
		return Outcome{}, notRunning(r, "exec in", err)
	}
	if o.Detach {
		session.Close()
		return Outcome{}, nil
	}
	p := pump{engine: e, container: c, session: session, options: &o.AttachOptions, attach: request.Attach, direct: direct, tty: o.TTY, keys: keys, signals: signals}
	return p.run(ctx)
}

func execRequest(r *store.Record, o *ExecOptions) (*conmon.ExecRequest, error) {
	if o.Workdir != "" && !path.IsAbs(o.Workdir) {
		return nil, fmt.Errorf("the working directory %q is invalid, it needs to be an absolute path", o.Workdir)
	}
	env, err := userEnv(o.EnvFiles, o.Env, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	security, _, err := parseSecurity(r.HostConfig.SecurityOpt)
	if err != nil {
		return nil, fmt.Errorf("reading container %.12s: %w", r.ID, err)
	}
	caps := joinCapabilities(r.HostConfig.CapAdd, r.HostConfig.CapDrop, r.HostConfig.Privileged || o.Privileged)
	request := &conmon.ExecRequest{
		Process: &specs.Process{
			Terminal:        o.TTY && !o.Detach,
			Args:            o.Command,
			Env:             joinEnv(processEnv(r.Config.Env, r.Config.Hostname, o.TTY), env),
			Cwd:             r.Config.WorkingDir,
			User:            specs.User{Umask: umaskOf(r.Config.Umask)},
			NoNewPrivileges: security.noNewPrivileges,
			ApparmorProfile: security.appArmor,
			Capabilities:    &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
			Rlimits:         rlimitsOf(r.HostConfig.Ulimits),
		},
		User:       r.Config.User,
		GroupAdd:   r.HostConfig.GroupAdd,
		Detach:     o.Detach,
		Unconfined: o.Privileged,
	}
	if score := r.HostConfig.OomScoreAdj; score != 0 {
		request.Process.OOMScoreAdj = &score
	}
	if o.Workdir != "" {
		request.Process.Cwd = path.Clean(o.Workdir)
	}
	if o.User != "" {
		request.User = o.User
	}
	if !o.Detach {
		request.Attach = conmon.Attach{Stdin: o.Interactive && !o.NoStdin && o.In != nil, Stdout: true, Stderr: true}
		if o.TTY && o.Terminal != nil {
			rows, columns := o.Terminal.Size()
			request.Attach.Size = conmon.Size{Rows: rows, Columns: columns}
		}
	}
	return request, nil
}
