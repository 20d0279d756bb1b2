package archive

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// generators are the file systems whose files the kernel writes while they are read:
// stat(2) tells 0 or a page of them, whatever they say.
var generators = []int64{
	unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC,
	unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.SECURITYFS_MAGIC,
}

// maxGenerated bounds what of such a file is kept in memory until its size is known.
const maxGenerated = 16 << 20

// generated tells whether the size of a file says nothing of its content.
func (p *packer) generated(f *os.File, st *unix.Stat_t) bool {
	is, known := p.kernels[st.Dev]
	if !known {
		var fs unix.Statfs_t
		is = unix.Fstatfs(int(f.Fd()), &fs) == nil && slices.Contains(generators, int64(fs.Type))
		p.kernels[st.Dev] = is
	}
	return is
}

// unsized packs a file whose size is known when it has been read.
func (p *packer) unsized(f io.Reader, h *tar.Header) error {
	var content bytes.Buffer
	n, err := io.CopyBuffer(struct{ io.Writer }{&content}, io.LimitReader(f, maxGenerated+1), p.buffer)
	switch {
	case err != nil:
		return fmt.Errorf("packing %q: %w", h.Name, err)
	case n > maxGenerated:
		return fmt.Errorf("packing %q: the kernel writes more than %d MiB while it is read", h.Name, maxGenerated>>20)
	}
	h.Size = n
	if err := p.write(h); err != nil {
		return err
	}
	if _, err := p.tar.Write(content.Bytes()); err != nil {
		return fmt.Errorf("packing %q: %w", h.Name, err)
	}
	return nil
}
