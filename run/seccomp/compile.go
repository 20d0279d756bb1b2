package seccomp

import (
	"encoding/binary"
	"errors"
	"fmt"

	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Default compiles Docker's default profile for a container whose bounding set has
// the capabilities given ("CAP_…"). The result is an array of struct sock_filter.
func Default(capabilities []string) ([]byte, error) {
	p, err := moby.GetDefaultProfile(specFor(capabilities))
	if err != nil {
		return nil, fmt.Errorf("reading the default seccomp profile: %w", err)
	}
	return Compile(p)
}

// Load compiles a profile in Docker's JSON format, with its conditions on
// capabilities, architectures and kernels. A profile without rules and default
// action gives no filter.
func Load(profile []byte, capabilities []string) (*Filter, error) {
	p, err := Profile(string(profile), capabilities)
	if err != nil {
		return nil, err
	}
	return CompileFilter(p)
}

// Profile is Docker's default profile, or with text that one in Docker's JSON format,
// for a container whose bounding set has the capabilities given: as the runtime spec
// has it, for a runtime that compiles it. One without rules is nil.
func Profile(text string, capabilities []string) (p *specs.LinuxSeccomp, err error) {
	if text == "" {
		p, err = moby.GetDefaultProfile(specFor(capabilities))
	} else {
		p, err = moby.LoadProfile(text, specFor(capabilities))
	}
	if err != nil {
		return nil, fmt.Errorf("parsing a seccomp profile: %w", err)
	}
	return p, nil
}

func specFor(capabilities []string) *specs.Spec {
	return &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: capabilities}}}
}

// Compile compiles a profile of the runtime spec for the machine that skiff runs on. A
// profile with flags or a listener is more than a program: see [CompileFilter].
func Compile(p *specs.LinuxSeccomp) ([]byte, error) {
	f, err := CompileFilter(p)
	if err != nil {
		return nil, err
	}
	if f.Flags != 0 {
		return nil, errors.New("compiling a seccomp profile: its flags are not supported")
	}
	if f.Notify {
		return nil, errors.New("compiling a seccomp profile: a listener is not supported")
	}
	return f.Program, nil
}

// maxInstructions is the kernel's bound on one filter (BPF_MAXINSNS).
const maxInstructions = 4096

func compile(p *specs.LinuxSeccomp, machine string) ([]byte, error) {
	code, err := assemble(p, machine)
	if err != nil {
		return nil, fmt.Errorf("compiling a seccomp profile: %w", err)
	}
	if len(code) > maxInstructions {
		return nil, fmt.Errorf("compiling a seccomp profile: %d instructions, the kernel takes %d", len(code), maxInstructions)
	}
	data := make([]byte, 0, 8*len(code))
	for _, i := range code {
		data = binary.LittleEndian.AppendUint16(data, i.Code)
		data = append(data, i.Jt, i.Jf)
		data = binary.LittleEndian.AppendUint32(data, i.K)
	}
	return data, nil
}

func assemble(p *specs.LinuxSeccomp, machine string) (program, error) {
	otherwise, err := answer(p.DefaultAction, p.DefaultErrnoRet)
	if err != nil {
		return nil, err
	}
	all, err := sections(machine, p.Architectures)
	if err != nil {
		return nil, err
	}
	code := make(program, 0, 1024)
	code.add(load, offsetArch)
	for _, s := range all {
		intervals, err := plan(p, s, otherwise)
		if err != nil {
			return nil, err
		}
		// Either into the section or over it.
		code.test(equal, s.audit, 1, 0)
		over := len(code)
		code.add(jump, 0)
		code.add(load, offsetNumber)
		if err := code.search(intervals); err != nil {
			return nil, err
		}
		code[over].K = uint32(len(code) - over - 1)
	}
	// A foreign architecture: libseccomp would kill the thread only.
	code.add(returning, retKillProcess)
	return code, nil
}

// plan lays the numbers of a section out as intervals from 0 on.
func plan(p *specs.LinuxSeccomp, s section, otherwise uint32) ([]interval, error) {
	var all []interval
	for _, a := range s.abis {
		rules, last, err := rulesOf(p, a, otherwise)
		if err != nil {
			return nil, err
		}
		base, wide := uint32(0), s.wide
		if a == abiX32 {
			base, wide = x32Bit, false
		}
		all = spread(all, base, wide, merge(rules, otherwise), otherwise)
		if last >= 0 && denies(p.DefaultAction) && otherwise != retErrno|uint32(unix.ENOSYS) {
			// Calls younger than the profile do not exist, rather than being forbidden:
			// C libraries try the next older one then. This is runc's rule.
			all = extend(all, interval{first: base + uint32(last) + 1, answer: retErrno | uint32(unix.ENOSYS)})
		}
	}
	if s.audit == unix.AUDIT_ARCH_X86_64 && len(s.abis) == 1 {
		all = extend(all, interval{first: x32Bit, answer: retKillProcess})
		// -1 is what a tracer writes to skip a call, no number of x32.
		all = extend(all, interval{first: 1<<32 - 1, answer: otherwise})
	}
	return all, nil
}

// denies tells whether calls that a profile does not know are refused by it. A
// tracer is expected to answer for itself.
func denies(action specs.LinuxSeccompAction) bool {
	return action != specs.ActAllow && action != specs.ActLog && action != specs.ActTrace
}

// spread appends calls, and the default for the gaps between them.
func spread(all []interval, base uint32, wide bool, calls []call, otherwise uint32) []interval {
	at := base
	for _, c := range calls {
		number := base + c.number
		if number > at {
			all = extend(all, interval{first: at, answer: otherwise})
		}
		all = extend(all, interval{first: number, answer: c.answer, rules: c.rules, wide: wide})
		at = number + 1
	}
	return extend(all, interval{first: at, answer: otherwise})
}

// extend appends an interval, or lets the one before it go on where they fare alike.
func extend(all []interval, i interval) []interval {
	if n := len(all); n > 0 && all[n-1].answer == i.answer && all[n-1].rules == nil && i.rules == nil {
		return all
	}
	if n := len(all); n > 0 && all[n-1].first == i.first {
		all[n-1] = i
		return all
	}
	return append(all, i)
}
