package oci

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// want compares a container's output line by line.
func want(t *testing.T, got string, lines ...string) {
	t.Helper()
	if wanted := strings.Join(lines, "\n") + "\n"; got != wanted {
		t.Errorf("got\n%swant\n%s", got, wanted)
	}
}

// needRange skips what is about ids other than root's where no others are mapped.
func needRange(t *testing.T) {
	t.Helper()
	if m, err := userns.Current(); err != nil || m.Single {
		t.Skip("this user has no subordinate ids")
	}
}

func capabilityLine(names []string) string {
	c, err := compileCapabilities(&specs.LinuxCapabilities{Bounding: names})
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("%016x", uint64(c.Bounding))
}

func TestRootHasExactlyItsCapabilities(t *testing.T) {
	c := newContainer(t, script("id -u; id -g; grep -E '^(Cap|NoNewPrivs)' /proc/self/status | tr '\t' ' '")...)
	set := capabilityLine(dockerCapabilities)
	want(t, c.output(), "0", "0", "CapInh: 0000000000000000", "CapPrm: "+set, "CapEff: "+set, "CapBnd: "+set, "CapAmb: 0000000000000000", "NoNewPrivs: 0")
}

func TestUserHasNoCapabilities(t *testing.T) {
	c := newContainer(t, script("id", "grep -E '^(Cap|NoNewPrivs)' /proc/self/status | tr '\t' ' '")...)
	needRange(t)
	c.Spec.Process.User = specs.User{UID: 1000, GID: 1001, AdditionalGids: []uint32{1001, 29}}
	c.Spec.Process.NoNewPrivileges = true
	none := "0000000000000000"
	want(t, c.output(), "uid=1000 gid=1001 groups=29,1001", "CapInh: "+none, "CapPrm: "+none, "CapEff: "+none,
		"CapBnd: "+capabilityLine(dockerCapabilities), "CapAmb: "+none, "NoNewPrivs: 1")
}

func TestAmbientCapabilitiesReachAUser(t *testing.T) {
	c := newContainer(t, script("grep -E '^Cap' /proc/self/status | tr '\t' ' '")...)
	needRange(t)
	raw := []string{"CAP_NET_RAW", "cap_net_bind_service"}
	c.Spec.Process.User = specs.User{UID: 1000, GID: 1000}
	c.Spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: raw, Effective: raw, Permitted: raw, Inheritable: raw, Ambient: raw}
	set := capabilityLine(raw)
	want(t, c.output(), "CapInh: "+set, "CapPrm: "+set, "CapEff: "+set, "CapBnd: "+set, "CapAmb: "+set)
}

func TestNoCapabilities(t *testing.T) {
	c := newContainer(t, script("grep -E '^Cap(Eff|Bnd)' /proc/self/status | tr '\t' ' '")...)
	c.Spec.Process.Capabilities = nil
	want(t, c.output(), "CapEff: 0000000000000000", "CapBnd: 0000000000000000")
}

func TestUnknownCapability(t *testing.T) {
	c := newContainer(t, "true")
	c.Spec.Process.Capabilities.Bounding = []string{"CAP_FLY"}
	if e := c.refused(codeSetup); e.Text != `unknown capability "CAP_FLY"` || e.Hint == "" {
		t.Errorf("%+v", e)
	}
}

func TestUnmappedUser(t *testing.T) {
	c := newContainer(t, "true")
	c.single = true
	c.Spec.Process.User.UID = 1000
	if e := c.refused(codeSetup); e.Text != "user id 1000 is not mapped" || !strings.Contains(e.Hint, "subordinate") {
		t.Errorf("%+v", e)
	}
}

func TestUnmappedGroup(t *testing.T) {
	c := newContainer(t, "true")
	c.single = true
	c.Spec.Process.User.AdditionalGids = []uint32{29}
	if e := c.refused(codeSetup); e.Text != "group id 29 is not mapped" {
		t.Errorf("%+v", e)
	}
}

// A user without subordinate ids runs images all the same: gid=5 of devpts is left
// out, setgroups is not called where the kernel denies it.
func TestSingleID(t *testing.T) {
	c := newContainer(t, script("id -u; id -g; stat -c %u:%g /bin/sh; cat /proc/self/setgroups")...)
	c.single = true
	c.Spec.Process.User.AdditionalGids = []uint32{0}
	want(t, c.output(), "0", "0", "0:0", "deny")
}

func TestUmask(t *testing.T) {
	c := newContainer(t, script("umask; touch /tmp/f; stat -c %a /tmp/f; stat -c %a /made")...)
	mask := uint32(0o027)
	c.Spec.Process.User.Umask = &mask
	c.Spec.Process.Cwd = "/made"
	want(t, c.output(), "0027", "640", "755") // what the runtime makes does not depend on it
}

func TestLimits(t *testing.T) {
	c := newContainer(t, script("ulimit -n; ulimit -Hn; ulimit -c")...)
	c.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 64, Hard: 128}, {Type: "RLIMIT_CORE"}}
	want(t, c.output(), "64", "128", "0")
}

// Go raises its own soft limit on open files; the container's is the one before.
func TestSoftLimitIsPassedOn(t *testing.T) {
	c := newContainer(t, script("ulimit -Sn")...)
	c.Files = 500
	want(t, c.output(), "500")
	needStatic(t)
	c.Init = true
	want(t, c.output(), "500")
	c.Spec.Process.Args = []string{"sleep", "1000"}
	c.Kill = int(unix.SIGKILL)
	c.Execs = []execRequest{{Process: dockerProcess(script("ulimit -Sn")...)}}
	want(t, c.execs(0).stdout, "500")
}

