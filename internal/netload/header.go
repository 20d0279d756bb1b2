package netload

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"
)

const (
	headerSize = 16
	magic      = "NLD1"
	// flagCloses: the server closes first.
	flagCloses = 1
)

// The modes of a TCP connection.
const (
	modeSink   = 's' // the client sends a stream and half-closes, the server answers with a report
	modeSource = 'r' // the server sends a stream for so many milliseconds
	modeEcho   = 'e' // size bytes come back
	modeAsk    = 'q' // the same again and again, until the client closes
	modeWho    = 'w' // the server tells the client's address
)

type header struct {
	mode, flags byte
	span        time.Duration
	size        int
}

func (h header) append(to []byte) []byte {
	to = append(to, magic...)
	to = append(to, h.mode, h.flags, 0, 0)
	to = binary.BigEndian.AppendUint32(to, uint32(h.span/time.Millisecond))
	return binary.BigEndian.AppendUint32(to, uint32(h.size))
}

var errHeader = errors.New("no header of this protocol")

func readHeader(c net.Conn) (h header, err error) {
	var raw [headerSize]byte
	if _, err := io.ReadFull(c, raw[:]); err != nil {
		return h, err
	}
	if string(raw[:4]) != magic {
		return h, errHeader
	}
	h = header{mode: raw[4], flags: raw[5], span: time.Duration(binary.BigEndian.Uint32(raw[8:])) * time.Millisecond, size: int(binary.BigEndian.Uint32(raw[12:]))}
	if h.span > time.Hour || h.size > 1<<20 {
		return h, errHeader
	}
	return h, nil
}
