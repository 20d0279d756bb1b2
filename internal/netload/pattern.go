package netload

import (
	"bytes"
	"math/rand/v2"
)

const (
	chunk      = 256 << 10 // what one call writes or reads
	blockSize  = 1 << 20
	sampleSize = 32
)

// block is what streams consist of, again and again, and its beginning once more, so
// that a chunk from any place is one slice.
var block = makeBlock()

func makeBlock() []byte {
	data := make([]byte, blockSize+chunk)
	rand.NewChaCha8([32]byte{'n', 'e', 't'}).Read(data[:blockSize])
	copy(data[blockSize:], data)
	return data
}

// at is n bytes of a stream from a position on; n is at most chunk.
func at(position int64, n int) []byte {
	from := position % blockSize
	return block[from : from+int64(n)]
}

// matches compares a chunk that was read with the stream: all of its two ends, which
// finds bytes that are lost, doubled or of another stream, at no cost to speed.
func matches(position int64, got []byte) bool {
	want := at(position, len(got))
	if len(got) <= 2*sampleSize {
		return bytes.Equal(got, want)
	}
	end := len(got) - sampleSize
	return bytes.Equal(got[:sampleSize], want[:sampleSize]) && bytes.Equal(got[end:], want[end:])
}
