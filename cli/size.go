package cli

import (
	"context"
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/docker/go-units"
	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
)

// containerSize is what a container wrote, and what it has with its image: "2B (virtual 21.5MB)".
func containerSize(ctx context.Context, e *run.Engine, r *store.Record) string {
	written, virtual := containerSizes(ctx, e, r)
	text := units.HumanSizeWithPrecision(float64(written), 3)
	if virtual > 0 {
		text += " (virtual " + units.HumanSizeWithPrecision(float64(virtual), 3) + ")"
	}
	return text
}

// containerSizes are the bytes of the container's own layer, and of the whole root
// file system; 0 where the image has gone. Folders that only a subordinate id may
// read are not counted.
func containerSizes(ctx context.Context, e *run.Engine, r *store.Record) (written, virtual int64) {
	c, err := e.Store.Find(r.ID)
	if err != nil {
		return 0, 0
	}
	written = folderSize(filepath.Join(c.Dir, "upper"))
	image, err := e.InspectImage(ctx, r.Image.ID)
	if err != nil {
		return written, 0
	}
	return written, written + image.Size
}

// folderSize sums the sizes of the regular files below dir, one with several names once.
func folderSize(dir string) (bytes int64) {
	type inode struct{ device, number uint64 }
	seen := map[inode]bool{}
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Nlink > 1 {
			key := inode{uint64(st.Dev), st.Ino}
			if seen[key] {
				return nil
			}
			seen[key] = true
		}
		bytes += info.Size()
		return nil
	})
	return bytes
}
