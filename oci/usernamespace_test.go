package oci

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/userns"
)

// The maps of the tests. In the user namespace of the test's starter 0 is the user, and
// 1 to 65536 are its subordinate ids.
var (
	sameMap = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 0, Size: 65536}}
	// nobodyMap leaves the starter's own id out, as --userns nomap does.
	nobodyMap = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1, Size: 65536}}
	// keepMap gives the starter's own id to 1000, as --userns keep-id does.
	keepMap = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1, Size: 1000}, {ContainerID: 1000, HostID: 0, Size: 1}, {ContainerID: 1001, HostID: 1001, Size: 64535}}
	// onlyMap has no 0 at all, which is all that a user without subordinate ids can have.
	onlyMap = []specs.LinuxIDMapping{{ContainerID: 1000, HostID: 0, Size: 1}}
)

// mapped gives the container a user namespace of its own, and its root file system to
// whom that says is root.
func (c *container) mapped(maps []specs.LinuxIDMapping) *container {
	c.t.Helper()
	c.Spec.Linux.UIDMappings, c.Spec.Linux.GIDMappings = maps, maps
	c.Spec.Linux.Namespaces = append(c.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	if maps[0].ContainerID == 0 && maps[0].HostID != 0 {
		owner := fmt.Sprintf("%d:%d", maps[0].HostID, maps[0].HostID)
		c.Prepare = []string{"/bin/chown", "-hR", owner, c.Rootfs}
		c.t.Cleanup(func() { c.giveBack() })
	}
	return c
}

// giveBack makes the root file system the user's again, who deletes it.
func (c *container) giveBack() {
	cmd := enter(c.t, c.single)
	cmd.Path, cmd.ReadOnly, cmd.Args = "/bin/chown", false, []string{"chown", "-hR", "0:0", c.Rootfs}
	process, err := cmd.Start()
	must(c.t, err)
	process.Wait()
}

func TestUserNamespaceMaps(t *testing.T) {
	for name, maps := range map[string][]specs.LinuxIDMapping{"same": sameMap, "nomap": nobodyMap, "keep-id": keepMap} {
		t.Run(name, func(t *testing.T) {
			c := newContainer(t, script("cat /proc/self/uid_map /proc/self/gid_map", "id -u; id -G", "cat /proc/self/setgroups")...)
			needRange(t)
			got := strings.Split(c.mapped(maps).output(), "\n0\n0\nallow\n")
			var lines []string
			for range 2 {
				for _, m := range maps {
					lines = append(lines, fmt.Sprintf("%d %d %d", m.ContainerID, m.HostID, m.Size))
				}
			}
			if have := merged(t, got[0]); len(got) != 2 || !slices.Equal(have, lines) {
				t.Errorf("%q, want %q", have, lines)
			}
		})
	}
}

// merged joins the ranges of a map that follow each other: the kernel wants them
// split where those of the namespace above meet.
func merged(t *testing.T, text string) []string {
	var all []string
	var last [3]int
	for line := range strings.Lines(text + "\n") {
		var m [3]int
		_, err := fmt.Sscan(line, &m[0], &m[1], &m[2])
		if err == nil && last[2] > 0 && m[0] == last[0]+last[2] && m[1] == last[1]+last[2] {
			m = [3]int{last[0], last[1], last[2] + m[2]}
			all = all[:len(all)-1]
		}
		if err == nil {
			all = append(all, fmt.Sprintf("%d %d %d", m[0], m[1], m[2]))
		}
		last = m
	}
	return all
}

// TestUserNamespaceOwnsTheOthers looks at what only the owner of a namespace may do.
func TestUserNamespaceOwnsTheOthers(t *testing.T) {
	for name, maps := range map[string][]specs.LinuxIDMapping{"same": sameMap, "nomap": nobodyMap, "keep-id": keepMap} {
		t.Run(name, func(t *testing.T) {
			c := newContainer(t, script("hostname", "cat /proc/sys/net/ipv4/ip_forward", "ifconfig lo 127.0.0.2 && echo net",
				"hostname other && hostname", "mount -t tmpfs none /tmp && echo mounted", "stat -f -c %T /proc /sys /dev/pts; grep -c mqueue /proc/mounts", "touch /dev/shm/x; stat -c %u /dev/shm/x /root /dev/pts")...)
			needRange(t)
			caps := append([]string{"CAP_NET_ADMIN", "CAP_SYS_ADMIN"}, dockerCapabilities...)
			c.Spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps}
			c.Spec.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1", "kernel.msgmax": "65536"}
			want(t, c.mapped(maps).output(), "testhost", "1", "net", "other", "mounted", "proc", "sysfs", "devpts", "1", "0", "0", "0")
		})
	}
}

