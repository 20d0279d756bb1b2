package oci

import (
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// rareConfig are attributes of a process that hardly anybody asks for. A config
// without them has none of this.
type rareConfig struct {
	KeepKeyring bool
	Scheduler   *schedulerConfig // sched_setattr(2)
	IOPriority  int              // ioprio_set(2), as class<<13 | priority
	SetIO       bool
	CPUs        []int // sched_setaffinity(2)
	Personality uint64
	SetPersona  bool
	MemoryMode  int // set_mempolicy(2), with its flags
	MemoryNodes []int
	SetMemory   bool
	AppArmor    string
	SELinux     string
}

// schedulerConfig is a struct sched_attr; Nice is an int32 there.
type schedulerConfig struct {
	Policy, Nice, Priority           uint32
	Flags, Runtime, Deadline, Period uint64
}

// compileRare returns nil where the spec asks for nothing of it.
func compileRare(p *specs.Process) (*rareConfig, error) {
	if p.Scheduler == nil && p.IOPriority == nil && p.ExecCPUAffinity == nil && p.ApparmorProfile == "" && p.SelinuxLabel == "" {
		return nil, nil
	}
	r := &rareConfig{AppArmor: p.ApparmorProfile, SELinux: p.SelinuxLabel}
	var err error
	if p.Scheduler != nil {
		if r.Scheduler, err = compileScheduler(p.Scheduler); err != nil {
			return nil, err
		}
	}
	if p.IOPriority != nil {
		if r.IOPriority, err = compileIOPriority(p.IOPriority); err != nil {
			return nil, err
		}
		r.SetIO = true
	}
	if a := p.ExecCPUAffinity; a != nil {
		if r.CPUs, err = parseList(a.Final); err != nil {
			return nil, fmt.Errorf("CPU affinity: %w", err)
		}
	}
	return r, nil
}

// namedValue is a word of the runtime spec and what the kernel takes for it. Lists of
// them need no work at a stage's start, which maps do.
type namedValue struct {
	name  string
	value uint64
}

func valueOf[T ~string](all []namedValue, name T) (uint64, bool) {
	for _, v := range all {
		if v.name == string(name) {
			return v.value, true
		}
	}
	return 0, false
}

var schedulerPolicies = []namedValue{
	{string(specs.SchedOther), unix.SCHED_NORMAL},
	{string(specs.SchedFIFO), unix.SCHED_FIFO},
	{string(specs.SchedRR), unix.SCHED_RR},
	{string(specs.SchedBatch), unix.SCHED_BATCH},
	{string(specs.SchedISO), 4}, // reserved by the kernel, which refuses it
	{string(specs.SchedIdle), unix.SCHED_IDLE},
	{string(specs.SchedDeadline), unix.SCHED_DEADLINE},
}

var schedulerFlags = []namedValue{
	{string(specs.SchedFlagResetOnFork), unix.SCHED_FLAG_RESET_ON_FORK},
	{string(specs.SchedFlagReclaim), unix.SCHED_FLAG_RECLAIM},
	{string(specs.SchedFlagDLOverrun), unix.SCHED_FLAG_DL_OVERRUN},
	{string(specs.SchedFlagKeepPolicy), unix.SCHED_FLAG_KEEP_POLICY},
	{string(specs.SchedFlagKeepParams), unix.SCHED_FLAG_KEEP_PARAMS},
	{string(specs.SchedFlagUtilClampMin), unix.SCHED_FLAG_UTIL_CLAMP_MIN},
	{string(specs.SchedFlagUtilClampMax), unix.SCHED_FLAG_UTIL_CLAMP_MAX},
}

func compileScheduler(s *specs.Scheduler) (*schedulerConfig, error) {
	policy, ok := valueOf(schedulerPolicies, s.Policy)
	if !ok {
		return nil, hinted("sched(7) lists them", "scheduler policy %q is not known", s.Policy)
	}
	a := &schedulerConfig{Policy: uint32(policy), Nice: uint32(s.Nice), Priority: uint32(s.Priority),
		Runtime: s.Runtime, Deadline: s.Deadline, Period: s.Period}
	for _, word := range s.Flags {
		flag, ok := valueOf(schedulerFlags, word)
		if !ok {
			return nil, hinted("sched_setattr(2) lists them", "scheduler flag %q is not known", word)
		}
		a.Flags |= flag
	}
	return a, nil
}

var ioClasses = []namedValue{
	{string(specs.IOPRIO_CLASS_RT), 1},
	{string(specs.IOPRIO_CLASS_BE), 2},
	{string(specs.IOPRIO_CLASS_IDLE), 3},
}

func compileIOPriority(p *specs.LinuxIOPriority) (int, error) {
	class, ok := valueOf(ioClasses, p.Class)
	if !ok {
		return 0, hinted("ioprio_set(2) lists them", "I/O priority class %q is not known", p.Class)
	}
	if p.Priority < 0 || p.Priority > 7 {
		return 0, fmt.Errorf("I/O priority %d is not between 0 and 7", p.Priority)
	}
	return int(class)<<13 | p.Priority, nil
}

// SetCPUs has a process's thread run on these processors only ("0-3,5", cpuset(7)); "" changes nothing.
func SetCPUs(pid int, list string) error {
	cpus, err := parseList(list)
	if err != nil {
		return fmt.Errorf("setting the CPU affinity: %w", err)
	}
	return setCPUs(pid, cpus)
}

func setCPUs(pid int, cpus []int) error {
	if len(cpus) == 0 {
		return nil
	}
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	if err := unix.SchedSetaffinity(pid, &set); err != nil {
		return fmt.Errorf("setting the CPU affinity to %v: %w", cpus, err)
	}
	return nil
}

// maxListed bounds the numbers of processors and memory nodes.
const maxListed = 1024

// parseList reads numbers and ranges parted by commas, as the kernel writes them.
func parseList(list string) (all []int, err error) {
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		first, last, ranged := strings.Cut(part, "-")
		from, err := strconv.Atoi(first)
		to := from
		if err == nil && ranged {
			to, err = strconv.Atoi(last)
		}
		if err != nil || from < 0 || to < from || to >= maxListed {
			return nil, fmt.Errorf("%q is no list of numbers such as 0-3,5", list)
		}
		for n := from; n <= to; n++ {
			all = append(all, n)
		}
	}
	return all, nil
}

