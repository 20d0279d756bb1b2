package ociruntime

import (
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// ownPipes gives the pipes among a process's streams to its user, as it could not open
// /dev/stdout otherwise: the caller has made them for it. Files and devices are
// not touched: they may be anybody's, /dev/null among them. pid lives in the container.
func (c *Container) ownPipes(stdio [3]*os.File, p *specs.Process, pid int) error {
	if p.Terminal {
		return nil
	}
	uid, mapped := p.User.UID, true
	if hasUserNamespace(c.spec) {
		mapping, err := userns.Of(pid)
		if err != nil {
			return err
		}
		uid, mapped = outside(mapping.UIDs, uid)
	}
	for _, f := range stdio {
		var st unix.Stat_t
		if !mapped || f == nil || unix.Fstat(int(f.Fd()), &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO || st.Uid == uid {
			continue
		}
		// Where that is not allowed, the process has its streams all the same.
		unix.Fchown(int(f.Fd()), int(uid), -1)
	}
	return nil
}

// outside is what an id of a user namespace is called here.
func outside(maps []userns.IDMap, id uint32) (uint32, bool) {
	for _, m := range maps {
		if id >= m.Inside && id-m.Inside < m.Size {
			return m.Outside + (id - m.Inside), true
		}
	}
	return 0, false
}
