package ociruntime

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// moveDevices moves network devices of the host into the container's network namespace,
// with their addresses (runtime-spec, config-linux.md, "Network Devices"). They go back
// to the host when that namespace ends, if they are physical ones.
func (c *Container) moveDevices(pid int) error {
	devices := c.spec.Linux.NetDevices
	if len(devices) == 0 {
		return nil
	}
	path, err := networkOf(c.spec, pid)
	if err != nil {
		return err
	}
	target, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening the container's network namespace: %w", err)
	}
	defer target.Close()
	for _, name := range slices.Sorted(maps.Keys(devices)) {
		inside := devices[name].Name
		if inside == "" {
			inside = name
		}
		if err := moveDevice(name, inside, target); err != nil {
			return fmt.Errorf("moving the network device %q: %w", name, err)
		}
	}
	return nil
}

// networkOf is where the container's network namespace can be opened.
func networkOf(s *specs.Spec, pid int) (string, error) {
	for _, n := range s.Linux.Namespaces {
		if n.Type != specs.NetworkNamespace {
			continue
		}
		if n.Path != "" {
			return n.Path, nil
		}
		return "/proc/" + strconv.Itoa(pid) + "/ns/net", nil
	}
	return "", errors.New("the config has network devices and no network namespace for them")
}

func moveDevice(name, inside string, target *os.File) error {
	device, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	addresses, err := addressesOf(device.Index)
	if err != nil {
		return err
	}
	// Its addresses and the flag "up" are lost on the way.
	if err := changeLink(device.Index, unix.IFF_UP, 0); err != nil {
		return err
	}
	move := append(attribute(unix.IFLA_NET_NS_FD, native32(uint32(target.Fd()))), attribute(unix.IFLA_IFNAME, append([]byte(inside), 0))...)
	if err := changeLink(device.Index, 0, 0, move...); err != nil {
		return err
	}
	runtime.KeepAlive(target)
	return within(target, func() error {
		// A name with %d was completed by the kernel, and the index may be another one too.
		moved, err := arrived(inside, device)
		if err != nil {
			return err
		}
		for _, a := range addresses {
			binary.NativeEndian.PutUint32(a[4:], uint32(moved)) // ifaddrmsg.ifa_index
			if err := request(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, a); err != nil {
				return fmt.Errorf("giving it its address: %w", err)
			}
		}
		return changeLink(moved, unix.IFF_UP, unix.IFF_UP)
	})
}

// arrived finds a device after the move: by its name, or by its hardware address where
// the kernel has chosen the name.
func arrived(name string, before *net.Interface) (int, error) {
	if found, err := net.InterfaceByName(name); err == nil {
		return found.Index, nil
	}
	all, err := net.Interfaces()
	if err != nil {
		return 0, err
	}
	for _, i := range all {
		if i.HardwareAddr.String() == before.HardwareAddr.String() && i.Flags&net.FlagLoopback == 0 {
			return i.Index, nil
		}
	}
	return 0, fmt.Errorf("%q is not found after the move", name)
}

// within runs work on a thread in another network namespace, which ends with it.
func within(space *os.File, work func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is thrown away
		err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			err = work()
		}
		done <- err
	}()
	return <-done
}

// addressesOf are the lasting addresses of a device with global scope, as bodies of
// RTM_NEWADDR (rtnetlink(7)).
func addressesOf(index int) ([][]byte, error) {
	data, err := syscall.NetlinkRIB(unix.RTM_GETADDR, unix.AF_UNSPEC)
	if err != nil {
		return nil, err
	}
	messages, err := syscall.ParseNetlinkMessage(data)
	if err != nil {
		return nil, err
	}
	var all [][]byte
	for _, m := range messages {
		const header = unix.SizeofIfAddrmsg
		if m.Header.Type != unix.RTM_NEWADDR || len(m.Data) < header || binary.NativeEndian.Uint32(m.Data[4:]) != uint32(index) {
			continue
		}
		if scope, flags := m.Data[3], m.Data[2]; scope != unix.RT_SCOPE_UNIVERSE || flags&unix.IFA_F_PERMANENT == 0 {
			continue
		}
		attributes, err := syscall.ParseNetlinkRouteAttr(&m)
		if err != nil {
			return nil, err
		}
		body := slices.Clone(m.Data[:header])
		for _, a := range attributes {
			switch a.Attr.Type {
			case unix.IFA_ADDRESS, unix.IFA_LOCAL, unix.IFA_BROADCAST, unix.IFA_FLAGS:
				body = append(body, attribute(a.Attr.Type, a.Value)...)
			}
		}
		all = append(all, body)
	}
	return all, nil
}

// changeLink sets flags of a device, and attributes.
func changeLink(index int, mask, flags uint32, attributes ...byte) error {
	body := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(body[4:], uint32(index))
	binary.NativeEndian.PutUint32(body[8:], flags)
	binary.NativeEndian.PutUint32(body[12:], mask)
	return request(unix.RTM_NEWLINK, 0, append(body, attributes...))
}

// request asks the kernel for one change and waits for its answer (netlink(7)).
func request(kind, flags uint16, body []byte) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	message := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	message = binary.NativeEndian.AppendUint16(message, kind)
	message = binary.NativeEndian.AppendUint16(message, flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	message = binary.NativeEndian.AppendUint64(message, 1) // sequence number and port
	if err := unix.Sendto(fd, append(message, body...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 8192)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return err
	}
	if n < unix.SizeofNlMsghdr+4 {
		return unix.EPROTO
	}
	if errno := -int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); errno != 0 {
		return unix.Errno(errno)
	}
	return nil
}

// attribute is a struct rtattr with its value, padded.
func attribute(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofRtAttr+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	for len(b)%unix.RTA_ALIGNTO != 0 {
		b = append(b, 0)
	}
	return b
}

func native32(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }
