package ociruntime

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A device of the host goes into the container with its address, under another name.
func TestNetDevices(t *testing.T) {
	if !InitialRoot() {
		t.Skip("only root may give devices of the host away")
	}
	c := newContainer(t, "cat /sys/class/net/inside/ifindex >/dev/null && ip -o -4 addr show inside")
	must(t, os.Symlink("busybox", c.path("bin/ip")))
	name := fmt.Sprintf("sk%d", os.Getpid())
	makeDevice(t, name)
	c.spec.Linux.NetDevices = map[string]specs.LinuxNetDevice{name: {Name: "inside"}}
	c.create()
	if _, err := net.InterfaceByName(name); err == nil {
		t.Error("the device is still the host's")
	}
	must(t, c.runtime.Start("test"))
	c.await(specs.StateStopped)
	if !strings.Contains(c.printed(), "inet 10.231.7.1/24") {
		t.Errorf("printed %q", c.printed())
	}
}

// makeDevice makes one with an address.
func makeDevice(t *testing.T, name string) {
	t.Helper()
	info := attribute(unix.IFLA_INFO_KIND, []byte("veth\x00"))
	body := append(make([]byte, unix.SizeofIfInfomsg), attribute(unix.IFLA_IFNAME, append([]byte(name), 0))...)
	body = append(body, attribute(unix.IFLA_LINKINFO, info)...)
	if err := request(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, body); err != nil {
		t.Skip("this kernel makes no veth device: ", err)
	}
	device, err := net.InterfaceByName(name)
	must(t, err)
	t.Cleanup(func() {
		if left, err := net.InterfaceByName(name); err == nil {
			gone := make([]byte, unix.SizeofIfInfomsg)
			binary.NativeEndian.PutUint32(gone[4:], uint32(left.Index))
			request(unix.RTM_DELLINK, 0, gone)
		}
	})
	address := make([]byte, unix.SizeofIfAddrmsg)
	address[0], address[1] = unix.AF_INET, 24
	binary.NativeEndian.PutUint32(address[4:], uint32(device.Index))
	ip := []byte{10, 231, 7, 1}
	address = append(append(address, attribute(unix.IFA_LOCAL, ip)...), attribute(unix.IFA_ADDRESS, ip)...)
	must(t, request(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, address))
}
