package conmon

import (
	"time"

	"github.com/skiff-containers/skiff/oci/pull"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/wire"
)

// decodeSetup reads the message. What most containers do not have is left to
// encoding/json, which spends a shim's memory on the types.
func decodeSetup(body []byte) (Setup, error) {
	t := pull.Read(body)
	var s Setup
	t.Object(func(name string) {
		if t.Null() {
			return // as nothing was there
		}
		switch name {
		case "Container":
			s.Container = t.String()
		case "Name":
			s.Name = t.String()
		case "Dir":
			s.Dir = t.String()
		case "Root":
			s.Root = t.String()
		case "Stack":
			s.Stack = pullStack(t)
		case "User":
			s.User = t.String()
		case "GroupAdd":
			s.GroupAdd = t.Strings()
		case "Log":
			s.Log = pullLog(t)
		case "Restart":
			s.Restart = pullPolicy(t)
		case "Runtime":
			s.Runtime = t.String()
		case "StopSignal":
			s.StopSignal = int(t.Int())
		case "StopTimeout":
			s.StopTimeout = time.Duration(t.Int())
		case "Timeout":
			s.Timeout = time.Duration(t.Int())
		case "Attributes":
			s.Attributes = t.Map()
		case "Attach":
			s.Attach = pullAttach(t)
		case "Direct":
			s.Direct = pullDirect(t)
		case "Preserve":
			s.Preserve = int(t.Int())
		case "PidFile":
			s.PidFile = t.String()
		default:
			if flag := s.flag(name); flag != nil {
				*flag = t.Bool()
			} else {
				t.Refuse()
			}
		}
	})
	if t.OK() {
		return s, nil
	}
	return wire.Decode[Setup](body)
}

// flag is one of what is or is not so; nil where there is none of that name.
func (s *Setup) flag(name string) *bool {
	switch name {
	case "OpenStdin":
		return &s.OpenStdin
	case "StdinOnce":
		return &s.StdinOnce
	case "AutoRemove":
		return &s.AutoRemove
	case "Init":
		return &s.Init
	case "Seccomp":
		return &s.Seccomp
	case "Grouped":
		return &s.Grouped
	case "Network":
		return &s.Network
	}
	return nil
}

func pullStack(t *pull.Text) (s store.Stack) {
	t.Object(func(name string) {
		switch name {
		case "Driver":
			s.Driver = t.String()
		case "Store":
			s.Store = t.String()
		case "Layers":
			if !t.Null() {
				s.Layers = t.Strings()
			}
		case "Map":
			s.Map = t.String()
		case "Dir":
			s.Dir = t.String()
		case "Base":
			s.Base = t.String()
		case "Volatile":
			s.Volatile = t.Bool()
		default:
			t.Refuse()
		}
	})
	return s
}

func pullLog(t *pull.Text) (l store.LogConfig) {
	t.Object(func(name string) {
		switch {
		case name == "Type":
			l.Type = t.String()
		case name != "Config":
			t.Refuse()
		case !t.Null():
			l.Config = t.Map()
		}
	})
	return l
}

func pullPolicy(t *pull.Text) (p store.RestartPolicy) {
	t.Object(func(name string) {
		switch name {
		case "Name":
			p.Name = t.String()
		case "MaximumRetryCount":
			p.MaximumRetryCount = int(t.Int())
		default:
			t.Refuse()
		}
	})
	return p
}

func pullAttach(t *pull.Text) (a Attach) {
	t.Object(func(name string) {
		switch name {
		case "Stdin":
			a.Stdin = t.Bool()
		case "Stdout":
			a.Stdout = t.Bool()
		case "Stderr":
			a.Stderr = t.Bool()
		case "Size":
			t.Object(func(name string) {
				switch name {
				case "Rows":
					a.Size.Rows = uint16(t.Uint(16))
				case "Columns":
					a.Size.Columns = uint16(t.Uint(16))
				default:
					t.Refuse()
				}
			})
		default:
			t.Refuse()
		}
	})
	return a
}

func pullDirect(t *pull.Text) (d [3]bool) {
	i := 0
	t.Array(func() {
		if i == len(d) {
			t.Refuse()
			return
		}
		d[i] = t.Bool()
		i++
	})
	return d
}
