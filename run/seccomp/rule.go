package seccomp

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// What a filter may answer (linux/seccomp.h); errnos and trace data go in the low 16 bits.
const (
	retKillProcess = 0x80000000
	retKillThread  = 0x00000000
	retTrap        = 0x00030000
	retErrno       = 0x00050000
	retNotify      = 0x7fc00000
	retTrace       = 0x7ff00000
	retLog         = 0x7ffc0000
	retAllow       = 0x7fff0000
)

// answer turns an action of the runtime spec into the value that a filter returns.
// Errno and trace without a number carry EPERM, as in runc.
func answer(action specs.LinuxSeccompAction, number *uint) (uint32, error) {
	data := uint32(unix.EPERM)
	if number != nil {
		if *number > 4095 {
			return 0, fmt.Errorf("action %q: errno %d is out of range", action, *number)
		}
		data = uint32(*number)
	}
	switch action {
	case specs.ActKill, specs.ActKillThread:
		return retKillThread, nil
	case specs.ActKillProcess:
		return retKillProcess, nil
	case specs.ActTrap:
		return retTrap, nil
	case specs.ActErrno:
		return retErrno | data, nil
	case specs.ActTrace:
		return retTrace | data, nil
	case specs.ActAllow:
		return retAllow, nil
	case specs.ActLog:
		return retLog, nil
	case specs.ActNotify:
		return retNotify, nil
	}
	return 0, fmt.Errorf("action %q is unknown", action)
}

// rule is what happens to one system call when all conditions hold.
type rule struct {
	number     uint32
	answer     uint32
	conditions []specs.LinuxSeccompArg
}

// call is all rules of one number.
type call struct {
	number uint32
	answer uint32 // of the unconditional rule, or the default
	rules  []rule // tried in order before that
}

// rulesOf collects a profile's rules for one ABI, sorted by number, and the highest
// number that the profile names at all (-1 where none).
func rulesOf(p *specs.LinuxSeccomp, a abi, otherwise uint32) (rules []rule, last int64, err error) {
	last = -1
	rules = make([]rule, 0, 512)
	for i := range p.Syscalls {
		group := &p.Syscalls[i]
		result, err := answer(group.Action, group.ErrnoRet)
		if err != nil {
			return nil, 0, err
		}
		alternatives, err := split(group.Args)
		if err != nil {
			return nil, 0, err
		}
		for _, name := range group.Names {
			known := numbers(name)
			if known == nil {
				continue // as libseccomp does with names it does not know
			}
			if known[a] >= 0 {
				last = max(last, int64(known[a]))
			}
			if result == otherwise {
				continue
			}
			for _, conditions := range alternatives {
				if known[a] >= 0 {
					rules = append(rules, rule{uint32(known[a]), result, conditions})
				}
				if a == abiX86 && conditions == nil {
					rules = appendMultiplexed(rules, name, result)
				}
			}
		}
	}
	slices.SortStableFunc(rules, func(a, b rule) int { return cmp.Compare(a.number, b.number) })
	return rules, last, nil
}

// split returns sets of conditions: within a set all must hold, of the sets any.
// One set it is, but for an argument that is named twice: libseccomp cannot join
// those, so runc makes every condition a rule of its own, and so does skiff.
func split(args []specs.LinuxSeccompArg) ([][]specs.LinuxSeccompArg, error) {
	var seen [6]bool
	twice := false
	for _, a := range args {
		if a.Index > 5 {
			return nil, fmt.Errorf("argument %d: a system call has six, counted from 0", a.Index)
		}
		twice = twice || seen[a.Index]
		seen[a.Index] = true
	}
	if !twice {
		return [][]specs.LinuxSeccompArg{args}, nil
	}
	var sets [][]specs.LinuxSeccompArg
	for i := range args {
		sets = append(sets, args[i:i+1])
	}
	return sets, nil
}

// socketCalls and ipcCalls are what 32-bit x86 programs may also reach through
// socketcall(2) and ipc(2), by the number in their first argument.
var (
	socketCalls = [...]string{"socket", "bind", "connect", "listen", "accept", "getsockname", "getpeername", "socketpair", "send", "recv",
		"sendto", "recvfrom", "shutdown", "setsockopt", "getsockopt", "sendmsg", "recvmsg", "accept4", "recvmmsg", "sendmmsg"}
	ipcCalls = [...]string{1: "semop", 2: "semget", 3: "semctl", 4: "semtimedop", 11: "msgsnd", 12: "msgrcv", 13: "msgget", 14: "msgctl",
		21: "shmat", 22: "shmdt", 23: "shmget", 24: "shmctl"}
)

func appendMultiplexed(rules []rule, name string, result uint32) []rule {
	const socketcall, ipc = 102, 117
	for i, have := range socketCalls {
		if have == name {
			rules = append(rules, firstArgument(socketcall, uint64(i+1), result))
		}
	}
	for i, have := range ipcCalls {
		if have == name {
			rules = append(rules, firstArgument(ipc, uint64(i), result))
		}
	}
	return rules
}

func firstArgument(number uint32, value uint64, result uint32) rule {
	return rule{number, result, []specs.LinuxSeccompArg{{Index: 0, Value: value, Op: specs.OpEqualTo}}}
}

// merge joins the rules of each number. A rule without conditions rules its number
// alone, wherever it stands, as in libseccomp.
func merge(rules []rule, otherwise uint32) []call {
	calls := make([]call, 0, len(rules))
	for start := 0; start < len(rules); {
		end := start
		c := call{number: rules[start].number, answer: otherwise}
		for end < len(rules) && rules[end].number == c.number {
			end++
		}
		c.rules = rules[start:end]
		for _, r := range c.rules {
			if len(r.conditions) == 0 {
				c.answer, c.rules = r.answer, nil
				break
			}
		}
		if len(c.rules) > 1 {
			slices.SortStableFunc(c.rules, func(a, b rule) int { return cmp.Compare(weight(a), weight(b)) })
		}
		calls = append(calls, c)
		start = end
	}
	return calls
}

// weight orders the rules of one number as libseccomp does: equality, which is the
// more particular, before masks, and masks before ranges.
func weight(r rule) int {
	heaviest := 0
	for _, c := range r.conditions {
		switch c.Op {
		case specs.OpEqualTo:
		case specs.OpMaskedEqual:
			heaviest = max(heaviest, 1)
		default:
			heaviest = 2
		}
	}
	return heaviest
}
