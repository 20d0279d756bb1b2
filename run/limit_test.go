package run

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

func TestUlimits(t *testing.T) {
	t.Parallel()
	got, err := parseUlimits([]string{"nofile=10", "core=0:0", "nofile=5:8"})
	if err != nil {
		t.Fatal(err)
	}
	if want := []store.Ulimit{{Name: "core"}, {Name: "nofile", Soft: 5, Hard: 8}}; !slices.Equal(got, want) {
		t.Errorf("ulimits are %+v, want %+v", got, want)
	}
	for _, spec := range []string{"", "nofile", "nofile=x", "nofile=8:5", "nosuch=1", "nofile=1:2:3", "nofile=1:999999999999"} {
		if _, err := parseUlimits([]string{spec}); err == nil {
			t.Errorf("--ulimit %q is taken", spec)
		}
	}
}

func TestShmSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"": 64 << 20, "0": 64 << 20, "1m": 1 << 20, "2G": 2 << 30, "4096": 4096} {
		if got, err := parseShmSize(text); got != want || err != nil {
			t.Errorf("parseShmSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"x", "-1", "1q"} {
		if _, err := parseShmSize(text); err == nil {
			t.Errorf("--shm-size %q is taken", text)
		}
	}
}

func TestLogOptions(t *testing.T) {
	t.Parallel()
	c, err := parseLog("", []string{"max-size=1k", "max-file=2"})
	if err != nil || c.Type != "json-file" || c.Config["max-size"] != "1k" {
		t.Fatalf("%+v, %v", c, err)
	}
	in, err := logOf(c)
	if err != nil || in.Config["max-size"] != "1024" || in.Config["max-file"] != "2" {
		t.Errorf("the shim is told %+v, %v", in, err)
	}
	for _, test := range []struct{ driver, option, words string }{
		{"syslog", "", "not supported"},
		{"none", "max-size=1k", "unknown log opt"},
		{"", "tag=x", "unknown log opt"},
		{"", "max-size", "KEY=VALUE"},
		{"", "max-size=0", "not a size"},
		{"", "max-file=0", "not a number"},
		{"", "max-file=1x", "not a number"},
	} {
		var options []string
		if test.option != "" {
			options = []string{test.option}
		}
		if _, err := parseLog(test.driver, options); err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("driver %q, option %q: %v, want words %q", test.driver, test.option, err, test.words)
		}
	}
}

func TestCapabilities(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		add, drop  []string
		privileged bool
		has, lacks []string
		n          int
	}{
		{n: 14, has: []string{"CAP_CHOWN"}, lacks: []string{"CAP_SYS_ADMIN"}},
		{add: []string{"sys_admin"}, n: 15, has: []string{"CAP_SYS_ADMIN"}},
		{add: []string{"CAP_CHOWN"}, n: 14},
		{drop: []string{"Chown", "CAP_KILL"}, n: 12, lacks: []string{"CAP_CHOWN", "CAP_KILL"}},
		{add: []string{"ALL"}, n: 41},
		{add: []string{"all"}, drop: []string{"NET_ADMIN"}, n: 40, lacks: []string{"CAP_NET_ADMIN"}},
		{drop: []string{"ALL"}, n: 0},
		{add: []string{"NET_RAW"}, drop: []string{"all"}, n: 1, has: []string{"CAP_NET_RAW"}},
		{drop: []string{"ALL"}, privileged: true, n: 41},
	} {
		add, err1 := normalCapabilities(test.add, "cap-add")
		drop, err2 := normalCapabilities(test.drop, "cap-drop")
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		got := joinCapabilities(add, drop, test.privileged)
		if len(got) != test.n {
			t.Errorf("%+v gives %d: %v", test, len(got), got)
		}
		for _, name := range test.has {
			if !slices.Contains(got, name) {
				t.Errorf("%+v lacks %s", test, name)
			}
		}
		for _, name := range test.lacks {
			if slices.Contains(got, name) {
				t.Errorf("%+v has %s", test, name)
			}
		}
	}
	if _, err := normalCapabilities([]string{"CAP_NONSENSE"}, "cap-add"); err == nil || !strings.Contains(err.Error(), "CAP_NONSENSE") {
		t.Errorf("an unknown capability gives %v", err)
	}
}

