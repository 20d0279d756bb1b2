package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// comparison is everything that was prepared.
type comparison struct {
	options
	base       string
	contenders []*contender
}

// prepare serves the image, has skiff and podman pull it, and unpacks it for the
// others. Tools that are not installed are left out, and that is said.
func prepare(o options, base string) (*comparison, error) {
	b := &comparison{options: o, base: base}
	program, err := filepath.Abs(o.skiff)
	if err != nil {
		return b, err
	}
	image, stop, err := serve(o.serve, "busybox")
	if err != nil {
		return b, err
	}
	defer stop()
	skiff, err := newSkiff(base, program, image)
	if err != nil {
		return b, err
	}
	b.contenders = append(b.contenders, skiff)
	if _, err := skiff.run([]string{program, "pull", "-q", image}); err != nil {
		return b, err
	}
	rootfs := filepath.Join(base, "rootfs")
	if err := unpack(rootfs); err != nil {
		return b, err
	}
	for _, tool := range []struct {
		program string
		add     func() (*contender, error)
	}{
		{"podman", func() (*contender, error) { return newPodman(base, image) }},
		{"crun", func() (*contender, error) { return newCrun(base, rootfs) }},
		{"bwrap", func() (*contender, error) { return newBubblewrap(base, rootfs) }},
	} {
		if _, err := exec.LookPath(tool.program); err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s is not installed and left out\n", tool.program)
			continue
		}
		c, err := tool.add()
		if err != nil {
			return b, err
		}
		b.contenders = append(b.contenders, c)
		if c.name == "podman" {
			if _, err := c.run([]string{"podman", "pull", "-q", "--tls-verify=false", image}); err != nil {
				return b, err
			}
		}
	}
	for _, c := range b.contenders {
		text, _, err := c.output(c.cases["version"].argv)
		if err != nil {
			return b, err
		}
		c.version, _, _ = strings.Cut(text, "\n")
	}
	return b, nil
}

// serve starts the registry with one image in it and returns its name.
func serve(program, name string) (image string, stop func(), err error) {
	cmd := exec.Command(program, name+":latest")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	end, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	addr, _, _ := strings.Cut(line, " ")
	stop = func() { end.Close(); cmd.Wait() }
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("starting the registry: %w", err)
	}
	return addr + "/" + name, stop, nil
}

// unpack makes a root file system with busybox for the tools that have no images.
func unpack(rootfs string) error {
	for _, folder := range []string{"bin", "dev", "etc", "proc", "sys", "tmp", "root"} {
		if err := os.MkdirAll(filepath.Join(rootfs, folder), 0o755); err != nil {
			return err
		}
	}
	program, err := exec.LookPath("busybox")
	if err != nil {
		return err
	}
	return errors.Join(
		exec.Command("cp", program, filepath.Join(rootfs, "bin", "busybox")).Run(),
		exec.Command(program, "--install", "-s", filepath.Join(rootfs, "bin")).Run(),
		os.Remove(filepath.Join(rootfs, "bin", "true")), os.Symlink("busybox", filepath.Join(rootfs, "bin", "true")),
		os.Remove(filepath.Join(rootfs, "bin", "sleep")), os.Symlink("busybox", filepath.Join(rootfs, "bin", "sleep")),
	)
}

// close ends what the tools left running.
func (b *comparison) close() (err error) {
	for _, c := range b.contenders {
		if c.after != nil {
			err = errors.Join(err, c.after())
		}
	}
	return err
}
