package tun

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// vectors keeps the memory of WriteVector's calls.
var vectors = sync.Pool{New: func() any { return new(vector) }}

type vector struct {
	head  [offloadLen]byte
	parts [][]byte
}

// WriteVector is WriteParts for a packet in any number of parts, as many as writev(2) takes.
func (d *Device) WriteVector(o Offload, parts [][]byte) error {
	v := vectors.Get().(*vector)
	defer func() {
		clear(v.parts)
		vectors.Put(v)
	}()
	o.encode(v.head[:])
	v.parts = append(append(v.parts[:0], v.head[:]), parts...)
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.fd < 0 {
		return os.ErrClosed
	}
	for {
		if _, err := unix.Writev(d.fd, v.parts); err != unix.EINTR {
			return err
		}
	}
}
