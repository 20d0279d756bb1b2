package seccomp

import (
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Filter is a compiled profile and how it is to be installed.
type Filter struct {
	Program []byte // an array of struct sock_filter; empty is no filter
	Flags   uint32 // for seccomp(2), SECCOMP_FILTER_FLAG_*
	// Notify says that a supervisor answers for some calls: the filter gets a listener.
	Notify bool
}

// filterFlags are the flags of a profile and the kernel's. TSYNC concerns threads, of
// which there is one when the filter is installed.
var filterFlags = map[specs.LinuxSeccompFlag]uint32{
	"SECCOMP_FILTER_FLAG_TSYNC":            0,
	specs.LinuxSeccompFlagLog:              unix.SECCOMP_FILTER_FLAG_LOG,
	specs.LinuxSeccompFlagSpecAllow:        unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW,
	specs.LinuxSeccompFlagWaitKillableRecv: unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
}

// FilterFlags are the names of the flags that a profile may have.
func FilterFlags() []string {
	var all []string
	for name := range filterFlags {
		all = append(all, string(name))
	}
	slices.Sort(all)
	return all
}

// CompileFilter is [Compile] for any profile, nil among them, which is no filter.
func CompileFilter(p *specs.LinuxSeccomp) (f *Filter, err error) {
	f = new(Filter)
	if p == nil {
		return f, nil
	}
	if f.Flags, f.Notify, err = Installation(p); err != nil {
		return nil, err
	}
	f.Program, err = compile(p, native())
	return f, err
}

// Installation tells how the filter of a profile is installed: the Flags and Notify of
// its [Filter].
func Installation(p *specs.LinuxSeccomp) (flags uint32, notify bool, err error) {
	for _, name := range p.Flags {
		flag, ok := filterFlags[name]
		if !ok {
			return 0, false, fmt.Errorf("compiling a seccomp profile: flag %q is not supported", name)
		}
		flags |= flag
	}
	if notify, err = notifies(p); err != nil {
		return 0, false, fmt.Errorf("compiling a seccomp profile: %w", err)
	}
	if !notify {
		flags &^= unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV // of a listener, which the kernel insists on
	}
	return flags, notify, nil
}

// notifies tells whether there is anything for a supervisor. The calls that hand the
// listener over, and the one that starts the program, must not wait for it.
func notifies(p *specs.LinuxSeccomp) (notify bool, err error) {
	if p.DefaultAction == specs.ActNotify {
		return false, errors.New("the default action cannot be a supervisor's")
	}
	for _, group := range p.Syscalls {
		if group.Action != specs.ActNotify {
			continue
		}
		notify = true
		for _, name := range group.Names {
			if name == "sendmsg" || name == "read" {
				return false, fmt.Errorf("%s cannot be a supervisor's: it hands the listener over", name)
			}
		}
	}
	switch {
	case notify && p.ListenerPath == "":
		return false, errors.New("action SCMP_ACT_NOTIFY needs a listenerPath")
	case !notify && p.ListenerPath != "":
		return false, errors.New("a listenerPath needs a rule with action SCMP_ACT_NOTIFY")
	case p.ListenerMetadata != "" && p.ListenerPath == "":
		return false, errors.New("listenerMetadata needs a listenerPath")
	}
	return notify, nil
}

// Actions are those that a rule may have.
func Actions() []string {
	var all []string
	for _, a := range []specs.LinuxSeccompAction{specs.ActAllow, specs.ActErrno, specs.ActKill, specs.ActKillProcess, specs.ActKillThread,
		specs.ActLog, specs.ActNotify, specs.ActTrace, specs.ActTrap} {
		all = append(all, string(a))
	}
	return all
}

// Operators are those of conditions.
func Operators() []string {
	var all []string
	for _, o := range []specs.LinuxSeccompOperator{specs.OpEqualTo, specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpLessEqual, specs.OpLessThan,
		specs.OpMaskedEqual, specs.OpNotEqual} {
		all = append(all, string(o))
	}
	return all
}

// Architectures are those whose calls a process on this machine can make.
func Architectures() []string {
	var all []string
	for _, member := range families[native()] {
		all = append(all, string(member.arch))
	}
	return all
}
