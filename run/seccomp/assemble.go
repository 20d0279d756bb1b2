package seccomp

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data (linux/seccomp.h). Every machine that skiff is
// built for is little-endian, so the low half of an argument comes first.
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArgs   = 16
)

const (
	load      = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	and       = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	jump      = unix.BPF_JMP | unix.BPF_JA
	equal     = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	atLeast   = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	moreThan  = unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K
	returning = unix.BPF_RET | unix.BPF_K
)

// Targets of a condition's jumps before they are known.
const (
	next = 0
	pass = 254 // the condition holds
	fail = 255 // it does not: on to the next rule
)

type program []unix.SockFilter

func (p *program) add(code uint16, k uint32) { *p = append(*p, unix.SockFilter{Code: code, K: k}) }
func (p *program) test(code uint16, k uint32, yes, no uint8) {
	*p = append(*p, unix.SockFilter{Code: code, Jt: yes, Jf: no, K: k})
}

// interval is the numbers from first up to the next interval, which fare alike.
type interval struct {
	first  uint32
	answer uint32
	rules  []rule
	wide   bool // arguments have 64 bits
}

// search appends a balanced search for the number in the accumulator.
func (p *program) search(all []interval) error {
	if len(all) == 1 {
		return p.leaf(&all[0])
	}
	middle := len(all) / 2
	node := len(*p)
	p.test(atLeast, all[middle].first, 0, 0)
	if err := p.search(all[:middle]); err != nil {
		return err
	}
	if distance := len(*p) - node - 1; distance <= 255 {
		(*p)[node].Jt = uint8(distance)
	} else {
		// A conditional jump reaches 255 instructions: one that reaches any goes between.
		*p = append(*p, unix.SockFilter{})
		copy((*p)[node+2:], (*p)[node+1:])
		(*p)[node+1] = unix.SockFilter{Code: jump, K: uint32(distance)}
		(*p)[node].Jf = 1
	}
	return p.search(all[middle:])
}

// leaf appends the rules of one number, each ending in its answer.
func (p *program) leaf(i *interval) error {
	for _, r := range i.rules {
		start := len(*p)
		for _, c := range r.conditions {
			from := len(*p)
			if err := p.condition(c, i.wide); err != nil {
				return err
			}
			p.resolve(from, len(*p), pass)
		}
		p.add(returning, r.answer)
		p.resolve(start, len(*p), fail)
	}
	p.add(returning, i.answer)
	return nil
}

// resolve points the jumps marked with a target to the instruction at "to".
func (p program) resolve(from, to int, target uint8) {
	for i := from; i < len(p); i++ {
		if p[i].Code&7 != unix.BPF_JMP {
			continue
		}
		if p[i].Jt == target {
			p[i].Jt = uint8(to - i - 1)
		}
		if p[i].Jf == target {
			p[i].Jf = uint8(to - i - 1)
		}
	}
}

// condition appends the comparison of one argument, unsigned. A narrow
// architecture has the low halves only.
func (p *program) condition(c specs.LinuxSeccompArg, wide bool) error {
	low := uint32(offsetArgs + 8*c.Index)
	high := low + 4
	h, l := uint32(c.Value>>32), uint32(c.Value)
	upper := func(yes, no uint8) { // decides by the high halves, or falls through where they are equal
		if !wide {
			return
		}
		p.add(load, high)
		if yes != no {
			p.test(moreThan, h, yes, next)
		}
		p.test(equal, h, next, no)
	}
	switch c.Op {
	case specs.OpEqualTo:
		upper(fail, fail)
		p.add(load, low)
		p.test(equal, l, next, fail)
	case specs.OpNotEqual:
		upper(pass, pass)
		p.add(load, low)
		p.test(equal, l, fail, next)
	case specs.OpGreaterThan:
		upper(pass, fail)
		p.add(load, low)
		p.test(moreThan, l, next, fail)
	case specs.OpGreaterEqual:
		upper(pass, fail)
		p.add(load, low)
		p.test(atLeast, l, next, fail)
	case specs.OpLessThan:
		upper(fail, pass)
		p.add(load, low)
		p.test(atLeast, l, fail, next)
	case specs.OpLessEqual:
		upper(fail, pass)
		p.add(load, low)
		p.test(moreThan, l, fail, next)
	case specs.OpMaskedEqual:
		want := c.ValueTwo & c.Value // libseccomp masks both sides
		if wide && h != 0 {
			p.add(load, high)
			p.add(and, h)
			p.test(equal, uint32(want>>32), next, fail)
		}
		p.add(load, low)
		p.add(and, l)
		p.test(equal, uint32(want), next, fail)
	default:
		return fmt.Errorf("operator %q is unknown", c.Op)
	}
	return nil
}
