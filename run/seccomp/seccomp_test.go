package seccomp

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sort"
	"testing"
	"unsafe"

	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// data is struct seccomp_data.
type data struct {
	number, arch uint32
	args         [6]uint64
}

// interpret runs a filter as the kernel does (Documentation/networking/filter.rst),
// knowing nothing of how it was made.
func interpret(t testing.TB, filter []byte, d data) uint32 {
	t.Helper()
	var memory [64]byte
	binary.LittleEndian.PutUint32(memory[0:], d.number)
	binary.LittleEndian.PutUint32(memory[4:], d.arch)
	for i, a := range d.args {
		binary.LittleEndian.PutUint64(memory[16+8*i:], a)
	}
	var acc uint32
	for pc := 0; pc < len(filter)/8; pc++ {
		i := filter[8*pc:]
		code, jt, jf, k := binary.LittleEndian.Uint16(i), int(i[2]), int(i[3]), binary.LittleEndian.Uint32(i[4:])
		branch := func(yes bool) {
			if yes {
				pc += jt
			} else {
				pc += jf
			}
		}
		switch code {
		case 0x20:
			acc = binary.LittleEndian.Uint32(memory[k:])
		case 0x54:
			acc &= k
		case 0x05:
			pc += int(k)
		case 0x15:
			branch(acc == k)
		case 0x25:
			branch(acc > k)
		case 0x35:
			branch(acc >= k)
		case 0x06:
			return k
		default:
			t.Fatalf("instruction %d has code %#x", pc, code)
		}
	}
	t.Fatal("the filter ran past its end")
	return 0
}

// oracle says what a profile means, rule by rule, with no cleverness.
func oracle(p *specs.LinuxSeccomp, a abi, d data) uint32 {
	otherwise, _ := answer(p.DefaultAction, p.DefaultErrnoRet)
	var last int64 = -1
	var unconditional *uint32
	var found []rule
	bare := d.number &^ x32Bit
	if a != abiX32 {
		bare = d.number
	}
	for _, group := range p.Syscalls {
		result, _ := answer(group.Action, group.ErrnoRet)
		sets, _ := split(group.Args)
		for _, name := range group.Names {
			if k := numbers(name); k != nil && k[a] >= 0 {
				last = max(last, int64(k[a]))
				for _, set := range sets {
					if uint32(k[a]) != bare || result == otherwise {
						break
					}
					if len(set) == 0 && unconditional == nil {
						unconditional = &result
					}
					found = append(found, rule{bare, result, set})
				}
			}
			if a == abiX86 && result != otherwise && len(group.Args) == 0 {
				found = append(found, multiplexed(name, bare, result)...)
			}
		}
	}
	if unconditional != nil {
		return *unconditional
	}
	sort.SliceStable(found, func(i, j int) bool { return weight(found[i]) < weight(found[j]) })
	for _, r := range found {
		holds := true
		for _, c := range r.conditions {
			holds = holds && compare(c, d.args[c.Index], a == abiX86_64 || a == abiAArch64)
		}
		if holds {
			return r.answer
		}
	}
	if last >= 0 && int64(bare) > last && denies(p.DefaultAction) {
		return retErrno | uint32(unix.ENOSYS)
	}
	return otherwise
}

func multiplexed(name string, number, result uint32) (rules []rule) {
	for _, r := range appendMultiplexed(nil, name, result) {
		if r.number == number {
			rules = append(rules, r)
		}
	}
	return rules
}

func compare(c specs.LinuxSeccompArg, have uint64, wide bool) bool {
	want, second := c.Value, c.ValueTwo
	if !wide {
		have, want, second = uint64(uint32(have)), uint64(uint32(want)), uint64(uint32(second))
	}
	switch c.Op {
	case specs.OpEqualTo:
		return have == want
	case specs.OpNotEqual:
		return have != want
	case specs.OpGreaterThan:
		return have > want
	case specs.OpGreaterEqual:
		return have >= want
	case specs.OpLessThan:
		return have < want
	case specs.OpLessEqual:
		return have <= want
	case specs.OpMaskedEqual:
		return have&want == second&want
	}
	panic("operator")
}

func audit(a abi) uint32 {
	return [...]uint32{abiX86_64: unix.AUDIT_ARCH_X86_64, abiX86: unix.AUDIT_ARCH_I386, abiX32: unix.AUDIT_ARCH_X86_64,
		abiAArch64: unix.AUDIT_ARCH_AARCH64, abiARM: unix.AUDIT_ARCH_ARM}[a]
}

