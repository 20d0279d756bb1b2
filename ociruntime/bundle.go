package ociruntime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// maxConfig bounds a config.json.
const maxConfig = 16 << 20

// LoadBundle reads the config of a bundle and checks what cannot be made whatever the host is.
func LoadBundle(bundle string) (*specs.Spec, error) {
	name := filepath.Join(bundle, "config.json")
	data, err := readBounded(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("reading the bundle: JSON specification file %s not found", name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the bundle: %w", err)
	}
	s := new(specs.Spec)
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("parsing %s: %w", name, err)
	}
	if err := checkSpec(s); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// readBounded reads an ordinary file: what has no end, or waits for a writer, is refused.
func readBounded(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no ordinary file", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err == nil && len(data) > maxConfig {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxConfig)
	}
	return data, err
}

func checkSpec(s *specs.Spec) error {
	if err := checkVersion(s.Version); err != nil {
		return err
	}
	switch {
	case s.Root == nil || s.Root.Path == "":
		return errors.New("root.path must not be empty")
	case s.Process == nil:
		return errors.New("process must be set")
	case len(s.Process.Args) == 0:
		return errors.New("process.args must not be empty")
	case s.Process.Cwd == "" || !filepath.IsAbs(s.Process.Cwd):
		return errors.New("process.cwd must be an absolute path")
	case s.Linux == nil:
		return errors.New("linux must be set: this is a runtime for Linux")
	}
	return nil
}

// checkVersion accepts what this runtime's own version of the spec can stand for:
// its major number, and the release candidates before.
func checkVersion(text string) error {
	if text == "" {
		return errors.New("ociVersion must be set")
	}
	core, _, _ := strings.Cut(text, "+")
	core, _, _ = strings.Cut(core, "-")
	parts := strings.Split(core, ".")
	if len(parts) != 3 {
		return fmt.Errorf("ociVersion %q is no version", text)
	}
	for _, p := range parts {
		if _, err := strconv.ParseUint(p, 10, 32); err != nil {
			return fmt.Errorf("ociVersion %q is no version", text)
		}
	}
	if parts[0] != strconv.Itoa(specs.VersionMajor) {
		return fmt.Errorf("ociVersion %q is not supported, %s is", text, specs.Version)
	}
	return nil
}

// rootfsOf is the absolute path of a bundle's root file system.
func rootfsOf(bundle string, s *specs.Spec) (string, error) {
	rootfs := s.Root.Path
	if !filepath.IsAbs(rootfs) {
		rootfs = filepath.Join(bundle, rootfs)
	}
	info, err := os.Stat(rootfs)
	if err != nil {
		return "", fmt.Errorf("opening the root file system: %w", err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("opening the root file system: %s is no directory", rootfs)
	}
	return filepath.EvalSymlinks(rootfs)
}