// TestUserNamespaceWithoutPaths puts root file system and mounts where nobody but the
// starter may go.
func TestUserNamespaceWithoutPaths(t *testing.T) {
	c := newContainer(t, script("cat /file; ls /folder; stat -c %u /file", "! echo x >/file && echo refused")...)
	needRange(t)
	secret := t.TempDir()
	must(t, os.WriteFile(filepath.Join(secret, "inside"), []byte("reached\n"), 0o644))
	must(t, os.Chmod(secret, 0o755))
	must(t, os.Chmod(filepath.Dir(secret), 0o700))
	c.Spec.Mounts = append(c.Spec.Mounts,
		specs.Mount{Destination: "/file", Type: "bind", Source: filepath.Join(secret, "inside"), Options: []string{"rbind"}},
		specs.Mount{Destination: "/folder", Type: "bind", Source: secret, Options: []string{"rbind", "rro"}})
	c.mapped(nobodyMap)
	must(t, os.Chmod(filepath.Dir(c.Rootfs), 0o700))
	want(t, c.output(), "reached", "inside", "65534", "refused")
}

// The stage starts up while its ids are being mapped, where it has those of root and is
// alone with its starter.
func TestUserNamespaceEarly(t *testing.T) {
	user, group := uint32(os.Geteuid()), uint32(os.Getegid())
	maps := func(root, own uint32) []userns.IDMap { return []userns.IDMap{{Inside: root, Outside: own, Size: 1}} }
	near := []userns.File{{Name: "ns-network", File: os.Stdin}}
	for name, c := range map[string]struct {
		namespaces namespaces
		want       bool
	}{
		"same":         {namespaces{mapping: &userns.Mapping{UIDs: maps(0, user), GIDs: maps(0, group)}}, true},
		"other root":   {namespaces{mapping: &userns.Mapping{UIDs: maps(0, user+1), GIDs: maps(0, group)}}, false},
		"other group":  {namespaces{mapping: &userns.Mapping{UIDs: maps(0, user), GIDs: maps(0, group+1)}}, false},
		"without root": {namespaces{mapping: &userns.Mapping{UIDs: maps(1000, user), GIDs: maps(1000, group)}}, false},
		"not alone":    {namespaces{mapping: &userns.Mapping{UIDs: maps(0, user), GIDs: maps(0, group)}, joined: near}, false},
		"none":         {namespaces{}, false},
	} {
		if got := c.namespaces.command().Early; got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestUserNamespaceWithoutRoot(t *testing.T) {
	c := newContainer(t, script("id -u; grep CapEff /proc/self/status | tr '\t' ' '; touch /tmp/x; stat -c %u /tmp/x /bin; hostname")...)
	c.Spec.Process.User = specs.User{UID: 1000, GID: 1000}
	want(t, c.mapped(onlyMap).output(), "1000", "CapEff: 0000000000000000", "1000", "1000", "testhost")
}

func TestUserNamespaceOfSingleID(t *testing.T) {
	c := newContainer(t, script("id -u; cat /proc/self/setgroups; hostname")...)
	c.single = true
	c.Spec.Process.User = specs.User{UID: 1000, GID: 1000}
	want(t, c.mapped(onlyMap).output(), "1000", "deny", "testhost")
}

func TestUserNamespaceExec(t *testing.T) {
	for name, maps := range map[string][]specs.LinuxIDMapping{"same": sameMap, "nomap": nobodyMap, "keep-id": keepMap, "only": onlyMap} {
		t.Run(name, func(t *testing.T) {
			inside := dockerProcess(script("id -u", "for n in mnt pid net ipc uts cgroup user; do test $(stat -Lc %i /proc/1/ns/$n) = $(stat -Lc %i /proc/self/ns/$n) || echo differs $n; done")...)
			terminal := dockerProcess(script("tty; id -u")...)
			terminal.Terminal = true
			c := withExec(t, inside, terminal)
			user := "0"
			if name == "only" {
				user = "1000"
				for _, p := range []*specs.Process{c.Spec.Process, inside, terminal} {
					p.User = specs.User{UID: 1000, GID: 1000}
				}
			} else {
				needRange(t)
			}
			want(t, strings.ReplaceAll(c.mapped(maps).execs(0, 0).stdout, "\r", ""), user, "/dev/pts/0", user)
		})
	}
}

func TestUserNamespaceInitAndTerminal(t *testing.T) {
	c := newContainer(t, script("tty; id -u; cat /proc/1/comm; stat -c %u /dev/pts/0")...)
	needStatic(t)
	needRange(t)
	c.Init = true
	c.Spec.Process.Terminal = true
	c.Spec.Process.User = specs.User{UID: 1000, GID: 1000}
	want(t, strings.ReplaceAll(c.mapped(keepMap).output(), "\r", ""), "/dev/pts/0", "1000", "skiff-init", "1000")
}

// TestUserNamespaceJoinsOthers joins namespaces that belong to the starter's user
// namespace: they are entered before the container's own is made.
func TestUserNamespaceJoinsOthers(t *testing.T) {
	for _, kind := range []specs.LinuxNamespaceType{specs.NetworkNamespace, specs.PIDNamespace, specs.IPCNamespace, specs.UTSNamespace} {
		t.Run(string(kind), func(t *testing.T) {
			c := newContainer(t, script("hostname; test $$ -le 9 && echo low; id -u")...)
			needRange(t)
			c.PeerIn = true
			c.Peer = []specs.LinuxNamespaceType{kind}
			lines := []string{"testhost", "low", "0"}
			if kind == specs.UTSNamespace {
				lines[0] = "peer"
				c.Spec.Hostname = ""
			}
			want(t, c.mapped(keepMap).output(), lines...)
		})
	}
}

// TestUserNamespaceJoined has a container join the user namespace of another, and others
// of its namespaces with it.
func TestUserNamespaceJoined(t *testing.T) {
	for _, maps := range [][]specs.LinuxIDMapping{sameMap, keepMap} {
		t.Run(fmt.Sprint(len(maps)), func(t *testing.T) {
			c := newContainer(t, script("id -u; ifconfig lo 127.0.0.2 && echo net; stat -f -c %T /sys")...)
			needRange(t)
			caps := append([]string{"CAP_NET_ADMIN"}, dockerCapabilities...)
			c.Spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps}
			c.Peer = []specs.LinuxNamespaceType{specs.UserNamespace, specs.NetworkNamespace}
			want(t, c.mapped(maps).output(), "0", "net", "sysfs")
		})
	}
}

func TestUserNamespaceRefusals(t *testing.T) {
	for name, change := range map[string]func(*specs.Linux){
		"no maps":      func(l *specs.Linux) { l.UIDMappings = nil },
		"overlap":      func(l *specs.Linux) { l.UIDMappings = append(sameMap[:1:1], sameMap...) },
		"no namespace": func(l *specs.Linux) { l.Namespaces = l.Namespaces[:len(l.Namespaces)-1] },
	} {
		t.Run(name, func(t *testing.T) {
			c := newContainer(t, "true")
			c.mapped(sameMap)
			change(c.Spec.Linux)
			c.refused(125)
		})
	}
}
