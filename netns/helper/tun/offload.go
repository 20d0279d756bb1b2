package tun

import "encoding/binary"

// offloadLen is the length of struct virtio_net_hdr (linux/virtio_net.h).
const offloadLen = 10

// Kinds of Offload.GSO: the packet is several segments behind one header.
const (
	GSONone = 0
	GSOTCP4 = 1
	GSOTCP6 = 4
	GSOUDP  = 5 // since Linux 6.2
)

// Offload says what of a packet is not done yet: struct virtio_net_hdr, in the
// machine's byte order. The zero value: nothing, all checksums are there.
type Offload struct {
	// NeedsChecksum: the checksum at ChecksumStart+ChecksumOffset covers the pseudo
	// header only (not inverted), what is from ChecksumStart on is still to be added.
	// A packet from a container has not been damaged since, so there is nothing to verify.
	NeedsChecksum  bool
	GSO            uint8
	HeaderLen      uint16 // of IP and transport together, where GSO is set
	SegmentSize    uint16 // payload of each segment but the last, where GSO is set
	ChecksumStart  uint16
	ChecksumOffset uint16
}

func (o *Offload) decode(b []byte) {
	_ = b[offloadLen-1]
	*o = Offload{
		NeedsChecksum:  b[0]&1 != 0,  // VIRTIO_NET_HDR_F_NEEDS_CSUM
		GSO:            b[1] &^ 0x80, // VIRTIO_NET_HDR_GSO_ECN
		HeaderLen:      binary.NativeEndian.Uint16(b[2:]),
		SegmentSize:    binary.NativeEndian.Uint16(b[4:]),
		ChecksumStart:  binary.NativeEndian.Uint16(b[6:]),
		ChecksumOffset: binary.NativeEndian.Uint16(b[8:]),
	}
}

func (o *Offload) encode(b []byte) {
	_ = b[offloadLen-1]
	b[0] = 0
	if o.NeedsChecksum {
		b[0] = 1
	}
	b[1] = o.GSO
	binary.NativeEndian.PutUint16(b[2:], o.HeaderLen)
	binary.NativeEndian.PutUint16(b[4:], o.SegmentSize)
	binary.NativeEndian.PutUint16(b[6:], o.ChecksumStart)
	binary.NativeEndian.PutUint16(b[8:], o.ChecksumOffset)
}
