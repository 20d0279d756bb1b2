package run

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/skiff-containers/skiff/registry"
	"github.com/skiff-containers/skiff/run/hello"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// began is when this process started, but for the millisecond of the Go runtime.
var began = time.Now()

// helloRegistry names no machine: its one image is made from this program.
const helloRegistry = "skiff.local"

// helloLabel says from which binary the image was made.
const helloLabel = "skiff.local/binary"

// selfPath is the running program, also where its file was replaced or deleted.
const selfPath = "/proc/self/exe"

// isHello tells whether a reference means the image made on the spot.
func isHello(text string) bool {
	ref, err := registry.ParseReference(text)
	return err == nil && ref.Registry == helloRegistry
}

// hello returns the image skiff.local/hello, making it where it is missing or was
// made from another binary.
func (e *Engine) hello(ctx context.Context) (*store.Image, error) {
	ref := store.Ref{Registry: helloRegistry, Repository: "hello", Tag: "latest"}
	binary, err := binaryID()
	if err != nil {
		return nil, err
	}
	old, err := e.Store.Image(ref)
	if err == nil && old.Config.Labels[helloLabel] == binary {
		return old, nil
	}
	if err != nil && !errors.Is(err, store.ErrNoImage) {
		return nil, err
	}
	if err := checkStatic(); err != nil {
		return nil, err
	}
	img, err := registry.MakeImage(ctx, e.Store, ref, []registry.LocalFile{
		{Name: "skiff", Mode: 0o755, Source: selfPath},
		{Name: "etc/passwd", Mode: 0o644, Data: []byte("root:x:0:0:root:/root:/skiff\nnobody:x:65534:65534:nobody:/:/skiff\n")},
		{Name: "etc/group", Mode: 0o644, Data: []byte("root:x:0:\nnogroup:x:65534:\n")},
		{Name: "tmp", Mode: os.ModeDir | os.ModeSticky | 0o777},
	}, store.ImageConfig{
		Entrypoint: []string{"/skiff"},
		Cmd:        []string{"hello"},
		Env:        []string{defaultPath},
		WorkingDir: "/",
		Labels:     map[string]string{helloLabel: binary},
	})
	if err != nil {
		return nil, err
	}
	if old != nil && old.Manifest != img.Manifest {
		// Its name has gone to the new one; what its containers need stays.
		_, _ = e.Store.RemoveImage(old, false)
	}
	return img, nil
}

// helloEnv lets the container say how long its start took.
func helloEnv() string {
	return hello.StartedVariable + "=" + strconv.FormatInt(began.UnixNano(), 10)
}

// binaryID tells this binary from others without reading it.
func binaryID() (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(selfPath, &st); err != nil {
		return "", fmt.Errorf("inspecting skiff's own program: %w", err)
	}
	return fmt.Sprintf("%d-%d-%d-%d", st.Dev, st.Ino, st.Size, st.Mtim.Nano()), nil
}

// checkStatic refuses a program that needs a loader and libraries, which an image
// of one file does not have.
func checkStatic() error {
	f, err := elf.Open(selfPath)
	if err != nil {
		return fmt.Errorf("inspecting skiff's own program: %w", err)
	}
	defer f.Close()
	for _, segment := range f.Progs {
		if segment.Type == elf.PT_INTERP {
			return &userns.HostError{
				What: "making image \"skiff.local/hello\": this skiff is linked dynamically and cannot run in an image of its own",
				Hint: "build it with CGO_ENABLED=0, or with make build",
			}
		}
	}
	return nil
}
