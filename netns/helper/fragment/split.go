package fragment

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/skiff-containers/skiff/netns/helper/tun"
)

const minMTU6 = 1280 // RFC 8200, section 5

// Split cuts up an IPv6 packet that is too big for a network: head is ip's header
// alone, payload what follows it, checksum and all. Each call of write gets an IP header with fragment
// header and a part. Routers do not do that for IPv6; for IPv4 N's kernel does.
func Split(ip tun.IP, id uint32, payload []byte, mtu int, write func(head, part []byte) error) error {
	room := (max(mtu, minMTU6) - 40 - 8) &^ 7
	next := ip.Proto
	ip.Proto = unix.IPPROTO_FRAGMENT
	for at := 0; at < len(payload); at += room {
		n := min(room, len(payload)-at)
		flags := uint16(at)
		if at+n < len(payload) {
			flags |= 1
		}
		var head [48]byte
		b := append(ip.Append(head[:0], 8+n), next, 0)
		b = binary.BigEndian.AppendUint16(b, flags)
		b = binary.BigEndian.AppendUint32(b, id)
		if err := write(b, payload[at:at+n]); err != nil {
			return err
		}
	}
	return nil
}
