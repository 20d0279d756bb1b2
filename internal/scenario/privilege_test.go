package scenario

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Root of a container who may administer networks administers its own: of the
// namespace in which all networks lie it has an id, that of its interface's other end,
// and no rights there.
func TestNetAdminEndsAtItsOwnNetwork(t *testing.T) {
	m := newMachine(t)
	m.run("plain", nil, "serve")
	m.run("admin", []string{"--cap-add", "NET_ADMIN"}, "serve")
	m.run("privileged", []string{"--privileged"}, "serve")
	// It manages what it shares with another, though: that is what it was given the right for.
	m.skiff("run", "-d", "--name", "beside", "--cap-add", "NET_ADMIN", "--network", "container:plain", "-v", self+":/tool:ro", imageRef, "sleep", "1000")
	for name, options := range map[string][]string{"admin": nil, "privileged": nil, "beside": nil, "plain": {"--privileged"}} {
		exec := append(append([]string{"exec"}, options...), name, "/tool", tool, "beyond")
		out, err := m.try(exec...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !strings.Contains(out, "own: set") || !strings.Contains(out, "beyond: permission denied") {
			t.Errorf("%s: %s", name, out)
		}
	}
}

// beyond changes an interface of the container's own, and asks for those on the other
// side of eth0.
func beyond() error {
	id, index, err := otherEnd("eth0")
	if err != nil {
		return err
	}
	if _, err := rtnetlink(unix.RTM_NEWLINK, linkMessage(index, unix.IFLA_TXQLEN, 777)); err != nil {
		return fmt.Errorf("changing the container's own interface: %w", err)
	}
	fmt.Println("own: set")
	links, err := rtnetlink(unix.RTM_GETLINK|dump, linkMessage(0, unix.IFLA_TARGET_NETNSID, id))
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		fmt.Println("beyond: permission denied")
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Println("beyond:", len(links), "interfaces")
	return nil
}

// otherEnd returns the id of the namespace in which an interface's peer lies, and the
// interface's number.
func otherEnd(name string) (id, index uint32, err error) {
	links, err := rtnetlink(unix.RTM_GETLINK|dump, linkMessage(0, 0, 0))
	if err != nil {
		return 0, 0, err
	}
	for _, link := range links {
		found, known := false, false
		for body := link[unix.SizeofIfInfomsg:]; len(body) >= unix.SizeofRtAttr; {
			size, kind := int(binary.NativeEndian.Uint16(body)), binary.NativeEndian.Uint16(body[2:])
			if size < unix.SizeofRtAttr || size > len(body) {
				break
			}
			value := body[unix.SizeofRtAttr:size]
			switch kind {
			case unix.IFLA_IFNAME:
				found = strings.TrimRight(string(value), "\x00") == name
			case unix.IFLA_LINK_NETNSID:
				id, known = binary.NativeEndian.Uint32(value), true
			}
			body = body[min((size+3)&^3, len(body)):]
		}
		if found && known {
			return id, binary.NativeEndian.Uint32(link[4:]), nil
		}
	}
	return 0, 0, fmt.Errorf("%s has no other end in another namespace", name)
}

// linkMessage is a struct ifinfomsg with one attribute of 32 bits, where that is not 0
// (rtnetlink(7)).
func linkMessage(index uint32, attribute uint16, value uint32) []byte {
	b := make([]byte, unix.SizeofIfInfomsg, unix.SizeofIfInfomsg+8)
	binary.NativeEndian.PutUint32(b[4:], index)
	if attribute != 0 {
		b = binary.NativeEndian.AppendUint16(b, 8)
		b = binary.NativeEndian.AppendUint16(b, attribute)
		b = binary.NativeEndian.AppendUint32(b, value)
	}
	return b
}

// dump asks for all there are; it is no bit of a message's kind.
const dump = 1 << 16

// rtnetlink sends one message and returns the bodies of the answers.
func rtnetlink(kind int, body []byte) (answers [][]byte, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	flags := uint16(unix.NLM_F_REQUEST | unix.NLM_F_ACK)
	if kind&dump != 0 {
		flags = unix.NLM_F_REQUEST | unix.NLM_F_DUMP
	}
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	b = binary.NativeEndian.AppendUint16(b, uint16(kind))
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = append(append(b, make([]byte, 8)...), body...)
	if err := unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	buffer := make([]byte, 256<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buffer, 0)
		if err != nil {
			return nil, err
		}
		for rest := buffer[:n]; len(rest) >= unix.SizeofNlMsghdr; {
			size := int(binary.NativeEndian.Uint32(rest))
			message := rest[unix.SizeofNlMsghdr:size]
			switch binary.NativeEndian.Uint16(rest[4:]) {
			case unix.NLMSG_ERROR:
				if code := int32(binary.NativeEndian.Uint32(message)); code != 0 {
					return nil, syscall.Errno(-code)
				}
				return answers, nil
			case unix.NLMSG_DONE:
				if code := int32(binary.NativeEndian.Uint32(message)); code < 0 {
					return nil, syscall.Errno(-code)
				}
				return answers, nil
			}
			answers = append(answers, append([]byte(nil), message...))
			rest = rest[min((size+3)&^3, len(rest)):]
		}
	}
}
