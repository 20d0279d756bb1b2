package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// socket is where a service manager can be spoken to.
type socket struct {
	path string
	bus  bool // a message bus, where one says hello first; else the manager itself
}

// managers are the sockets of the service manager that is this user's, that of the bus
// before the manager's own: whoever connects to that one has it describe all its
// objects anew, which takes three times as long as all else that it does for a scope.
// None where it does not run.
func managers() []socket {
	if os.Geteuid() == 0 {
		if unix.Access("/run/systemd/system", unix.F_OK) != nil { // sd_booted(3)
			return nil
		}
		return existing(socket{"/run/dbus/system_bus_socket", true}, socket{"/run/systemd/private", false})
	}
	folder := runtimeDir()
	if unix.Access(folder+"/systemd", unix.F_OK) != nil {
		return nil
	}
	return existing(socket{folder + "/bus", true}, socket{folder + "/systemd/private", false})
}

// runtimeDir is the folder of the user's manager. XDG_RUNTIME_DIR is missing, or that
// of somebody else, after su, in cron and under sudo.
func runtimeDir() string {
	if named := os.Getenv("XDG_RUNTIME_DIR"); named != "" {
		var st unix.Stat_t
		if unix.Stat(named, &st) == nil && int(st.Uid) == os.Geteuid() && unix.Access(named+"/systemd", unix.F_OK) == nil {
			return named
		}
	}
	return "/run/user/" + strconv.Itoa(os.Geteuid())
}

func existing(all ...socket) (found []socket) {
	for _, s := range all {
		if unix.Access(s.path, unix.W_OK) == nil {
			found = append(found, s)
		}
	}
	return found
}

// managed is a folder whose controllers are those that the manager may give away: its
// own group, above that of the process where one was started by it.
func managed(own string) string {
	if os.Geteuid() == 0 {
		return Mountpoint
	}
	service := fmt.Sprintf("user@%d.service", os.Geteuid())
	if before, _, inside := strings.Cut(own, service); inside {
		return before + service
	}
	return path.Join(Mountpoint, "user.slice", fmt.Sprintf("user-%d.slice", os.Geteuid()), service)
}

const (
	managerName   = "org.freedesktop.systemd1"
	managerObject = dbus.ObjectPath("/org/freedesktop/systemd1")
	managerFace   = managerName + ".Manager"
	jobRemoved    = "JobRemoved"
)

// dial connects to the first manager that answers.
func dial(ctx context.Context, all []socket) (*conversation, error) {
	var failed []error
	for i, s := range all {
		c, err := converse(ctx, s)
		if err == nil {
			c.others = all[i+1:]
			return c, nil
		}
		failed = append(failed, err)
	}
	return nil, fmt.Errorf("connecting to the service manager: %w", errors.Join(failed...))
}

// property is a(sv) of D-Bus.
type property struct {
	Name  string
	Value dbus.Variant
}

func prop(name string, value any) property { return property{name, dbus.MakeVariant(value)} }

// errUnitExists says that the manager has a unit of that name still.
var errUnitExists = errors.New("the unit exists")

// startScope has the manager make a scope with one process in it, and returns when it
// is there. A bus may be one that no manager is at: then another socket is tried.
func startScope(ctx context.Context, c *conversation, name string, properties []property) error {
	err := c.startScope(name, properties)
	if err == nil || errors.Is(err, errUnitExists) || len(c.others) == 0 {
		return err
	}
	other, otherErr := dial(ctx, c.others)
	if otherErr != nil {
		return err
	}
	defer other.close()
	return startScope(ctx, other, name, properties)
}

// startScope is a call of StartTransientUnit and the end of the job that it makes
// (org.freedesktop.systemd1(5)).
func (c *conversation) startScope(name string, properties []property) error {
	type auxiliary struct {
		Name       string
		Properties []property
	}
	err := c.send(c.call(managerName, managerObject, managerFace, "StartTransientUnit", name, "fail", properties, []auxiliary{}))
	if err != nil {
		return fmt.Errorf("starting the scope %q: %w", name, err)
	}
	var job dbus.ObjectPath
	results := map[dbus.ObjectPath]string{} // of jobs, whichever is told first
	for {
		if result, ended := results[job]; ended {
			if result != "done" {
				return fmt.Errorf("starting the scope %q: the service manager says %v", name, result)
			}
			return nil
		}
		m, err := c.receive(jobRemoved)
		if err == nil && m.Type == dbus.TypeSignal {
			var number uint32
			var path dbus.ObjectPath
			var unit, result string
			if dbus.Store(m.Body, &number, &path, &unit, &result) == nil {
				results[path] = result
			}
			continue
		}
		if err == nil {
			err = dbus.Store(m.Body, &job)
		}
		var refused dbus.Error
		if errors.As(err, &refused) && refused.Name == managerName+".UnitExists" {
			return errUnitExists
		}
		if err != nil {
			return fmt.Errorf("starting the scope %q: %w", name, err)
		}
	}
}

// setProperties is a call of SetUnitProperties (org.freedesktop.systemd1(5)), for as long as the unit is there.
func (c *conversation) setProperties(unit string, properties []property) error {
	err := c.send(c.call(managerName, managerObject, managerFace, "SetUnitProperties", unit, true, properties))
	for err == nil {
		var m *dbus.Message
		if m, err = c.receive(jobRemoved); err == nil && m.Type != dbus.TypeSignal {
			return nil
		}
	}
	return fmt.Errorf("changing the scope %q: %w", unit, err)
}
