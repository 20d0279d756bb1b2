package run

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// rootfs is the folder that --rootfs names in the image's place: FOLDER, or FOLDER:O
// to only read it and write elsewhere.
type rootfs struct {
	folder  string
	overlay bool
}

func parseRootfs(text string) (r rootfs, err error) {
	folder, option, given := strings.Cut(text, ":")
	switch {
	case given && option != "O":
		return r, fmt.Errorf("parsing root file system %q: the only option is O", text)
	case folder == "":
		return r, fmt.Errorf("parsing root file system %q: it names no folder", text)
	}
	if r.folder, err = filepath.Abs(folder); err != nil {
		return r, err
	}
	if r.folder, err = filepath.EvalSymlinks(r.folder); err != nil {
		return r, fmt.Errorf("opening the root file system: %w", err)
	}
	info, err := os.Stat(r.folder)
	if err != nil {
		return r, fmt.Errorf("opening the root file system: %w", err)
	}
	if !info.IsDir() || r.folder == "/" {
		return r, &userns.HostError{What: fmt.Sprintf("%q cannot be a root file system", r.folder), Hint: "name a folder that holds one"}
	}
	r.overlay = given
	return r, nil
}

// folderImage stands for the image that a folder has not.
func folderImage() *store.Image { return &store.Image{Platform: "linux/" + runtime.GOARCH} }

// hold keeps an image's layers until release; a folder of the host's needs none of it.
func (e *Engine) hold(img *store.Image) (release func(), err error) {
	if img.Manifest == "" {
		return func() {}, nil
	}
	lock, err := e.Store.HoldImage(img)
	if err != nil {
		return nil, err
	}
	return func() { lock.Unlock() }, nil
}

// useFolder makes the container's root a folder of the host's; it comes after the
// choice of a driver for layers.
func (p *plan) useFolder(o *CreateOptions) error {
	if !o.Rootfs {
		return nil
	}
	r, err := parseRootfs(o.Image)
	if err != nil {
		return err
	}
	p.record.Rootfs = r.folder
	if !r.overlay {
		p.record.Driver = store.Bind
	}
	return nil
}
