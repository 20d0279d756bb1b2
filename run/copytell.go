package run

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/skiff-containers/skiff/archive"
	"github.com/skiff-containers/skiff/registry/unpack"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// failed says what could not be copied whole, and for what users stumble over why.
func (c *copying) failed(err error) error {
	o := c.options
	err = fmt.Errorf("copying %s to %s: %w", o.From.text(), o.To.text(), err)
	refused := errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)
	for _, end := range [...]CopyEnd{o.From, o.To} {
		first, _, _ := strings.Cut(strings.TrimLeft(path.Clean("/"+end.Path), "/"), "/")
		switch {
		case end.Container != "" && (first == "proc" || first == "sys"):
			return &userns.HostError{What: err.Error(), Hint: "what is in /proc and /sys is the kernel's, and read best by skiff exec " + end.Container + " cat"}
		case end.Container == "" && end.Stream == nil && refused:
			return &userns.HostError{What: err.Error(), Hint: "look at its rights: ls -ld " + refusedOf(err, end.Path)}
		}
	}
	return err
}

// refusedOf is which file an error speaks of, as far as it tells a whole path; else what
// was to be copied.
func refusedOf(err error, copied string) string {
	if of := (*fs.PathError)(nil); errors.As(err, &of) && path.IsAbs(of.Path) {
		return of.Path
	}
	return copied
}

// text is how the user called an end.
func (e CopyEnd) text() string {
	switch {
	case e.Stream != nil:
		return "-"
	case e.Container != "":
		return e.Container + ":" + e.Path
	}
	return e.Path
}

// tellTmpfs says that a tmpfs of a container that does not run has nothing, and keeps
// nothing for its next start.
func (c *copying) tellTmpfs() {
	for end, name := range map[*copyEnd]string{c.from: c.options.From.Path, c.to: c.options.To.Path} {
		if f, ok := end.files.(*files); !ok || f.lock == nil {
			continue
		}
		for _, target := range tmpfsOf(end.record) {
			if name := path.Clean("/" + name); name == target || strings.HasPrefix(name, target+"/") {
				c.engine.say(fmt.Sprintf("%s of container %s is a tmpfs: it is there while the container runs, and begins empty", target, end.name))
			}
		}
	}
}

// tmpfsOf are the places of a container's own tmpfs mounts.
func tmpfsOf(r *store.Record) (targets []string) {
	for target := range r.HostConfig.Tmpfs {
		targets = append(targets, path.Clean(target))
	}
	for _, m := range r.HostConfig.Mounts {
		if m.Type == "tmpfs" {
			targets = append(targets, path.Clean(m.Target))
		}
	}
	return targets
}

// tellPacked says what could not be read as it was.
func (c *copying) tellPacked(p *archive.Packed) {
	if p.Sockets > 0 {
		c.engine.say(fmt.Sprintf("%d sockets left out", p.Sockets))
	}
	if p.Short > 0 {
		c.engine.say(fmt.Sprintf("%d files became shorter while they were read, and were filled up with zeros", p.Short))
	}
}

// tellUnpacked says what could not be made as it was.
func (c *copying) tellUnpacked(r *unpack.Result) {
	if r.Devices > 0 {
		c.engine.say(fmt.Sprintf("%d device nodes left out, which this user may not make", r.Devices))
	}
	if r.Attributes > 0 {
		c.engine.say(fmt.Sprintf("%d extended attributes left out, which this user may not set", r.Attributes))
	}
	if r.Squashed > 0 {
		c.engine.say(fmt.Sprintf("%d files kept the owner who made them, as this user may not give them away", r.Squashed))
	}
}