func TestSecurityOptions(t *testing.T) {
	t.Parallel()
	profile := writeTemp(t, "{\n \"defaultAction\": \"SCMP_ACT_ALLOW\"\n}\n")
	for option, want := range map[string]security{
		"no-new-privileges":       {noNewPrivileges: true},
		"no-new-privileges:true":  {noNewPrivileges: true},
		"no-new-privileges=false": {},
		"seccomp=unconfined":      {seccomp: "unconfined"},
		"seccomp:unconfined":      {seccomp: "unconfined"},
		"seccomp=" + profile:      {seccomp: `{"defaultAction":"SCMP_ACT_ALLOW"}`},
		"label=disable":           {},
		"apparmor=unconfined":     {},
		"systempaths=unconfined":  {unmask: []string{"ALL"}},
	} {
		got, kept, err := parseSecurity([]string{option})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("parseSecurity(%q) = %+v, %v; want %+v", option, got, err, want)
		}
		if again, _, err := parseSecurity(kept); err != nil || !reflect.DeepEqual(again, want) {
			t.Errorf("what is kept of %q, %q, reads %+v, %v", option, kept, again, err)
		}
	}
	for _, option := range []string{"", "nonsense", "seccomp=", "seccomp=/no/such/file", "seccomp=/", "no-new-privileges:maybe", "label=colour:x", "apparmor=docker-default", "systempaths=x"} {
		if _, _, err := parseSecurity([]string{option}); err == nil {
			t.Errorf("--security-opt %q is taken", option)
		}
	}
}

// The flags of a profile are told again at each start, from what is kept of it.
func TestFilterFlags(t *testing.T) {
	t.Parallel()
	flags := `"SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_SPEC_ALLOW","SECCOMP_FILTER_FLAG_TSYNC"`
	profile := writeTemp(t, `{"defaultAction": "SCMP_ACT_ALLOW", "flags": [`+flags+`]}`)
	for option, want := range map[string]uint32{
		"no-new-privileges":         0,
		"seccomp=unconfined":        0,
		"seccomp:" + profile:        unix.SECCOMP_FILTER_FLAG_LOG | unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW,
		"seccomp={\"syscalls\":[]}": 0,
	} {
		_, kept, err := parseSecurity([]string{option})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := filterFlags(kept); err != nil || got != want {
			t.Errorf("%q has the flags %#x, %v; want %#x", option, got, err, want)
		}
	}
}

func TestDevices(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]store.Device{
		"/dev/null":              {PathOnHost: "/dev/null", PathInContainer: "/dev/null", CgroupPermissions: "rwm"},
		"/dev/null:/dev/x":       {PathOnHost: "/dev/null", PathInContainer: "/dev/x", CgroupPermissions: "rwm"},
		"/dev/null:rw":           {PathOnHost: "/dev/null", PathInContainer: "/dev/null", CgroupPermissions: "rw"},
		"/dev/null:/dev/x:rwm":   {PathOnHost: "/dev/null", PathInContainer: "/dev/x", CgroupPermissions: "rwm"},
		"/dev/zero:/dev/deep/it": {PathOnHost: "/dev/zero", PathInContainer: "/dev/deep/it", CgroupPermissions: "rwm"},
	} {
		got, err := parseDevices([]string{spec})
		if err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("--device %q gives %+v, %v; want %+v", spec, got, err, want)
		}
	}
	for _, spec := range []string{"", "null", "/dev/null:x", "/etc/passwd", "/dev/nosuch", "/dev/null:/x:rwx", "/dev/null:/x:r", "/dev/null:/x:rw:y"} {
		if got, err := parseDevices([]string{spec}); err == nil {
			t.Errorf("--device %q is taken: %+v", spec, got)
		}
	}
}
