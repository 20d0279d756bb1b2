package run

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// noVolumes refuses a volume, which skiff does not have yet.
func noVolumes(what string) error {
	return &userns.HostError{What: what + ": volumes are not supported yet", Hint: "name a folder of the host instead: -v /path/on/host:/path/in/container"}
}

var propagations = []string{"private", "rprivate", "shared", "rshared", "slave", "rslave"}

// parseVolume reads -v SOURCE:TARGET[:OPTIONS] by Docker's rules.
func parseVolume(spec string) (store.Mount, error) {
	bad := func(why string) (store.Mount, error) {
		return store.Mount{}, fmt.Errorf("parsing volume %q: %s", spec, why)
	}
	parts := strings.Split(spec, ":")
	if slices.Contains(parts, "") {
		return bad("empty section between colons")
	}
	m := store.Mount{Type: "bind", CreateSource: true, Propagation: "rprivate"}
	switch len(parts) {
	case 1:
		if !path.IsAbs(spec) {
			return bad("mount path must be absolute")
		}
		return store.Mount{}, noVolumes(fmt.Sprintf("making an anonymous volume for %q", spec))
	case 2:
		if !path.IsAbs(parts[1]) && parseMode(&store.Mount{}, parts[1]) == nil {
			return bad("destination expected before the options")
		}
	case 3:
		if err := parseMode(&m, parts[2]); err != nil {
			return bad(err.Error())
		}
	default:
		return bad("too many colons")
	}
	if err := setTarget(&m, parts[1]); err != nil {
		return bad(err.Error())
	}
	source := parts[0]
	if !filepath.IsAbs(source) && !strings.HasPrefix(source, ".") {
		if strings.ContainsAny(source, `/\`) {
			return bad(fmt.Sprintf("%q is no valid name of a volume; if it is meant as a path, use an absolute one", source))
		}
		return store.Mount{}, noVolumes(fmt.Sprintf("mounting volume %q", source))
	}
	absolute, err := filepath.Abs(source)
	if err != nil {
		return bad(err.Error())
	}
	m.Source = absolute
	return m, nil
}

// parseMode reads the options after a volume's second colon.
func parseMode(m *store.Mount, mode string) error {
	seen := map[string]bool{}
	once := func(kind, option string) error {
		if seen[kind] {
			return fmt.Errorf("option %q contradicts another or stands twice", option)
		}
		seen[kind] = true
		return nil
	}
	for _, option := range strings.Split(mode, ",") {
		kind := ""
		switch {
		case option == "ro" || option == "rw":
			kind, m.ReadOnly = "access", option == "ro"
		case option == "z" || option == "Z":
			// Labels are set where SELinux is on; elsewhere there is nothing to do, as in Docker.
			kind = "label"
			if selinuxEnabled() {
				return &userns.HostError{What: fmt.Sprintf("option %q: relabelling files for SELinux is not supported", option), Hint: "chcon -Rt container_file_t on the source does it once and for all"}
			}
		case slices.Contains(propagations, option):
			kind, m.Propagation = "propagation", option
		case option == "consistent" || option == "cached" || option == "delegated":
			kind = "consistency" // means something on macOS only, as Docker says
		default:
			return fmt.Errorf("invalid option %q", option)
		}
		if err := once(kind, option); err != nil {
			return err
		}
	}
	return nil
}

func selinuxEnabled() bool {
	_, err := os.Lstat("/sys/fs/selinux/enforce")
	return err == nil
}

// setTarget checks and cleans a mount's place in the container.
func setTarget(m *store.Mount, target string) error {
	if !path.IsAbs(target) {
		return fmt.Errorf("mount path %q must be absolute", target)
	}
	if m.Target = path.Clean(target); m.Target == "/" {
		return errors.New("destination can't be '/'")
	}
	return nil
}

// errEmpty: an option was given and says nothing.
var errEmpty = errors.New("it is empty")

// parseMount reads --mount key=value,… by Docker's rules.
func parseMount(spec string) (store.Mount, error) {
	m, err := parseMountFields(spec)
	if err != nil {
		var host *userns.HostError
		if errors.As(err, &host) {
			return m, err
		}
		return m, fmt.Errorf("parsing mount %q: %w", spec, err)
	}
	return m, nil
}

func parseMountFields(spec string) (store.Mount, error) {
	m := store.Mount{Type: "volume"}
	fields, err := csv.NewReader(strings.NewReader(spec)).Read()
	if errors.Is(err, io.EOF) {
		return m, errEmpty
	}
	if err != nil {
		return m, err
	}
	target := ""
	only := map[string]string{} // which type an option that was given needs
	for _, field := range fields {
		key, value, given := strings.Cut(field, "=")
		key = strings.ToLower(key)
		if !given && key != "readonly" && key != "ro" && key != "bind-nonrecursive" {
			return m, fmt.Errorf("field %q must be a key=value pair", field)
		}
		switch key {
		case "type":
			m.Type = strings.ToLower(value)
		case "source", "src":
			m.Source = value
		case "target", "dst", "destination":
			target = value
		default:
			if err := mountOption(&m, only, key, value, given); err != nil {
				return m, err
			}
		}
	}
	if target == "" {
		return m, errors.New("target is required")
	}
	for option, kind := range only {
		if m.Type != kind && m.Type != "volume" {
			return m, fmt.Errorf("option %q goes with type=%s only", option, kind)
		}
	}
	if err := setTarget(&m, target); err != nil {
		return m, err
	}
	return m, checkMountType(&m)
}

func mountOption(m *store.Mount, only map[string]string, key, value string, given bool) (err error) {
	truth := func() (bool, error) {
		if !given {
			return true, nil
		}
		b, err := strconv.ParseBool(value)
		if err != nil {
			return false, fmt.Errorf("invalid value for %s: %q", key, value)
		}
		return b, nil
	}
	if kind, _, found := strings.Cut(key, "-"); found && (kind == "bind" || kind == "tmpfs") {
		only[key] = kind
	}
	switch key {
	case "readonly", "ro":
		m.ReadOnly, err = truth()
	case "bind-propagation":
		if !slices.Contains(propagations, value) {
			return fmt.Errorf("invalid propagation %q", value)
		}
		m.Propagation = value
	case "bind-nonrecursive":
		m.NonRecursive, err = truth()
	case "bind-recursive":
		switch value {
		case "enabled", "readonly": // read-only mounts are so with all below them
		case "disabled":
			m.NonRecursive = true
		default:
			return fmt.Errorf("invalid value for bind-recursive: %q (must be \"enabled\", \"disabled\" or \"readonly\")", value)
		}
	case "consistency":
		only[key] = "bind"
		if value != "consistent" && value != "cached" && value != "delegated" && value != "default" {
			return fmt.Errorf("invalid value for consistency: %q", value)
		}
	case "tmpfs-size":
		if m.TmpfsSize, err = parseBytes(value); err != nil || m.TmpfsSize < 0 {
			return fmt.Errorf("invalid value for tmpfs-size: %q", value)
		}
	case "tmpfs-mode":
		mode, err := strconv.ParseUint(value, 8, 12)
		if err != nil {
			return fmt.Errorf("invalid value for tmpfs-mode: %q", value)
		}
		m.TmpfsMode = uint32(mode)
	case "volume-nocopy", "volume-label", "volume-driver", "volume-opt", "volume-subpath":
		only[key] = "volume"
	default:
		return fmt.Errorf("unexpected key %q", key)
	}
	return err
}

// checkMountType checks the source as the type wants it.
func checkMountType(m *store.Mount) error {
	switch m.Type {
	case "bind":
		if m.Source == "" {
			return errors.New("source is required for type=bind")
		}
		if m.Source == "." || strings.HasPrefix(m.Source, "./") || m.Source == ".." || strings.HasPrefix(m.Source, "../") {
			absolute, err := filepath.Abs(m.Source)
			if err != nil {
				return err
			}
			m.Source = absolute
		}
		if !filepath.IsAbs(m.Source) {
			return fmt.Errorf("source %q must be an absolute path", m.Source)
		}
		m.Source = filepath.Clean(m.Source)
		if _, err := os.Stat(m.Source); err != nil {
			return fmt.Errorf("bind source path does not exist: %s", m.Source)
		}
		if m.Propagation == "" {
			m.Propagation = "rprivate"
		}
		return nil
	case "tmpfs":
		if m.Source != "" {
			return errors.New("a tmpfs has no source")
		}
		return nil
	case "volume":
		return noVolumes(fmt.Sprintf("mounting volume %q", m.Source))
	}
	return fmt.Errorf("mount type %q is not supported: use bind or tmpfs", m.Type)
}
