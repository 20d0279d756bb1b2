package run

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/netns"
	"github.com/skiff-containers/skiff/store"
)

func testSpec(t *testing.T, o CreateOptions) (*specs.Spec, *store.Record) {
	t.Helper()
	if o.Image == "" {
		o.Image = "busybox"
	}
	img := &store.Image{ID: "sha256:x", Platform: "linux/amd64", Config: store.ImageConfig{Cmd: []string{"sh"}, User: "daemon", StopSignal: "SIGQUIT"}}
	p, err := newPlan(nil, &o, img, false)
	if err != nil {
		t.Fatal(err)
	}
	h := &p.record.HostConfig
	spec, err := p.spec("/dir", joinCapabilities(h.CapAdd, h.CapDrop, h.Privileged))
	if err != nil {
		t.Fatal(err)
	}
	return spec, p.record
}

func find(spec *specs.Spec, target string) *specs.Mount {
	for i := range spec.Mounts {
		if spec.Mounts[i].Destination == target {
			return &spec.Mounts[i]
		}
	}
	return nil
}

func hasNamespace(spec *specs.Spec, kind specs.LinuxNamespaceType) bool {
	return slices.ContainsFunc(spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == kind })
}

func TestSpecDefaults(t *testing.T) {
	t.Parallel()
	spec, r := testSpec(t, CreateOptions{Network: netns.Options{Networks: []string{"none"}}})
	if got := strings.Join(spec.Process.Args, " "); got != "sh" {
		t.Errorf("the process is %q", got)
	}
	if r.Config.User != "daemon" || r.Config.StopSignal != "SIGQUIT" {
		t.Errorf("user %q and stop signal %q are not the image's", r.Config.User, r.Config.StopSignal)
	}
	for _, kind := range []specs.LinuxNamespaceType{specs.MountNamespace, specs.PIDNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.NetworkNamespace, specs.CgroupNamespace} {
		if !hasNamespace(spec, kind) {
			t.Errorf("no %s namespace", kind)
		}
	}
	for target, option := range map[string]string{"/proc": "nosuid", "/sys": "ro", "/sys/fs/cgroup": "ro", "/dev": "mode=755", "/dev/pts": "gid=5",
		"/dev/shm": "size=67108864", "/dev/mqueue": "noexec", "/etc/hosts": "bind", "/etc/hostname": "bind", "/etc/resolv.conf": "bind", "/run/.containerenv": "bind"} {
		if m := find(spec, target); m == nil || !slices.Contains(m.Options, option) {
			t.Errorf("%s is mounted as %+v, want option %s", target, m, option)
		}
	}
	if !slices.Contains(spec.Linux.MaskedPaths, "/proc/kcore") || !slices.Contains(spec.Linux.ReadonlyPaths, "/proc/sys") {
		t.Error("the kernel's files lie open")
	}
}

// What is shared with the host is bound with all that lies below: the kernel
// refuses new mounts of it.
func TestSpecHostNamespaces(t *testing.T) {
	t.Parallel()
	spec, _ := testSpec(t, CreateOptions{Network: netns.Options{Networks: []string{"host"}}, IsolationOptions: IsolationOptions{PID: "host"}})
	if hasNamespace(spec, specs.NetworkNamespace) || hasNamespace(spec, specs.PIDNamespace) {
		t.Errorf("namespaces are %+v", spec.Linux.Namespaces)
	}
	for target, option := range map[string]string{"/proc": "rbind", "/sys": "rro"} {
		if m := find(spec, target); m.Type != "bind" || !slices.Contains(m.Options, option) {
			t.Errorf("%s is mounted as %+v", target, m)
		}
	}
}

func TestSpecPrivileged(t *testing.T) {
	t.Parallel()
	spec, _ := testSpec(t, CreateOptions{Privileged: true, Network: netns.Options{Networks: []string{"none"}}})
	if len(spec.Process.Capabilities.Bounding) != len(capabilities) {
		t.Errorf("%d capabilities", len(spec.Process.Capabilities.Bounding))
	}
	if len(spec.Linux.MaskedPaths)+len(spec.Linux.ReadonlyPaths) > 0 {
		t.Error("paths are masked")
	}
	if slices.Contains(find(spec, "/sys").Options, "ro") {
		t.Error("/sys is read-only")
	}
	if filter, err := (security{}).filter(nil, true); filter != nil || err != nil {
		t.Errorf("the filter has %d bytes, %v", len(filter), err)
	}
}

