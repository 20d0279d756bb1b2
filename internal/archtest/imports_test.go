package archtest

import (
	"slices"
	"strings"
	"testing"
)

// layers are the packages from the bottom up. A package imports only from rows
// below its own: what stands low must be usable, and testable, without what stands
// above it, and the small program of the shim must be able to leave the top out.
var layers = [][]string{
	{"userns", "oci/pull", "oci/push"},
	{"oci", "store", "wire"},
	{"netns/client", "netns/helper/space", "netns/helper/member", "netns/helper/sock", "netns/helper/pages"},
	{"conmon", "registry", "netns", "cgroup"},
	{"archive"},
	{"netns/helper/tun", "netns/helper/firewall", "netns/helper/listen", "netns/helper/relay", "netns/helper/overlay"},
	{"netns/helper/fragment", "netns/helper/link"},
	{"netns/helper/flow"},
	{"netns/helper/tcp", "netns/helper/netstack", "netns/helper/udp", "netns/helper/icmp", "netns/helper/dns", "netns/helper/ports", "netns/helper/driver"},
	{"netns/helper"},
	{"conmon/shim", "conmon/program"},
	{"run"},
	{"ociruntime"},
	{"completions"},
	{"cli"},
	{""}, // main
}

// level is the row of a package; one that a row does not name belongs to its parent's.
func level(short string) int {
	for ; ; short = short[:max(strings.LastIndexByte(short, '/'), 0)] {
		for i, row := range layers {
			if slices.Contains(row, short) {
				return i
			}
		}
	}
}

func TestImportsPointDown(t *testing.T) {
	for _, p := range packages(t) {
		if !p.shipped() {
			continue
		}
		for _, path := range p.Imports {
			if path != module && !strings.HasPrefix(path, module+"/") {
				continue
			}
			other := strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
			if tool(other) {
				t.Errorf("%s imports %s: tools of testing are not shipped", p.short(), other)
			} else if level(other) > level(p.short()) || level(other) == level(p.short()) && !family(other, p.short()) {
				t.Errorf("%q imports %q, which does not stand below it", p.short(), other)
			}
		}
	}
}

// family tells whether two packages of one row belong together: run and run/seccomp.
// The parts of the network helper have rows of their own.
func family(a, b string) bool {
	return strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}

// bans are imports that only some packages may have, each with the reason.
var bans = []struct {
	path   string   // a prefix of import paths
	owners []string // who may, with all packages below them
	why    string
}{
	{"github.com/spf13/", []string{"cli"}, "commands and flags are one package's business; what lies below takes options"},
	{"github.com/google/go-containerregistry", []string{"registry"}, "it brings net/http and credential stores, which no other start should pay for"},
	{"github.com/goccy/go-yaml", []string{"run/cdi"}, "YAML is for the files of others; skiff's own are JSON"},
	{"github.com/moby/profiles", []string{"run/seccomp"}, "the shim gets its filter compiled"},
	{"github.com/klauspost/compress", []string{"registry"}, "layers are decompressed in one place, where they are verified"},
	{"net/http", []string{"registry"}, "it costs half a millisecond of every start and a megabyte of every shim"},
	{"text/template", []string{"cli"}, "it defeats the linker's removal of unused methods; the engine returns values"},
	{"crypto/tls", []string{"registry"}, "see net/http"},
	{"os/user", []string{"userns", "cli"}, "it knows the host's users; those of a container stand in its own files"},
	{"github.com/google/nftables", []string{"netns/helper"}, "only the network helper makes networks"},
	{"github.com/vishvananda/netlink", []string{"netns/helper"}, "only the network helper makes networks"},
	{"github.com/opencontainers/cgroups", []string{"cgroup", "ociruntime"}, "the shim is told a path; it must not link D-Bus"},
	{"github.com/godbus/dbus", []string{"cgroup"}, "one package talks to service managers"},
	{"gvisor.dev/", []string{"netns/helper/netstack"}, "it stands in for the kernel in one place"},
	{"log", []string{}, "the engine returns errors and gives notices; only cli talks"},
	{"log/slog", []string{}, "the engine returns errors and gives notices; only cli talks"},
	{"io/ioutil", []string{}, "it is deprecated"},
	{"C", []string{}, "the binary is static, and a fork between threads of C is not safe"},
}

func TestEachHeavyDependencyHasOneOwner(t *testing.T) {
	for _, p := range packages(t) {
		if !p.shipped() {
			continue
		}
		for _, path := range p.Imports {
			for _, ban := range bans {
				if path != ban.path && !strings.HasPrefix(path, strings.TrimSuffix(ban.path, "/")+"/") {
					continue
				}
				if !slices.ContainsFunc(ban.owners, func(o string) bool { return p.short() == o || strings.HasPrefix(p.short(), o+"/") }) {
					t.Errorf("%q imports %s, which only %q may: %s", p.short(), path, ban.owners, ban.why)
				}
			}
		}
	}
}

// TestShimLinksLittle holds the list of what the small program links beside the
// standard library: one process of it stays for every container.
func TestShimLinksLittle(t *testing.T) {
	allowed := []string{
		module + "/conmon", module + "/conmon/shim", module + "/oci", module + "/oci/pull", module + "/oci/push", module + "/store", module + "/userns", module + "/userns/rlimit",
		module + "/wire", module + "/netns/client",
		"github.com/opencontainers/runtime-spec/specs-go", "golang.org/x/sys/unix",
	}
	banned := map[string]string{
		"net":              "its resolver and poller tables cost memory; sockets are made with x/sys/unix",
		"crypto/tls":       "the shim talks to nobody",
		"regexp":           "patterns are compiled at every start",
		"text/template":    "it defeats the linker's removal of unused methods",
		"flag":             "the shim is told what to do by its parent's message",
		"go/":              "",
		"encoding/gob":     "",
		"encoding/xml":     "",
		"html":             "",
		"compress/gzip":    "layers are unpacked before",
		"archive/tar":      "layers are unpacked before",
		"database/sql":     "",
		"runtime/pprof":    "",
		"golang.org/x/net": "",
	}
	deps, err := list("-deps", module+"/conmon/shim")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range deps {
		for prefix, why := range banned {
			if p.ImportPath == prefix || strings.HasPrefix(p.ImportPath, strings.TrimSuffix(prefix, "/")+"/") && prefix != "net" {
				t.Errorf("the shim links %s: %s", p.ImportPath, why)
			}
		}
		if !p.Standard && !slices.Contains(allowed, p.ImportPath) {
			t.Errorf("the shim links %s, which is not on its list", p.ImportPath)
		}
	}
}
