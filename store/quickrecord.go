package store

import (
	"time"

	"github.com/skiff-containers/skiff/oci/pull"
)

// A command that lists five hundred containers reads a thousand files, and encoding/json
// takes far longer to understand one than the kernel to read it. So what most
// records and states hold is read without it; what is rare ends the quick way, and
// encoding/json has the word.

// quickRecord reads a record that has nothing but common fields; nil where there is more
// in it, or something is wrong.
func quickRecord(data []byte) *Record {
	t := pull.Read(data)
	r := new(Record)
	t.Object(func(name string) {
		switch name {
		case "Created":
			r.Created = pullTime(t)
		case "Image":
			r.Image = pullImage(t)
		case "Args":
			r.Args = pullStrings(t)
		case "Config":
			pullConfig(t, &r.Config)
		case "HostConfig":
			pullHostConfig(t, &r.HostConfig)
		case "Networks":
			r.Networks = pullList(t, func() EndpointConfig { return pullEndpoint(t) })
		default:
			pullText(t, r.text(name))
		}
	})
	if !t.OK() {
		return nil
	}
	return r
}

// text is the field of a name that is a string; nil where there is none.
func (r *Record) text(name string) *string {
	switch name {
	case "ID":
		return &r.ID
	case "Name":
		return &r.Name
	case "Rootfs":
		return &r.Rootfs
	case "Driver":
		return &r.Driver
	case "Path":
		return &r.Path
	}
	return nil
}

func pullImage(t *pull.Text) (i ImageRef) {
	t.Object(func(name string) {
		switch name {
		case "Reference":
			i.Reference = t.String()
		case "ID":
			i.ID = t.String()
		case "Manifest":
			i.Manifest = t.String()
		case "Platform":
			i.Platform = t.String()
		case "Layers":
			i.Layers = pullStrings(t)
		default:
			t.Refuse()
		}
	})
	return i
}

func pullEndpoint(t *pull.Text) (e EndpointConfig) {
	t.Object(func(name string) {
		switch name {
		case "Network":
			e.Network = t.String()
		case "Aliases":
			e.Aliases = pullStrings(t)
		case "MacAddress":
			e.MacAddress = t.String()
		default:
			t.Refuse()
		}
	})
	return e
}

func pullConfig(t *pull.Text, c *Config) {
	t.Object(func(name string) {
		switch name {
		case "Env":
			c.Env = pullStrings(t)
		case "Cmd":
			c.Cmd = pullStrings(t)
		case "Entrypoint":
			c.Entrypoint = pullStrings(t)
		case "Volumes":
			c.Volumes = pullSet(t)
		case "ExposedPorts":
			c.ExposedPorts = pullSet(t)
		case "Labels":
			c.Labels = pullMap(t)
		default:
			if flag := c.flag(name); flag != nil {
				*flag = t.Bool()
			} else {
				pullText(t, c.text(name))
			}
		}
	})
}

// flag is the field of a name that is true or false; nil where there is none.
func (c *Config) flag(name string) *bool {
	switch name {
	case "AttachStdin":
		return &c.AttachStdin
	case "AttachStdout":
		return &c.AttachStdout
	case "AttachStderr":
		return &c.AttachStderr
	case "Tty":
		return &c.Tty
	case "OpenStdin":
		return &c.OpenStdin
	case "StdinOnce":
		return &c.StdinOnce
	}
	return nil
}

// text is the field of a name that is a string; nil where there is none.
func (c *Config) text(name string) *string {
	switch name {
	case "Hostname":
		return &c.Hostname
	case "Domainname":
		return &c.Domainname
	case "User":
		return &c.User
	case "Image":
		return &c.Image
	case "WorkingDir":
		return &c.WorkingDir
	case "StopSignal":
		return &c.StopSignal
	case "Umask":
		return &c.Umask
	case "Timezone":
		return &c.Timezone
	case "SystemdMode":
		return &c.SystemdMode
	}
	return nil
}

// quickState is quickRecord for a state.
func quickState(data []byte) *State {
	t := pull.Read(data)
	s := new(State)
	t.Object(func(name string) {
		switch name {
		case "Status":
			s.Status = Status(t.String())
		case "Shim":
			s.Shim = pullProcessID(t)
		case "Init":
			s.Init = pullProcessID(t)
		case "StartedAt":
			s.StartedAt = pullTime(t)
		case "FinishedAt":
			s.FinishedAt = pullTime(t)
		case "ExitCode":
			s.ExitCode = int(t.Int())
		case "Error":
			s.Error = t.String()
		case "OOMKilled":
			s.OOMKilled = t.Bool()
		case "RestartCount":
			s.RestartCount = int(t.Int())
		case "UserStopped":
			s.UserStopped = t.Bool()
		case "Cgroup":
			s.Cgroup = pullGroup(t)
		case "Creating":
			s.Creating = t.Bool()
		default:
			t.Refuse()
		}
	})
	if !t.OK() {
		return nil
	}
	return s
}

func pullProcessID(t *pull.Text) (id ProcessID) {
	t.Object(func(name string) {
		switch name {
		case "pid":
			id.PID = int(t.Int())
		case "start":
			id.Start = t.Uint(64)
		case "boot":
			id.Boot = t.String()
		default:
			t.Refuse()
		}
	})
	return id
}

func pullGroup(t *pull.Text) *Group {
	g := new(Group)
	t.Object(func(name string) {
		switch name {
		case "Path":
			g.Path = t.String()
		case "Unit":
			g.Unit = t.String()
		default:
			t.Refuse()
		}
	})
	return g
}

// What follows reads null as encoding/json does: nothing was there.

func pullText(t *pull.Text, field *string) {
	if field == nil {
		t.Refuse()
		return
	}
	*field = t.String()
}

func pullTime(t *pull.Text) (at time.Time) {
	if at.UnmarshalText([]byte(t.String())) != nil {
		t.Refuse()
	}
	return at
}

func pullList[T any](t *pull.Text, one func() T) []T {
	if t.Null() {
		return nil
	}
	return pull.List(t, one)
}

func pullStrings(t *pull.Text) []string { return pullList(t, t.String) }

func pullMap(t *pull.Text) map[string]string {
	if t.Null() {
		return nil
	}
	return t.Map()
}

func pullSet(t *pull.Text) map[string]struct{} {
	if t.Null() {
		return nil
	}
	set := map[string]struct{}{}
	t.Object(func(name string) {
		t.Object(func(string) { t.Refuse() })
		set[name] = struct{}{}
	})
	return set
}