// compileMore adds what stands in the section on Linux. r may be nil, and is returned so
// where there is nothing to add.
func (r *rareConfig) compileMore(l *specs.Linux) (*rareConfig, error) {
	if l.Personality == nil && l.MemoryPolicy == nil {
		return r, nil
	}
	if r == nil {
		r = new(rareConfig)
	}
	if l.Personality != nil {
		domain, ok := valueOf(personalities, l.Personality.Domain)
		if !ok {
			return nil, fmt.Errorf("personality %q is not known", l.Personality.Domain)
		}
		if len(l.Personality.Flags) > 0 {
			return nil, fmt.Errorf("personality flag %q is not known", l.Personality.Flags[0])
		}
		r.Personality, r.SetPersona = domain, true
	}
	if l.MemoryPolicy != nil {
		if err := r.compileMemory(l.MemoryPolicy); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// personalities are of linux/personality.h.
var personalities = []namedValue{{string(specs.PerLinux), 0}, {string(specs.PerLinux32), 8}}

// memoryModes and memoryFlags are of linux/mempolicy.h.
var (
	memoryModes = []namedValue{
		{string(specs.MpolDefault), 0},
		{string(specs.MpolPreferred), 1},
		{string(specs.MpolBind), 2},
		{string(specs.MpolInterleave), 3},
		{string(specs.MpolLocal), 4},
		{string(specs.MpolPreferredMany), 5},
		{string(specs.MpolWeightedInterleave), 6},
	}
	memoryFlags = []namedValue{
		{string(specs.MpolFNumaBalancing), 1 << 13},
		{string(specs.MpolFRelativeNodes), 1 << 14},
		{string(specs.MpolFStaticNodes), 1 << 15},
	}
)

func (r *rareConfig) compileMemory(m *specs.LinuxMemoryPolicy) error {
	mode, ok := valueOf(memoryModes, m.Mode)
	if !ok {
		return hinted("set_mempolicy(2) lists them", "memory policy %q is not known", m.Mode)
	}
	for _, word := range m.Flags {
		flag, ok := valueOf(memoryFlags, word)
		if !ok {
			return hinted("set_mempolicy(2) lists them", "memory policy flag %q is not known", word)
		}
		mode |= flag
	}
	var err error
	if r.MemoryNodes, err = parseList(m.Nodes); err != nil {
		return fmt.Errorf("memory policy: %w", err)
	}
	r.MemoryMode, r.SetMemory = int(mode), true
	return nil
}

// apply sets what is the calling thread's and survives exec.
func (r *rareConfig) apply() error {
	if r.SetMemory {
		var mask [maxListed / 64]uint64
		for _, node := range r.MemoryNodes {
			mask[node/64] |= 1 << (node % 64)
		}
		pointer, bits := unsafe.Pointer(&mask[0]), uintptr(maxListed)
		if len(r.MemoryNodes) == 0 {
			pointer, bits = nil, 0
		}
		if _, _, errno := unix.RawSyscall(unix.SYS_SET_MEMPOLICY, uintptr(r.MemoryMode), uintptr(pointer), bits); errno != 0 {
			return fmt.Errorf("setting the memory policy: %w", errno)
		}
	}
	if r.SetPersona {
		if _, _, errno := unix.RawSyscall(unix.SYS_PERSONALITY, uintptr(r.Personality), 0, 0); errno != 0 {
			return fmt.Errorf("setting the personality: %w", errno)
		}
	}
	if r.SetIO {
		const process = 1 // IOPRIO_WHO_PROCESS
		if _, _, errno := unix.RawSyscall(unix.SYS_IOPRIO_SET, process, 0, uintptr(r.IOPriority)); errno != 0 {
			return fmt.Errorf("setting the I/O priority: %w", errno)
		}
	}
	if s := r.Scheduler; s != nil {
		a := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: s.Policy, Nice: int32(s.Nice), Priority: s.Priority,
			Flags: s.Flags, Runtime: s.Runtime, Deadline: s.Deadline, Period: s.Period}
		if err := unix.SchedSetAttr(0, a, 0); err != nil {
			return because(err, "real-time policies need CAP_SYS_NICE on the host", "setting the scheduler")
		}
	}
	return setCPUs(0, r.CPUs)
}

func (r *rareConfig) code(k *codec) {
	k.bool(&r.KeepKeyring)
	scheduled := r.Scheduler != nil
	k.bool(&scheduled)
	if scheduled {
		if r.Scheduler == nil {
			r.Scheduler = new(schedulerConfig)
		}
		s := r.Scheduler
		number(k, &s.Policy)
		number(k, &s.Nice)
		number(k, &s.Priority)
		number(k, &s.Flags)
		number(k, &s.Runtime)
		number(k, &s.Deadline)
		number(k, &s.Period)
	}
	number(k, &r.IOPriority)
	k.bool(&r.SetIO)
	list(k, &r.CPUs, number)
	number(k, &r.Personality)
	k.bool(&r.SetPersona)
	number(k, &r.MemoryMode)
	list(k, &r.MemoryNodes, number)
	k.bool(&r.SetMemory)
	k.string(&r.AppArmor)
	k.string(&r.SELinux)
}
