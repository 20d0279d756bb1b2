package run

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// Info describes the store, what it holds and what this host offers. What the
// host lacks is told in Warnings.
func (e *Engine) Info(ctx context.Context) (*Info, error) {
	i := &Info{
		DockerRootDir: e.Store.Root, LoggingDriver: "json-file", OSType: "linux",
		NCPU: runtime.NumCPU(), ServerVersion: e.Version().Version, Rootless: os.Geteuid() != 0,
		OperatingSystem: operatingSystem(), Swarm: Swarm{LocalNodeState: "inactive"},
	}
	if err := e.countContainers(ctx, i); err != nil {
		return nil, err
	}
	images, err := e.Store.Images()
	if err != nil {
		return nil, err
	}
	i.Images = len(images)
	driver, err := e.Store.DriverInfo()
	if err != nil {
		return nil, err
	}
	i.Driver = driver.Driver
	if driver.Overlay != "" {
		i.Warnings = append(i.Warnings, "the kernel's overlay cannot be used: "+driver.Overlay)
	}
	i.host()
	if err := i.ids(); err != nil {
		return nil, err
	}
	i.SecurityOptions = securityOptions(i.Rootless)
	i.Runtimes, i.DefaultRuntime = runtimes(), cmp.Or(e.Runtime, OwnRuntime)
	i.limits()
	return i, nil
}

func (e *Engine) countContainers(ctx context.Context, i *Info) error {
	rows, err := e.List(ctx, ListOptions{All: true})
	if err != nil {
		return err
	}
	for _, row := range rows {
		i.Containers++
		switch {
		case row.State.Status == store.Paused:
			i.ContainersPaused++
		case row.State.Alive():
			i.ContainersRunning++
		default:
			i.ContainersStopped++
		}
	}
	return nil
}

// host fills what uname(2) and sysinfo(2) tell.
func (i *Info) host() {
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		i.KernelVersion, i.Name = unix.ByteSliceToString(name.Release[:]), unix.ByteSliceToString(name.Nodename[:])
		i.Architecture = unix.ByteSliceToString(name.Machine[:])
	}
	var memory unix.Sysinfo_t
	if unix.Sysinfo(&memory) == nil {
		i.MemTotal = int64(uint64(memory.Totalram) * uint64(memory.Unit))
	}
	if id, err := os.ReadFile("/etc/machine-id"); err == nil {
		i.ID = strings.TrimSpace(string(id))
	}
	folder := os.Getenv("DOCKER_CONFIG")
	if home, err := os.UserHomeDir(); folder == "" && err == nil {
		folder = filepath.Join(home, ".docker")
	}
	if file := filepath.Join(folder, "config.json"); exists(file) {
		i.ConfigFile = file
	}
}

// ids fills the ids that containers get.
func (i *Info) ids() error {
	mapping, err := userns.Current()
	if err != nil {
		return err
	}
	for _, m := range mapping.UIDs {
		i.UIDMap = append(i.UIDMap, IDMap{int64(m.Inside), int64(m.Outside), int64(m.Size)})
	}
	for _, m := range mapping.GIDs {
		i.GIDMap = append(i.GIDMap, IDMap{int64(m.Inside), int64(m.Outside), int64(m.Size)})
	}
	if path, err := exec.LookPath("newuidmap"); err == nil {
		i.NewuidmapPath = path
	}
	if mapping.Single && mapping.Why != nil {
		warning := "containers have a single user id: " + mapping.Why.Error()
		if hint := hintOf(mapping.Why); hint != "" {
			warning += "; mend it with: " + hint
		}
		i.Warnings = append(i.Warnings, warning)
	}
	return nil
}

func securityOptions(rootless bool) []string {
	all := []string{"name=seccomp,profile=builtin", "name=userns"}
	if rootless {
		all = append(all, "name=rootless")
	}
	return append(all, "name=cgroupns")
}

// operatingSystem is PRETTY_NAME of os-release(5).
func operatingSystem() string {
	for _, path := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if value, ok := strings.CutPrefix(lines.Text(), "PRETTY_NAME="); ok {
				return strings.Trim(value, `"'`)
			}
		}
	}
	return fmt.Sprintf("%s/%s", runtime.GOOS, runtime.GOARCH)
}