// The user's mounts win over the standard ones, and none covers a later one.
func TestSpecMountOrder(t *testing.T) {
	t.Parallel()
	spec, _ := testSpec(t, CreateOptions{
		Volumes: []string{"/a:/x/y/z", "/b:/x", "/c:/dev/shm", "/d:/etc/hosts:ro"},
		Tmpfs:   []string{"/x/y", "/run"},
	})
	order := map[string]int{}
	for i, m := range spec.Mounts {
		if _, twice := order[m.Destination]; twice {
			t.Errorf("%s is mounted on twice", m.Destination)
		}
		order[m.Destination] = i
	}
	for _, pair := range [][2]string{{"/x", "/x/y"}, {"/x/y", "/x/y/z"}, {"/run", "/run/.containerenv"}, {"/dev", "/dev/shm"}} {
		if order[pair[0]] > order[pair[1]] {
			t.Errorf("%s covers %s", pair[0], pair[1])
		}
	}
	if m := find(spec, "/dev/shm"); m.Source != "/c" {
		t.Errorf("/dev/shm is %+v", m)
	}
	if m := find(spec, "/etc/hosts"); m.Source != "/d" || !slices.Contains(m.Options, "rro") {
		t.Errorf("/etc/hosts is %+v", m)
	}
	spec, _ = testSpec(t, CreateOptions{Volumes: []string{"/dev:/dev"}})
	if find(spec, "/dev/pts") != nil {
		t.Error("something is mounted in the user's own /dev")
	}
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	spec, _ := testSpec(t, CreateOptions{ReadOnly: true})
	if !spec.Root.Readonly || !slices.Contains(find(spec, "/etc/hosts").Options, "ro") {
		t.Error("the root file system is not read-only throughout")
	}
}

func TestPlanRefusals(t *testing.T) {
	t.Parallel()
	img := &store.Image{Config: store.ImageConfig{Cmd: []string{"sh"}}}
	for words, o := range map[string]CreateOptions{
		"invalid container name":       {Name: "a b"},
		`invalid container name "x"`:   {Name: "x"},
		"conflicting options":          {Network: netns.Options{Networks: []string{"host", "none"}}},
		"invalid --pid":                {IsolationOptions: IsolationOptions{PID: "nonsense"}},
		"invalid --uts":                {IsolationOptions: IsolationOptions{UTS: "container:x"}},
		"UTS mode":                     {Hostname: "x", IsolationOptions: IsolationOptions{UTS: "host"}},
		"range for oom score":          {IsolationOptions: IsolationOptions{OOMScoreAdj: 2000}},
		"it is of Windows":             {IsolationOptions: IsolationOptions{Isolation: "hyperv"}},
		"invalid umask":                {ProcessOptions: ProcessOptions{Umask: "999"}},
		"time zone":                    {ProcessOptions: ProcessOptions{Timezone: "../../../etc/passwd"}},
		"invalid signal":               {StopSignal: "SIGNONSENSE"},
		"unknown capability":           {CapAdd: []string{"x"}},
		"invalid --security-opt":       {SecurityOpt: []string{"x"}},
		"needs to be an absolute path": {Workdir: "x"},
		"hostname":                     {Hostname: "a b"},
		"invalid stream":               {Attach: []string{"stdlog"}},
	} {
		if _, err := newPlan(nil, &o, img, false); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%+v gives %v, want words %q", o, err, words)
		}
	}
}

// inspect prints field names as Docker does.
func TestInspectNames(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(&ContainerInspect{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{`"Id"`, `"State"`, `"Pid"`, `"ExitCode"`, `"OOMKilled"`, `"HostConfig"`, `"NetworkMode"`, `"PidsLimit"`, `"CgroupParent"`, `"Links"`, `"OomKillDisable"`, `"ConsoleSize"`, `"MaskedPaths"`, `"Mounts"`, `"GraphDriver"`, `"NetworkSettings"`, `"Config"`} {
		if !strings.Contains(string(text), name) {
			t.Errorf("inspect lacks %s", name)
		}
	}
}

func TestFits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		have, want string
		fits       bool
	}{
		{"linux/amd64", "", true}, {"linux/amd64", "linux/amd64", true}, {"linux/arm64/v8", "linux/arm64", true},
		{"linux/amd64", "linux/arm64", false}, {"linux/arm/v7", "linux/arm/v6", false}, {"linux/amd64", "amd64", true}, {"linux/amd64", "arm64", false},
	} {
		if got := fits(test.have, test.want); got != test.fits {
			t.Errorf("fits(%q, %q) = %t", test.have, test.want, got)
		}
	}
}
