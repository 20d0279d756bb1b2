package ociruntime

import (
	"errors"
	"os"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/run/seccomp"
)

// filter is the container's system call filter, as it was compiled at create.
func (c *Container) filter() (*seccomp.Filter, error) {
	data, err := os.ReadFile(c.path(fileSeccomp))
	if errors.Is(err, os.ErrNotExist) {
		return new(seccomp.Filter), nil
	}
	if err != nil {
		return nil, err
	}
	spec, err := c.config()
	if err != nil {
		return nil, err
	}
	flags, notify, err := seccomp.Installation(spec.Linux.Seccomp)
	return &seccomp.Filter{Program: data, Flags: flags, Notify: notify}, err
}

// socketActivation adds what sd_listen_fds(3) reads, where the runtime's caller has
// passed sockets on. They are counted among those to preserve.
func socketActivation(p *specs.Process, preserve int) {
	if n := ListenDescriptors(); n > 0 && n <= preserve {
		p.Env = append(p.Env, "LISTEN_FDS="+strconv.Itoa(n), "LISTEN_PID=1")
	}
}

// ListenDescriptors is how many sockets the caller passed for the container (sd_listen_fds(3)).
func ListenDescriptors() int {
	if pid, err := strconv.Atoi(os.Getenv("LISTEN_PID")); err != nil || pid != os.Getpid() {
		return 0
	}
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || n < 0 {
		return 0
	}
	return n
}
