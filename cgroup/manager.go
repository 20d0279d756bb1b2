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
	address string // of D-Bus
	bus     bool   // a message bus, where one says hello first; else the manager itself
}

// managers are the sockets of the service manager that is this user's, the manager's
// own before that of the bus: it saves a hop and needs no bus. None where it does not run.
func managers() []socket {
	if os.Geteuid() == 0 {
		return existing(socket{"unix:path=/run/systemd/private", false}, socket{"unix:path=/run/dbus/system_bus_socket", true})
	}
	folder := runtimeDir()
	found := existing(socket{"unix:path=" + folder + "/systemd/private", false})
	if len(found) == 0 && unix.Access(folder+"/systemd", unix.F_OK) != nil {
		return nil // a bus without a manager
	}
	return append(found, existing(socket{"unix:path=" + folder + "/bus", true})...)
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
		if unix.Access(strings.TrimPrefix(s.address, "unix:path="), unix.W_OK) == nil {
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
)

// dial connects to the first manager that answers.
func dial(ctx context.Context, all []socket) (*dbus.Conn, error) {
	var failed []error
	for _, s := range all {
		conn, err := dialOne(ctx, s)
		if err == nil {
			return conn, nil
		}
		failed = append(failed, err)
	}
	return nil, fmt.Errorf("connecting to the service manager: %w", errors.Join(failed...))
}

func dialOne(ctx context.Context, s socket) (*dbus.Conn, error) {
	conn, err := dbus.Dial(s.address, dbus.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	err = conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))})
	if err == nil && s.bus {
		if err = conn.Hello(); err == nil {
			err = conn.AddMatchSignal(dbus.WithMatchInterface(managerFace), dbus.WithMatchMember("JobRemoved"))
		}
		if err == nil {
			err = conn.Object(managerName, managerObject).CallWithContext(ctx, managerFace+".Subscribe", 0).Err
		}
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
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
// is there (org.freedesktop.systemd1(5), StartTransientUnit).
func startScope(ctx context.Context, conn *dbus.Conn, name string, properties []property) error {
	signals := make(chan *dbus.Signal, 64)
	conn.Signal(signals)
	defer conn.RemoveSignal(signals)
	type auxiliary struct {
		Name       string
		Properties []property
	}
	var job dbus.ObjectPath
	call := conn.Object(managerName, managerObject).CallWithContext(ctx, managerFace+".StartTransientUnit", 0,
		name, "fail", properties, []auxiliary{})
	if err := call.Store(&job); err != nil {
		var answer dbus.Error
		if errors.As(err, &answer) && answer.Name == managerName+".UnitExists" {
			return errUnitExists
		}
		return fmt.Errorf("starting the scope %q: %w", name, err)
	}
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("starting the scope %q: %w", name, ctx.Err())
		case signal, open := <-signals:
			if !open {
				return fmt.Errorf("starting the scope %q: the service manager hung up", name)
			}
			if signal.Name != managerFace+".JobRemoved" || len(signal.Body) < 4 || signal.Body[1] != job {
				continue
			}
			if result := signal.Body[3]; result != "done" {
				return fmt.Errorf("starting the scope %q: the service manager says %v", name, result)
			}
			return nil
		}
	}
}
