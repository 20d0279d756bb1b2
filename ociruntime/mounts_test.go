package ociruntime

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// The host's root may show files with other owners than they have.
func TestIDMappedMount(t *testing.T) {
	for _, option := range []string{"", "idmap", "ridmap"} {
		t.Run("option-"+option, func(t *testing.T) {
			c := newContainer(t, "stat -c %u:%g /mnt/file; stat -c %u:%g /plain/file; touch /mnt/new")
			data := t.TempDir()
			must(t, os.WriteFile(filepath.Join(data, "file"), nil, 0o644))
			must(t, os.Chmod(data, 0o777))
			mount := specs.Mount{Destination: "/mnt", Type: "bind", Source: data, Options: []string{"rbind"},
				UIDMappings: []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 100}},
				GIDMappings: []specs.LinuxIDMapping{{ContainerID: 0, HostID: 2000, Size: 100}}}
			if option != "" {
				mount.Options = append(mount.Options, option)
			}
			plain := specs.Mount{Destination: "/plain", Type: "bind", Source: data, Options: []string{"rbind"}}
			c.spec.Mounts = append(c.spec.Mounts, plain, mount)
			must(t, os.Mkdir(c.path("mnt"), 0o755))
			must(t, os.Mkdir(c.path("plain"), 0o755))
			c.write()
			err := c.runtime.Create(&c.options)
			if !InitialRoot() {
				if err == nil || !strings.Contains(err.Error(), "mapping i") {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil && strings.Contains(err.Error(), "does not grant it") {
				t.Skip(err)
			}
			must(t, err)
			must(t, c.runtime.Start("test"))
			c.await(specs.StateStopped)
			if text := c.printed(); !strings.HasPrefix(text, "1000:2000\n0:0") {
				t.Errorf("printed %q", text)
			}
		})
	}
}

// Without a mount namespace of its own a container gets its mounts in the runtime's,
// and delete takes them away again.
func TestSharedMounts(t *testing.T) {
	if !InitialRoot() {
		t.Skip("only root may mount outside a namespace of its own")
	}
	c := newContainer(t, "readlink /proc/self/ns/mnt; ls /bin/sh")
	drop(c.spec, specs.MountNamespace)
	own, err := os.Readlink("/proc/self/ns/mnt")
	must(t, err)
	c.prints(own, "/bin/sh")
}

func TestTimeNamespace(t *testing.T) {
	c := newContainer(t, "read up rest < /proc/uptime; echo ${up%.*}; cat /proc/self/timens_offsets | tr -s ' \t' ' '")
	c.spec.Linux.Namespaces = append(c.spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
	c.spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1000000}, "monotonic": {Secs: 5, Nanosecs: 7}}
	lines := strings.Split(c.output(), "\n")
	var up int
	if n, _ := fmt.Sscan(lines[0], &up); n != 1 || up < 1000000 {
		t.Errorf("up for %s seconds", lines[0])
	}
	if text := strings.Join(lines[1:], ";"); !strings.Contains(text, "monotonic 5 7") || !strings.Contains(text, "boottime 1000000 0") {
		t.Errorf("offsets %q", text)
	}
}
