package run

import (
	"fmt"
	"strings"

	"github.com/skiff-containers/skiff/store"
)

// mountsFrom reads --volumes-from NAME[:ro|rw]: the mounts of another container, but
// for places that taken has already. A tmpfs is a new one.
func mountsFrom(s *store.Store, h *store.HostConfig, specs []string, taken map[string]bool) error {
	take := func(target string) bool {
		had := taken[target]
		taken[target] = true
		return !had
	}
	for _, spec := range specs {
		ref, mode, given := strings.Cut(spec, ":")
		if given && mode != "ro" && mode != "rw" {
			return fmt.Errorf("parsing --volumes-from %q: the mode is ro or rw", spec)
		}
		c, err := s.Find(ref)
		if err != nil {
			return fmt.Errorf("mounting volumes from %q: %w", ref, err)
		}
		r, err := c.Record()
		if err != nil {
			return err
		}
		h.VolumesFrom = append(h.VolumesFrom, spec)
		for _, m := range r.HostConfig.Mounts {
			if take(m.Target) {
				m.ReadOnly, m.Inherited = m.ReadOnly || mode == "ro", true
				h.Mounts = append(h.Mounts, m)
			}
		}
		for target, options := range r.HostConfig.Tmpfs {
			if take(target) {
				setTmpfs(h, target, options)
			}
		}
	}
	return nil
}

func setTmpfs(h *store.HostConfig, target, options string) {
	if h.Tmpfs == nil {
		h.Tmpfs = map[string]string{}
	}
	h.Tmpfs[target] = options
}