func TestTinyLimits(t *testing.T) {
	c := newContainer(t, script("echo fine")...)
	c.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 4, Hard: 4}, {Type: "RLIMIT_AS", Soft: 64 << 20, Hard: 64 << 20}}
	c.Seccomp = denyFilter(unix.SYS_MKDIRAT)
	want(t, c.output(), "fine")
}

func TestLimitAboveTheHosts(t *testing.T) {
	c := newContainer(t, "true")
	c.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_RTPRIO", Soft: 99, Hard: 99}}
	e := c.refused(codeSetup)
	if !strings.HasPrefix(e.Text, "raising the limit rtprio to 99") || !strings.Contains(e.Hint, "LimitRTPRIO=") {
		t.Errorf("%+v", e)
	}
}

func TestUnknownLimit(t *testing.T) {
	c := newContainer(t, "true")
	c.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_TOES"}}
	if e := c.refused(codeSetup); e.Text != `unknown limit "RLIMIT_TOES"` {
		t.Errorf("%+v", e)
	}
}

func TestOOMScore(t *testing.T) {
	c := newContainer(t, script("cat /proc/self/oom_score_adj")...)
	score := 777
	c.Spec.Process.OOMScoreAdj = &score
	want(t, c.output(), "777")
}

func TestWorkingDirectoryIsMade(t *testing.T) {
	c := newContainer(t, script("pwd; stat -c %u:%g:%a .; stat -c %u:%a ..")...)
	needRange(t)
	c.Spec.Process.Cwd = "/srv/a/b"
	c.Spec.Process.User = specs.User{UID: 1000, GID: 1000}
	want(t, c.output(), "/srv/a/b", "0:0:755", "0:755")
}

// Docker starts a process in a directory that its user could not have entered.
func TestWorkingDirectoryOfRoot(t *testing.T) {
	c := newContainer(t, script("pwd; ls 2>/dev/null || echo no")...)
	needRange(t)
	must(t, os.Chmod(c.path("root"), 0o700))
	c.Spec.Process.Cwd = "/root"
	c.Spec.Process.User = specs.User{UID: 1000, GID: 1000}
	want(t, c.output(), "/root", "no")
}

func TestWorkingDirectoryIsAFile(t *testing.T) {
	c := newContainer(t, "true")
	c.Spec.Process.Cwd = "/etc/passwd"
	if e := c.refused(codeNotExecutable); e.Text != `entering the working directory "/etc/passwd": not a directory` {
		t.Errorf("%+v", e)
	}
}

func TestWorkingDirectoryThroughADanglingLink(t *testing.T) {
	c := newContainer(t, script("pwd -P")...)
	must(t, os.Symlink("../../../var/../data/x", c.path("work")))
	c.Spec.Process.Cwd = "/work/y"
	want(t, c.output(), "/data/x/y")
}

// No descriptor of the runtime's is a way out (CVE-2024-21626).
func TestWorkingDirectoryInADescriptor(t *testing.T) {
	for fd := 3; fd < 12; fd++ {
		t.Run(fmt.Sprint(fd), func(t *testing.T) {
			c := newContainer(t, script("pwd")...)
			c.Spec.Process.Cwd = fmt.Sprintf("/proc/self/fd/%d/../..", fd)
			if e := c.run(); e.Failure == nil {
				t.Errorf("started in %s", e.stdout)
			}
		})
	}
}

// listDescriptors lists those of the shell itself, by means of its own.
const listDescriptors = "for fd in /proc/$$/fd/*; do echo ${fd##*/}; done"

func checkDescriptors(t *testing.T, list string) {
	t.Helper()
	// Descriptor 3 is the directory that the shell reads for its pattern.
	if got := strings.Fields(list); !slices.Equal(got, []string{"0", "1", "2"}) && !slices.Equal(got, []string{"0", "1", "2", "3"}) {
		t.Errorf("descriptors %v are open", got)
	}
}

func TestOnlyStdioIsOpen(t *testing.T) {
	c := newContainer(t, script(listDescriptors)...)
	checkDescriptors(t, c.output())
}

func TestSignalsAreDefault(t *testing.T) {
	c := newContainer(t, script("grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status | tr '\t' ' '")...)
	none := "0000000000000000"
	want(t, c.output(), "SigBlk: "+none, "SigIgn: "+none, "SigCgt: "+none)
}

func TestEnvironmentIsExact(t *testing.T) {
	c := newContainer(t, "/bin/env")
	c.Spec.Process.Env = []string{"PATH=/bin", "A=b=c", "EMPTY="}
	want(t, c.output(), "PATH=/bin", "A=b=c", "EMPTY=")
}

func TestStdin(t *testing.T) {
	c := newContainer(t, "cat")
	r := c.start()
	r.stdin.WriteString("through\n")
	want(t, r.wait().stdout, "through")
}

func TestUnsupportedIsRefused(t *testing.T) {
	c := newContainer(t, "true")
	c.Spec.Process.ApparmorProfile = "x"
	if e := c.refused(codeSetup); !strings.Contains(e.Text, "AppArmor") {
		t.Errorf("%+v", e)
	}
}
