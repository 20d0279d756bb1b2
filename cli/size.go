package cli

import (
	"context"

	"github.com/docker/go-units"
	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
)

// measure fills in what the container wrote, and what it has with its image:
// "2B (virtual 21.5MB)".
func (r *containerRow) measure(ctx context.Context, e *run.Engine) error {
	written, virtual, err := containerSizes(ctx, e, r.summary.Record)
	r.written, r.Size = written, units.HumanSizeWithPrecision(float64(written), 3)
	if virtual > 0 {
		r.Size += " (virtual " + units.HumanSizeWithPrecision(float64(virtual), 3) + ")"
	}
	return err
}

// containerSizes are the bytes of the container's own layer, and of the whole root
// file system; 0 where the image has gone.
func containerSizes(ctx context.Context, e *run.Engine, r *store.Record) (written, virtual int64, err error) {
	c, err := e.Store.Find(r.ID)
	if err != nil {
		return 0, 0, nil // it went meanwhile
	}
	written, err = e.Store.Written(c)
	if err != nil || r.Image.ID == "" {
		return written, 0, err
	}
	image, notFound := e.InspectImage(ctx, r.Image.ID)
	if notFound != nil {
		return written, 0, nil
	}
	return written, written + image.Size, nil
}
