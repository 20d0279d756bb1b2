package overlay

import (
	"bytes"
	"net/netip"
	"os"
	"testing"

	"github.com/skiff-containers/skiff/internal/netlab"
)

func TestMain(m *testing.M) { os.Exit(netlab.Main(m)) }

// What is wrapped is read again, and nothing that is no datagram upsets the reader.
func FuzzDatagram(f *testing.F) {
	whole := append(make([]byte, headers), "\x08\x00\x00\x00\x00\x10\x00\x00frame"...)
	wrap(whole, netip.AddrFrom4([4]byte{169, 254, 2, 9}), 4789)
	f.Add(whole)
	f.Add(whole[:30])
	f.Add([]byte{0x45})
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := parseDatagram(b); err == nil {
			vniOf(d.payload)
		}
		if len(b) > maxPacket-headers {
			return
		}
		packet := append(make([]byte, headers), b...)
		wrap(packet, netip.AddrFrom4([4]byte{169, 254, 2, 9}), 4789)
		d, err := parseDatagram(packet)
		if err != nil || d.to != Local || d.port != 4789 || !bytes.Equal(d.payload, b) {
			t.Errorf("wrapped %x, read %+v, %v", b, d, err)
		}
	})
}
