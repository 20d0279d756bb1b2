package oci

import (
	"errors"
	"fmt"
	"io"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// Where the ids of a container are not those of its starter, its root may be nobody to
// the folders in which its root file system and its mounts' sources lie. The starter
// opens them then, as detached copies, and passes those on.

// treesPerMessage is how many descriptors go with one message; the kernel takes 253 (unix(7)).
const treesPerMessage = 64

// openTrees opens what the stage is to be passed. A starter that may not copy mounts,
// as it is no root of its own mount namespace, leaves it to the stage to find them by
// their paths.
func (c *containerConfig) openTrees() error {
	tree, err := cloneTree(unix.AT_FDCWD, c.Rootfs, true)
	if errors.Is(err, unix.EPERM) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening the root file system %q: %w", c.Rootfs, err)
	}
	c.Trees = append(c.Trees, tree)
	for i := range c.Mounts {
		m := &c.Mounts[i]
		if !m.Bind {
			continue
		}
		if tree, err = m.openSource(); err != nil {
			return fmt.Errorf("mounting %s at %q: %w", m.what(), m.Destination, err)
		}
		c.Trees = append(c.Trees, tree)
	}
	return nil
}

// close is the starter's, once the stage has its own.
func (c *config) close() {
	if c == nil || c.Container == nil {
		return
	}
	for _, fd := range c.Container.Trees {
		unix.Close(fd)
	}
}

// splitTrees parts the root file system from the sources of mounts; both are empty
// where nothing was passed.
func (c *containerConfig) splitTrees() (root, sources []int) {
	if len(c.Trees) == 0 {
		return nil, nil
	}
	return c.Trees[:1], c.Trees[1:]
}

// sendTrees passes descriptors on, each message with one byte.
func (l link) sendTrees(trees []int) error {
	for len(trees) > 0 {
		n := min(len(trees), treesPerMessage)
		err := userns.Retried(func() error {
			return unix.Sendmsg(l.fd, []byte{0}, unix.UnixRights(trees[:n]...), nil, unix.MSG_NOSIGNAL)
		})
		if err == unix.EPIPE || err == unix.ECONNRESET {
			return nil // its last word is still to be read
		}
		if err != nil {
			return fmt.Errorf("passing mounts to the stage: %w", err)
		}
		trees = trees[n:]
	}
	return nil
}

// receiveTrees is its reverse.
func (l link) receiveTrees(wanted int) (trees []int, err error) {
	rights := make([]byte, unix.CmsgSpace(4*treesPerMessage))
	var one [1]byte
	for len(trees) < wanted {
		var n, rn int
		err := userns.Retried(func() (err error) {
			n, rn, _, _, err = unix.Recvmsg(l.fd, one[:], rights, unix.MSG_CMSG_CLOEXEC)
			return err
		})
		if err == unix.ECONNRESET || err == nil && n == 0 {
			return nil, io.EOF
		}
		if err != nil {
			return nil, fmt.Errorf("receiving mounts: %w", err)
		}
		messages, err := unix.ParseSocketControlMessage(rights[:rn])
		if err != nil || len(messages) != 1 {
			return nil, fmt.Errorf("receiving mounts: no descriptors came: %w", errors.Join(err, unix.EPROTO))
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil {
			return nil, fmt.Errorf("receiving mounts: %w", err)
		}
		trees = append(trees, fds...)
	}
	return trees, nil
}
