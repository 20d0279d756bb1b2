package run

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/skiff-containers/skiff/archive"
)

// Export writes a container's root file system as a tar archive: without volumes, or
// anything else that is mounted in it.
func (e *Engine) Export(ctx context.Context, ref string, w io.Writer) (err error) {
	defer e.tidy()()
	c, r, err := e.find(ref)
	if err != nil {
		return err
	}
	f, err := e.openFiles(ctx, c, r, rootOnly)
	if err != nil {
		return fmt.Errorf("exporting container %q: %w", r.Name, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	packed, err := f.Pack(archive.PackOptions{Path: "/", Name: ".", OneSystem: true, Inside: true}, w)
	if err != nil {
		return fmt.Errorf("exporting container %q: %w", r.Name, err)
	}
	if packed.Sockets > 0 {
		e.say(fmt.Sprintf("%d sockets left out", packed.Sockets))
	}
	e.emit(r, "export")
	return nil
}
