package driver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// slirpSocket is where slirp4netns is told of ports, beside the container's other files.
const slirpSocket = "slirp4netns"

// slirpInterface is what the interface is called that slirp4netns makes.
const slirpInterface = "tap0"

func startSlirp(c Config) (*Running, error) {
	path, err := find(Slirp, "slirp4netns")
	if err != nil {
		return nil, err
	}
	args, err := slirpArgs(c.Options)
	if err != nil {
		return nil, err
	}
	ready, done, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("connecting the container by slirp4netns: %w", err)
	}
	os.Remove(filepath.Join(c.Dir, slirpSocket))
	const first = 3 // what ExtraFiles begin with
	args = append(args, "--ready-fd", strconv.Itoa(first), "--api-socket", slirpSocket, "--netns-type=path",
		"/proc/self/fd/"+strconv.Itoa(first+1), slirpInterface)
	cmd := exec.Command(path, args...)
	cmd.Args[0] = Slirp
	cmd.Dir = c.Dir // sockets' paths have room for 108 bytes only
	cmd.ExtraFiles = []*os.File{done, c.Container}
	r, err := start(cmd, ready, done)
	if err != nil {
		return nil, err
	}
	r.socket = filepath.Join(c.Dir, slirpSocket)
	if r.Ports, err = forward(c); err != nil {
		r.Stop()
		return nil, err
	}
	return r, nil
}

// slirpArgs are the arguments for options, which are podman's.
func slirpArgs(options map[string]string) ([]string, error) {
	args := []string{"--configure", "--enable-sandbox", "--enable-seccomp"}
	mtu, loopback := "65520", false
	for name, value := range options {
		switch name {
		case "mtu":
			mtu = value
		case "cidr":
			if _, err := netip.ParsePrefix(value); err != nil {
				return nil, fmt.Errorf("connecting the container by slirp4netns: cidr %q is no subnet", value)
			}
			args = append(args, "--cidr", value)
		case "outbound_addr", "outbound_addr6":
			args = append(args, "--"+strings.Replace(name, "_", "-", 1), value)
		case "allow_host_loopback", "enable_ipv6":
			on, err := strconv.ParseBool(value)
			if err != nil {
				return nil, fmt.Errorf("connecting the container by slirp4netns: %s is %q: it may be true or false", name, value)
			}
			if name == "allow_host_loopback" {
				loopback = on
			} else if on {
				args = append(args, "--enable-ipv6")
			}
		default:
			return nil, fmt.Errorf("connecting the container by slirp4netns: there is no option %q: there are allow_host_loopback, cidr, enable_ipv6, mtu, outbound_addr and outbound_addr6", name)
		}
	}
	if !loopback {
		args = append(args, "--disable-host-loopback")
	}
	return append(args, "--mtu", mtu), nil
}

// forward has the ports published, each by the first of its numbers that is free.
func forward(c Config) ([]store.Port, error) {
	if len(c.Ports) == 0 {
		return nil, nil
	}
	folder, err := os.Open(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("publishing ports: %w", err)
	}
	defer folder.Close()
	address := fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), slirpSocket)
	ports, err := choose(c.Ports)
	if err != nil {
		return nil, err
	}
	for _, p := range ports {
		if err := addForward(address, p); err != nil {
			return nil, fmt.Errorf("publishing port %d/%s: %w", p.HostPort, p.Protocol, err)
		}
	}
	return ports, nil
}

// addForward is a request of slirp4netns(1), "API socket".
func addForward(address string, p store.Port) error {
	type arguments struct {
		Proto     string `json:"proto"`
		HostAddr  string `json:"host_addr,omitempty"`
		HostPort  uint16 `json:"host_port"`
		GuestPort uint16 `json:"guest_port"`
	}
	request, err := json.Marshal(map[string]any{"execute": "add_hostfwd", "arguments": arguments{p.Protocol, p.HostIP, p.HostPort, p.ContainerPort}})
	if err != nil {
		return err
	}
	c, err := dialSlirp(address)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write(request); err != nil {
		return err
	}
	if err := c.CloseWrite(); err != nil {
		return err
	}
	var answer struct {
		Error *struct{ Desc string }
	}
	if err := json.NewDecoder(c).Decode(&answer); err != nil {
		return fmt.Errorf("reading the answer of slirp4netns: %w", err)
	}
	if answer.Error != nil {
		return fmt.Errorf("slirp4netns says: %s", answer.Error.Desc)
	}
	return nil
}

// dialSlirp waits for the socket: it comes a moment after slirp4netns says that it is ready.
func dialSlirp(address string) (*net.UnixConn, error) {
	for end := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: address, Net: "unix"})
		if err == nil || !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ECONNREFUSED) || time.Now().After(end) {
			return c, err
		}
	}
}
