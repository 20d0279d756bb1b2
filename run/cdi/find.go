package cdi

import (
	"fmt"
	"slices"
	"strings"

	"github.com/skiff-containers/skiff/userns"
)

// Edits are what is to be done to a container's config.
type Edits struct {
	Env    []string // KEY=VALUE
	Nodes  []Node
	Mounts []Mount
	Hooks  []Hook
	GIDs   []uint32
}

// IsName tells whether text names a device by CDI: VENDOR/CLASS=NAME.
func IsName(text string) bool {
	kind, name, ok := strings.Cut(text, "=")
	vendor, class, ok2 := strings.Cut(kind, "/")
	return ok && ok2 && isWord(vendor, "_-.") && isWord(class, "_-") && isDeviceName(name)
}

func isDeviceName(name string) bool { return isWord(name, "_-.:") }

// isWord is the specification's rule for names: letters and digits, and further
// characters within.
func isWord(text, within string) bool {
	alphanumeric := func(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' }
	if text == "" || !alphanumeric(text[0]) || !alphanumeric(text[len(text)-1]) {
		return false
	}
	for i := range len(text) {
		if !alphanumeric(text[i]) && !strings.ContainsRune(within, rune(text[i])) {
			return false
		}
	}
	return true
}

// Find looks up devices by their names in the CDI files of folders, the later of which
// count more, and joins what is to be done for them. Each file's own edits come once.
func Find(folders, names []string) (*Edits, error) {
	found := make([]*device, len(names))
	from := make([]*file, len(names))
	var known []string
	for _, folder := range slices.Backward(folders) {
		files, err := readFolder(folder)
		if err != nil {
			return nil, err
		}
		here := make([]*file, len(names)) // who has it in this folder
		for _, f := range files {
			for d := range f.Devices {
				full := f.Kind + "=" + f.Devices[d].Name
				known = append(known, full)
				for i, name := range names {
					if name != full || from[i] != nil && here[i] == nil {
						continue
					}
					if here[i] != nil {
						return nil, fmt.Errorf("CDI device %q stands in two files of %s", name, folder)
					}
					here[i], from[i], found[i] = f, f, &f.Devices[d]
				}
			}
		}
	}
	joined, seen := new(Edits), map[*file]bool{}
	for i, name := range names {
		if found[i] == nil {
			return nil, unresolved(name, folders, known)
		}
		if !seen[from[i]] {
			seen[from[i]] = true
			if err := joined.add(&from[i].Edits); err != nil {
				return nil, fmt.Errorf("CDI kind %q: %w", from[i].Kind, err)
			}
		}
		if err := joined.add(&found[i].Edits); err != nil {
			return nil, fmt.Errorf("CDI device %q: %w", name, err)
		}
	}
	return joined, nil
}

func unresolved(name string, folders, known []string) error {
	hint := "the vendor's tool writes the file, such as: sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
	if len(known) > 0 {
		slices.Sort(known)
		hint = "there are " + strings.Join(slices.Compact(known), ", ")
	}
	return &userns.HostError{What: fmt.Sprintf("unresolvable CDI device %q: no file in %s has it", name, strings.Join(folders, " or ")), Hint: hint}
}

// add appends edits; what cannot be done is refused.
func (e *Edits) add(more *edits) error {
	switch {
	case len(more.IntelRdt) > 0:
		return fmt.Errorf("it asks for intelRdt, which is root's to divide")
	case len(more.NetDevices) > 0:
		return fmt.Errorf("it asks for network devices of the host, which are root's to move")
	}
	for _, h := range more.Hooks {
		switch h.Name {
		case "createRuntime", "createContainer", "startContainer", "prestart":
		default:
			return fmt.Errorf("it asks for a hook %q, which is not supported", h.Name)
		}
	}
	for _, n := range more.Nodes {
		if n.Path == "" {
			return fmt.Errorf("it has a device node without a path")
		}
	}
	for _, m := range more.Mounts {
		if m.HostPath == "" || m.ContainerPath == "" {
			return fmt.Errorf("it has a mount without a path")
		}
	}
	e.Env = append(e.Env, more.Env...)
	e.Nodes = append(e.Nodes, more.Nodes...)
	e.Mounts = append(e.Mounts, more.Mounts...)
	e.Hooks = append(e.Hooks, more.Hooks...)
	e.GIDs = append(e.GIDs, more.GIDs...)
	return nil
}
