package seccomp

import (
	"fmt"
	"runtime"
	"sort"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// abi is one way to call the kernel; also the column of table with its numbers.
type abi int

const (
	abiX86_64 abi = iota
	abiX86
	abiX32
	abiAArch64
	abiARM
)

// x32Bit marks the calls of x32, which share x86_64's audit architecture.
const x32Bit = 0x40000000

// section is one audit architecture of a filter and the ABIs that report it.
type section struct {
	audit uint32
	wide  bool // arguments of the first ABI have 64 bits
	abis  []abi
}

// families are the machines that skiff is built for: the ABIs whose calls a process on
// such a kernel can make. The first is native and always in the filter.
var families = map[string][]struct {
	abi  abi
	arch specs.Arch
}{
	"amd64": {{abiX86_64, specs.ArchX86_64}, {abiX86, specs.ArchX86}, {abiX32, specs.ArchX32}},
	"arm64": {{abiAArch64, specs.ArchAARCH64}, {abiARM, specs.ArchARM}},
}

// sections returns the architectures of a filter for a machine. Those of a profile
// that no process here can have are passed over.
func sections(machine string, wanted []specs.Arch) ([]section, error) {
	family, ok := families[machine]
	if !ok {
		return nil, fmt.Errorf("compiling a seccomp profile: no system call numbers for %s", machine)
	}
	var all []section
	for i, member := range family {
		if i > 0 && !contains(wanted, member.arch) {
			continue
		}
		switch member.abi {
		case abiX86_64:
			all = append(all, section{unix.AUDIT_ARCH_X86_64, true, []abi{abiX86_64}})
		case abiX86:
			all = append(all, section{unix.AUDIT_ARCH_I386, false, []abi{abiX86}})
		case abiX32:
			all[0].abis = append(all[0].abis, abiX32)
		case abiAArch64:
			all = append(all, section{unix.AUDIT_ARCH_AARCH64, true, []abi{abiAArch64}})
		case abiARM:
			all = append(all, section{unix.AUDIT_ARCH_ARM, false, []abi{abiARM}})
		}
	}
	return all, nil
}

func contains(archs []specs.Arch, arch specs.Arch) bool {
	for _, a := range archs {
		if a == arch {
			return true
		}
	}
	return false
}

// numbers returns the numbers of a call in the order of the constants of abi, or
// nil for a name that no ABI knows.
func numbers(name string) *[5]int32 {
	i := sort.Search(len(table), func(i int) bool { return table[i].name >= name })
	if i == len(table) || table[i].name != name {
		return nil
	}
	return &table[i].numbers
}

func native() string { return runtime.GOARCH }
