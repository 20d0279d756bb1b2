package cdi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// DefaultFolders are where CDI files are looked for; the later ones count more.
var DefaultFolders = [...]string{"/etc/cdi", "/var/run/cdi"}

// versions are those of the specification that this package knows.
var versions = []string{"0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"}

// maxFile bounds a CDI file; those of a machine with many GPUs have some hundred kilobytes.
const maxFile = 8 << 20

// file is a CDI file, with its fields as the specification names them.
type file struct {
	Version     string            `json:"cdiVersion"`
	Kind        string            `json:"kind"`
	Annotations map[string]string `json:"annotations"`
	Devices     []device          `json:"devices"`
	Edits       edits             `json:"containerEdits"`
}

type device struct {
	Name        string            `json:"name"`
	Annotations map[string]string `json:"annotations"`
	Edits       edits             `json:"containerEdits"`
}

type edits struct {
	Env        []string        `json:"env"`
	Nodes      []Node          `json:"deviceNodes"`
	NetDevices json.RawMessage `json:"netDevices"`
	Mounts     []Mount         `json:"mounts"`
	Hooks      []Hook          `json:"hooks"`
	GIDs       []uint32        `json:"additionalGids"`
	IntelRdt   json.RawMessage `json:"intelRdt"`
}

// Node is a device of the host's that the container gets.
type Node struct {
	Path        string  `json:"path"`     // in the container
	HostPath    string  `json:"hostPath"` // the same, where empty
	Type        string  `json:"type"`
	Major       int64   `json:"major"`
	Minor       int64   `json:"minor"`
	FileMode    *uint32 `json:"fileMode"`
	Permissions string  `json:"permissions"`
	UID         *uint32 `json:"uid"`
	GID         *uint32 `json:"gid"`
}

// Mount is a mount of the host's files.
type Mount struct {
	HostPath      string   `json:"hostPath"`
	ContainerPath string   `json:"containerPath"`
	Options       []string `json:"options"`
	Type          string   `json:"type"`
}

// Hook is a program that the runtime runs (runtime-spec, "POSIX-platform Hooks").
type Hook struct {
	Name    string   `json:"hookName"`
	Path    string   `json:"path"`
	Args    []string `json:"args"`
	Env     []string `json:"env"`
	Timeout *int     `json:"timeout"`
}

// readFolder reads the CDI files of a folder, which need not exist.
func readFolder(folder string) ([]*file, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading CDI files: %w", err)
	}
	var all []*file
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext != ".json" && ext != ".yaml" {
			continue
		}
		f, err := readFile(filepath.Join(folder, e.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

func readFile(path string) (*file, error) {
	opened, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading a CDI file: %w", err)
	}
	defer opened.Close()
	data, err := io.ReadAll(io.LimitReader(opened, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("larger than %d MiB", maxFile>>20)
	}
	if err == nil && filepath.Ext(path) == ".yaml" {
		data, err = yaml.YAMLToJSON(data)
	}
	f := new(file)
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(data))
		d.DisallowUnknownFields() // what is not understood must not be left undone
		err = d.Decode(f)
	}
	if err == nil {
		err = f.check()
	}
	if err != nil {
		return nil, fmt.Errorf("reading CDI file %q: %w", path, err)
	}
	return f, nil
}

func (f *file) check() error {
	if !slices.Contains(versions, f.Version) {
		return fmt.Errorf("version %q of CDI is not known, %s is the newest", f.Version, versions[len(versions)-1])
	}
	if vendor, class, ok := strings.Cut(f.Kind, "/"); !ok || !isWord(vendor, "_-.") || !isWord(class, "_-") {
		return fmt.Errorf("kind %q is not VENDOR/CLASS", f.Kind)
	}
	for _, d := range f.Devices {
		if !isDeviceName(d.Name) {
			return fmt.Errorf("device name %q is not valid", d.Name)
		}
	}
	return nil
}
