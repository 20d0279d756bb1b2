package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// DriverVariable is the environment variable that overrides [Store.Driver].
const DriverVariable = "SKIFF_DRIVER"

// DriverInfo is what is known of the drivers on this host.
type DriverInfo struct {
	Driver string // the one to use
	// Overlay and Fuse say why those two cannot be used; empty where they can, or
	// where a better one can.
	Overlay string `json:",omitempty"`
	Fuse    string `json:",omitempty"`

	Boot   string // of this boot
	Device uint64 // and this file system
}

// Driver returns the storage driver for new containers: $SKIFF_DRIVER, else the best
// that a real mount has shown to work here.
func (s *Store) Driver() (string, error) {
	info, err := s.DriverInfo()
	if err != nil {
		return "", err
	}
	return info.Driver, nil
}

// DriverInfo is [Store.Driver] with the reasons. The mount is tried once for each
// boot and file system; the file `driver` keeps the outcome.
func (s *Store) DriverInfo() (*DriverInfo, error) {
	switch wanted := os.Getenv(DriverVariable); wanted {
	case "":
	case Overlay, FuseOverlay, Copy:
		return &DriverInfo{Driver: wanted}, nil
	default:
		return nil, fmt.Errorf("%s=%s: the storage drivers are overlay, fuse-overlayfs and copy", DriverVariable, wanted)
	}
	var st unix.Stat_t
	if err := unix.Stat(s.Root, &st); err != nil {
		return nil, fmt.Errorf("inspecting store %q: %w", s.Root, err)
	}
	if info := s.knownDriver(st.Dev); info != nil {
		return info, nil
	}
	lock, err := s.Lock("driver")
	if err != nil {
		return nil, err
	}
	defer lock.Unlock()
	if info := s.knownDriver(st.Dev); info != nil {
		return info, nil
	}
	info, err := s.probeDrivers()
	if err != nil {
		return nil, fmt.Errorf("probing storage drivers: %w", err)
	}
	info.Boot, info.Device = bootID(), st.Dev
	return info, WriteJSON(s.path("driver"), info, Fleeting)
}

// secondBest is how long a driver other than the kernel's is used before it is
// asked again whether a better one has come.
const secondBest = 10 * time.Minute

func (s *Store) knownDriver(device uint64) *DriverInfo {
	var info DriverInfo
	if ReadJSON(s.path("driver"), &info) != nil || info.Boot != bootID() || info.Device != device {
		return nil
	}
	if info.Driver != Overlay && older(s.path("driver"), secondBest) {
		return nil
	}
	return &info
}

// probeStage tries drivers as root of the user namespace in a mount namespace of
// its own. Its descriptor-free input is argv[1], a folder; it prints a DriverInfo.
const probeStage = "skiff-probe"

func (s *Store) probeDrivers() (*DriverInfo, error) {
	folder := s.path("tmp", "probe-"+NewID()[:16])
	lock, err := s.stage(folder)
	if err != nil {
		return nil, err
	}
	defer lock.Unlock()
	defer s.RemoveTree(folder)
	out, err := s.runStage([]string{probeStage, folder}, unix.CLONE_NEWNS)
	if err != nil {
		return nil, err
	}
	var info DriverInfo
	if err := json.Unmarshal(out, &info); err != nil {
		return nil, fmt.Errorf("understanding its stage: %w", err)
	}
	return &info, nil
}

// probe is the stage.
func probe() int {
	if len(os.Args) != 2 {
		return complain(errors.New("one folder is wanted"))
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return complain(fmt.Errorf("separating mounts: %w", err))
	}
	info := DriverInfo{Driver: Copy}
	if err := tryDriver(Overlay, filepath.Join(os.Args[1], Overlay)); err == nil {
		info.Driver = Overlay
	} else if info.Overlay = err.Error(); fuseUsable() != nil {
		info.Fuse = fuseUsable().Error()
	} else if err := tryDriver(FuseOverlay, filepath.Join(os.Args[1], FuseOverlay)); err == nil {
		info.Driver = FuseOverlay
	} else {
		info.Fuse = err.Error()
	}
	if err := json.NewEncoder(os.Stdout).Encode(info); err != nil {
		return complain(err)
	}
	return 0
}

// tryDriver mounts a stack of two layers in a store of its own at root, and does
// what containers do: write, hide, rename over, and make a folder anew.
func tryDriver(driver, root string) (err error) {
	lower, upper := "sha256:"+strings.Repeat("0", 64), "sha256:"+strings.Repeat("1", 64)
	st := Stack{Driver: driver, Store: root, Layers: []string{lower, upper}, Dir: filepath.Join(root, "container")}
	old, fresh := LayerTree(root, lower), LayerTree(root, upper)
	for _, folder := range []string{filepath.Join(old, "folder"), fresh, filepath.Join(st.Dir, "upper"), filepath.Join(st.Dir, "work"), filepath.Join(st.Dir, "merged")} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	for _, file := range []string{filepath.Join(old, "hidden"), filepath.Join(old, "folder", "inside"), filepath.Join(fresh, "replaced")} {
		if err := os.WriteFile(file, []byte("old"), 0o644); err != nil {
			return err
		}
	}
	m, err := st.Mount()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Unmount()) }()
	at := func(elem string) string { return filepath.Join(m.Path, elem) }
	if err := errors.Join(
		os.WriteFile(at("new"), []byte("new"), 0o644),
		os.Rename(at("new"), at("replaced")),
		os.Remove(at("hidden")),
		os.RemoveAll(at("folder")),
		os.Mkdir(at("folder"), 0o755),
	); err != nil {
		return err
	}
	if data, err := os.ReadFile(at("replaced")); err != nil || string(data) != "new" {
		return fmt.Errorf("a file renamed over another has the content %q: %w", data, err)
	}
	if _, err := os.Lstat(at("hidden")); !errors.Is(err, os.ErrNotExist) {
		return errors.New("a removed file is still seen")
	}
	if _, err := os.Lstat(at("folder/inside")); !errors.Is(err, os.ErrNotExist) {
		return errors.New("a folder made anew shows its old content")
	}
	return nil
}
