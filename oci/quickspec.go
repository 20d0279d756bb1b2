package oci

import (
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/oci/pull"
)

// quickSpec reads a config that has nothing but what skiff's own configs have; nil where
// there is more in it.
func quickSpec(data []byte) *specs.Spec {
	t := pull.Read(data)
	s := new(specs.Spec)
	t.Object(func(name string) {
		switch name {
		case "ociVersion":
			s.Version = t.String()
		case "process":
			s.Process = pullProcess(t)
		case "root":
			s.Root = pullRoot(t)
		case "hostname":
			s.Hostname = t.String()
		case "domainname":
			s.Domainname = t.String()
		case "mounts":
			s.Mounts = pull.List(t, func() specs.Mount { return pullMount(t) })
		case "annotations":
			s.Annotations = t.Map()
		case "linux":
			s.Linux = pullLinux(t)
		default:
			t.Refuse()
		}
	})
	if !t.OK() {
		return nil
	}
	return s
}

func pullRoot(t *pull.Text) *specs.Root {
	r := new(specs.Root)
	t.Object(func(name string) {
		switch name {
		case "path":
			r.Path = t.String()
		case "readonly":
			r.Readonly = t.Bool()
		default:
			t.Refuse()
		}
	})
	return r
}

func pullProcess(t *pull.Text) *specs.Process {
	p := new(specs.Process)
	t.Object(func(name string) {
		switch name {
		case "terminal":
			p.Terminal = t.Bool()
		case "user":
			p.User = pullUser(t)
		case "args":
			p.Args = t.Strings()
		case "env":
			p.Env = t.Strings()
		case "cwd":
			p.Cwd = t.String()
		case "capabilities":
			p.Capabilities = pullCapabilities(t)
		case "rlimits":
			p.Rlimits = pull.List(t, func() specs.POSIXRlimit { return pullRlimit(t) })
		case "noNewPrivileges":
			p.NoNewPrivileges = t.Bool()
		case "apparmorProfile":
			p.ApparmorProfile = t.String()
		case "oomScoreAdj":
			score := int(t.Int())
			p.OOMScoreAdj = &score
		default:
			t.Refuse()
		}
	})
	return p
}

func pullUser(t *pull.Text) (u specs.User) {
	t.Object(func(name string) {
		switch name {
		case "uid":
			u.UID = pullID(t)
		case "gid":
			u.GID = pullID(t)
		case "umask":
			umask := pullID(t)
			u.Umask = &umask
		case "additionalGids":
			u.AdditionalGids = pull.List(t, func() uint32 { return pullID(t) })
		default:
			t.Refuse()
		}
	})
	return u
}

func pullID(t *pull.Text) uint32 { return uint32(t.Uint(32)) }

func pullCapabilities(t *pull.Text) *specs.LinuxCapabilities {
	c := new(specs.LinuxCapabilities)
	t.Object(func(name string) {
		switch name {
		case "bounding":
			c.Bounding = t.Strings()
		case "effective":
			c.Effective = t.Strings()
		case "inheritable":
			c.Inheritable = t.Strings()
		case "permitted":
			c.Permitted = t.Strings()
		case "ambient":
			c.Ambient = t.Strings()
		default:
			t.Refuse()
		}
	})
	return c
}

func pullRlimit(t *pull.Text) (l specs.POSIXRlimit) {
	t.Object(func(name string) {
		switch name {
		case "type":
			l.Type = t.String()
		case "hard":
			l.Hard = t.Uint(64)
		case "soft":
			l.Soft = t.Uint(64)
		default:
			t.Refuse()
		}
	})
	return l
}

func pullMount(t *pull.Text) (m specs.Mount) {
	t.Object(func(name string) {
		switch name {
		case "destination":
			m.Destination = t.String()
		case "type":
			m.Type = t.String()
		case "source":
			m.Source = t.String()
		case "options":
			m.Options = t.Strings()
		default:
			t.Refuse()
		}
	})
	return m
}

func pullLinux(t *pull.Text) *specs.Linux {
	l := new(specs.Linux)
	t.Object(func(name string) {
		switch name {
		case "uidMappings":
			l.UIDMappings = pullMappings(t)
		case "gidMappings":
			l.GIDMappings = pullMappings(t)
		case "sysctl":
			l.Sysctl = t.Map()
		case "namespaces":
			l.Namespaces = pull.List(t, func() specs.LinuxNamespace { return pullNamespace(t) })
		case "devices":
			l.Devices = pull.List(t, func() specs.LinuxDevice { return pullDevice(t) })
		case "maskedPaths":
			l.MaskedPaths = t.Strings()
		case "readonlyPaths":
			l.ReadonlyPaths = t.Strings()
		default:
			t.Refuse()
		}
	})
	return l
}

func pullMappings(t *pull.Text) []specs.LinuxIDMapping {
	return pull.List(t, func() (m specs.LinuxIDMapping) {
		t.Object(func(name string) {
			switch name {
			case "containerID":
				m.ContainerID = pullID(t)
			case "hostID":
				m.HostID = pullID(t)
			case "size":
				m.Size = pullID(t)
			default:
				t.Refuse()
			}
		})
		return m
	})
}

func pullNamespace(t *pull.Text) (n specs.LinuxNamespace) {
	t.Object(func(name string) {
		switch name {
		case "type":
			n.Type = specs.LinuxNamespaceType(t.String())
		case "path":
			n.Path = t.String()
		default:
			t.Refuse()
		}
	})
	return n
}

func pullDevice(t *pull.Text) (d specs.LinuxDevice) {
	t.Object(func(name string) {
		switch name {
		case "path":
			d.Path = t.String()
		case "type":
			d.Type = t.String()
		case "major":
			d.Major = t.Int()
		case "minor":
			d.Minor = t.Int()
		case "fileMode":
			mode := os.FileMode(pullID(t))
			d.FileMode = &mode
		case "uid":
			id := pullID(t)
			d.UID = &id
		case "gid":
			id := pullID(t)
			d.GID = &id
		default:
			t.Refuse()
		}
	})
	return d
}