// interesting are values of arguments at which rules change their mind.
var interesting = []uint64{0, 1, 7, 8, 0x20000, 0x20008, 0xffffffff, 0x1_0000_0000, 0x1_0000_0008, 37, 38, 39, 40, 41, 1<<32 + 39, 1 << 63, 1<<64 - 1,
	unix.CLONE_NEWUSER, unix.CLONE_NEWNS | 17, 17, unix.CLONE_VM | unix.CLONE_THREAD}

// Every number of every ABI, with arguments on both sides of every condition, is
// answered as the profile says.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	for name, p := range profiles(t) {
		for machine, family := range families {
			t.Run(name+"/"+machine, func(t *testing.T) {
				t.Parallel()
				profile := *p
				profile.Architectures = nil
				for _, member := range family {
					profile.Architectures = append(profile.Architectures, member.arch)
				}
				filter, err := compile(&profile, machine)
				if err != nil {
					t.Fatal(err)
				}
				if len(filter)%8 != 0 || len(filter)/8 > maxInstructions {
					t.Fatalf("the filter has %d bytes", len(filter))
				}
				for _, member := range family {
					compareABI(t, filter, &profile, member.abi)
				}
				if got := interpret(t, filter, data{number: 1, arch: unix.AUDIT_ARCH_S390X}); got != retKillProcess {
					t.Errorf("a foreign architecture is answered %#x", got)
				}
			})
		}
	}
}

func compareABI(t *testing.T, filter []byte, p *specs.LinuxSeccomp, a abi) {
	base := uint32(0)
	if a == abiX32 {
		base = x32Bit
	}
	check := func(d data) {
		if got, want := interpret(t, filter, d), oracle(p, a, d); got != want {
			t.Errorf("abi %d, number %d, arguments %x: %#x, the profile says %#x", a, d.number&^x32Bit, d.args, got, want)
		}
	}
	for n := range uint32(700) {
		d := data{number: base + n, arch: audit(a)}
		check(d)
		if !conditional(p, a, n) {
			continue
		}
		for _, first := range interesting {
			d.args = [6]uint64{first, interesting[rand.IntN(len(interesting))], first, 0, 0, 0}
			check(d)
		}
	}
}

func conditional(p *specs.LinuxSeccomp, a abi, n uint32) bool {
	if a == abiX86 && (n == 102 || n == 117) {
		return true
	}
	for _, group := range p.Syscalls {
		for _, name := range group.Names {
			if k := numbers(name); len(group.Args) > 0 && k != nil && k[a] == int32(n) {
				return true
			}
		}
	}
	return false
}

func profiles(t testing.TB) map[string]*specs.LinuxSeccomp {
	all := map[string]*specs.LinuxSeccomp{}
	for name, caps := range map[string][]string{"default": {"CAP_CHOWN"}, "admin": {"CAP_SYS_ADMIN", "CAP_SYS_PTRACE"}, "none": nil} {
		p, err := moby.GetDefaultProfile(specFor(caps))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = p
	}
	random := rand.New(rand.NewPCG(1, 2))
	actions := []specs.LinuxSeccompAction{specs.ActAllow, specs.ActErrno, specs.ActKillProcess, specs.ActKill, specs.ActTrap, specs.ActLog, specs.ActTrace}
	operators := []specs.LinuxSeccompOperator{specs.OpEqualTo, specs.OpNotEqual, specs.OpGreaterThan, specs.OpGreaterEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpMaskedEqual}
	for i := range 20 {
		p := &specs.LinuxSeccomp{DefaultAction: actions[i%len(actions)]}
		for range 15 {
			call := specs.LinuxSyscall{Action: actions[random.IntN(len(actions))]}
			if random.IntN(3) == 0 {
				number := uint(random.IntN(4096))
				call.ErrnoRet = &number
			}
			for range 1 + random.IntN(8) {
				call.Names = append(call.Names, table[random.IntN(len(table))].name)
			}
			for range random.IntN(4) {
				call.Args = append(call.Args, specs.LinuxSeccompArg{Index: uint(random.IntN(3)), Op: operators[random.IntN(len(operators))],
					Value: interesting[random.IntN(len(interesting))], ValueTwo: interesting[random.IntN(len(interesting))]})
			}
			p.Syscalls = append(p.Syscalls, call)
		}
		all[fmt.Sprint("random", i)] = p
	}
	return all
}

