package registry

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxZstdWindow bounds the memory that a zstd layer may ask for; --ultra -22 needs it.
const maxZstdWindow = 128 << 20

// ErrXZ is an archive that this program cannot decompress.
var ErrXZ = errors.New("decompressing: archives of xz are not supported")

// Decompress reads an archive that may be compressed, as `docker cp` takes it: by gzip,
// bzip2 or zstd.
func Decompress(r io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(r, 128<<10)
	if head, err := buffered.Peek(3); err == nil && string(head) == "BZh" {
		return io.NopCloser(bzip2.NewReader(buffered)), nil
	}
	return decompress(buffered)
}

// decompress reads a layer's tar archive out of its blob. What it is compressed
// with its first bytes tell, as everywhere: media types are often wrong.
func decompress(r io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(r, 128<<10)
	head, err := buffered.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("decompressing: %w", err)
		}
		return z, nil
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}), len(head) == 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:], []byte{0x2a, 0x4d, 0x18}):
		z, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, fmt.Errorf("decompressing: %w", err)
		}
		return z.IOReadCloser(), nil
	case bytes.HasPrefix(head, []byte("BZh")):
		return nil, errors.New("decompressing: layers of bzip2 are not supported")
	case bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X'}):
		return nil, ErrXZ
	}
	return io.NopCloser(buffered), nil
}

// readAhead reads r in a goroutine of its own, so that the network and hashing go
// on while what came is decompressed. Close waits for the goroutine: r is not used
// any more when it returns.
type readAhead struct {
	full  chan []byte
	empty chan []byte
	stop  chan struct{}
	err   error // set before full is closed
	have  []byte
	whole []byte
}

func newReadAhead(r io.Reader) *readAhead {
	const buffers, size = 4, 256 << 10
	a := &readAhead{full: make(chan []byte, buffers), empty: make(chan []byte, buffers), stop: make(chan struct{})}
	for range buffers {
		a.empty <- make([]byte, size)
	}
	go func() {
		defer close(a.full)
		for {
			select {
			case <-a.stop:
				return
			case buffer := <-a.empty:
				n, err := r.Read(buffer)
				if n > 0 {
					a.full <- buffer[:n]
				} else if err == nil {
					a.empty <- buffer
				}
				if err != nil {
					a.err = err
					return
				}
			}
		}
	}()
	return a
}

func (a *readAhead) Read(p []byte) (int, error) {
	if len(a.have) == 0 {
		if a.whole != nil {
			a.empty <- a.whole
			a.whole = nil
		}
		buffer, ok := <-a.full
		if !ok {
			if a.err == nil {
				return 0, io.ErrClosedPipe
			}
			return 0, a.err
		}
		a.have, a.whole = buffer, buffer[:cap(buffer)]
	}
	n := copy(p, a.have)
	a.have = a.have[n:]
	return n, nil
}

// Close stops reading.
func (a *readAhead) Close() {
	close(a.stop)
	for range a.full {
	}
}