func TestTableIsSorted(t *testing.T) {
	t.Parallel()
	if !sort.SliceIsSorted(table[:], func(i, j int) bool { return table[i].name < table[j].name }) {
		t.Error("names are out of order")
	}
	for name, want := range map[string][5]int32{
		"read":       {0, 3, 0, 63, 3},
		"execve":     {59, 11, 520, 221, 11},
		"socketcall": {-1, 102, -1, -1, -1},
		"clone3":     {435, 435, 435, 435, 435},
		"set_tls":    {-1, -1, -1, -1, 0x0f0005},
	} {
		if got := numbers(name); got == nil || *got != want {
			t.Errorf("%s has numbers %v, want %v", name, got, want)
		}
	}
}

// A profile in Docker's file format keeps rules by capability, architecture and kernel.
func TestLoad(t *testing.T) {
	t.Parallel()
	profile := []byte(`{"defaultAction":"SCMP_ACT_ALLOW","archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]}],
	 "syscalls":[
	  {"names":["mkdir","mkdirat","no_such_call"],"action":"SCMP_ACT_ERRNO","errnoRet":38},
	  {"name":"chmod","action":"SCMP_ACT_ERRNO","excludes":{"caps":["CAP_FOWNER"]}},
	  {"names":["mknodat"],"action":"SCMP_ACT_ERRNO","includes":{"minKernel":"99.0"}}]}`)
	filter, err := Load(profile, nil)
	if err != nil {
		t.Fatal(err)
	}
	withCap, err := Load(profile, []string{"CAP_FOWNER"})
	if err != nil {
		t.Fatal(err)
	}
	native := families[runtime.GOARCH][0].abi
	at := func(f *Filter, name string) uint32 {
		return interpret(t, f.Program, data{number: uint32(numbers(name)[native]), arch: audit(native)})
	}
	if got := at(filter, "mkdirat"); got != retErrno|38 {
		t.Errorf("mkdirat is answered %#x", got)
	}
	if got := at(filter, "mknodat"); got != retAllow {
		t.Errorf("a rule for later kernels applies: %#x", got)
	}
	if native == abiX86_64 {
		if a, b := at(filter, "chmod"), at(withCap, "chmod"); a != retErrno|1 || b != retAllow {
			t.Errorf("chmod is answered %#x, and %#x with the capability", a, b)
		}
	}
	for _, bad := range []string{`{`, `{"defaultAction":"SCMP_ACT_NOTIFY"}`, `{"defaultAction":"NO"}`,
		`{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_ODD"]}`,
		`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_ERRNO","args":[{"index":6,"op":"SCMP_CMP_EQ"}]}]}`,
		`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_ERRNO","args":[{"index":1,"op":"SCMP_CMP_XX"}]}]}`} {
		if _, err := Load([]byte(bad), nil); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// The kernel takes the default filter and does what it says, on a thread that ends with it.
func TestKernel(t *testing.T) {
	t.Parallel()
	filter, err := Default([]string{"CAP_CHOWN"})
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread dies with this goroutine
		defer close(results)
		if err := install(filter); err != nil {
			results <- fmt.Errorf("installing the filter: %w", err)
			return
		}
		for _, probe := range []struct {
			number uintptr
			arg    uintptr
			want   unix.Errno
		}{
			{unix.SYS_GETPPID, 0, 0},
			{unix.SYS_KEYCTL, 0, unix.EPERM},
			{unix.SYS_UNSHARE, unix.CLONE_NEWUSER, unix.EPERM},
			{unix.SYS_CLONE3, 0, unix.ENOSYS},
			{unix.SYS_PERSONALITY, 0xffffffff, 0},
			{unix.SYS_PERSONALITY, 0x0040000, unix.EPERM},
			{unix.SYS_SOCKET, unix.AF_VSOCK, unix.EPERM},
			{unix.SYS_SOCKET, unix.AF_ALG, unix.EPERM},
			{600, 0, unix.ENOSYS},
		} {
			if _, _, errno := unix.RawSyscall(probe.number, probe.arg, 0, 0); errno != probe.want {
				results <- fmt.Errorf("call %d(%#x): %v, want %v", probe.number, probe.arg, errno, probe.want)
			}
		}
	}()
	for err := range results {
		t.Error(err)
	}
}

func install(filter []byte) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	p := unix.SockFprog{Len: uint16(len(filter) / 8), Filter: (*unix.SockFilter)(unsafe.Pointer(&filter[0]))}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&p)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return os.NewSyscallError("seccomp", errno)
	}
	return nil
}

func BenchmarkDefault(b *testing.B) {
	for b.Loop() {
		if _, err := Default([]string{"CAP_CHOWN"}); err != nil {
			b.Fatal(err)
		}
	}
}
