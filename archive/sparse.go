package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"

	"golang.org/x/sys/unix"
)

// part is a piece of a file that is no hole.
type part struct{ offset, size int64 }

// maxParts bounds what is remembered of one file: one with more pieces is packed whole.
const maxParts = 1 << 16

var errManyParts = errors.New("too many pieces")

// dataOf finds the pieces of a file (lseek(2), SEEK_DATA).
func dataOf(f *os.File, size int64) (parts []part, err error) {
	for at := int64(0); at < size; {
		start, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) || err == nil && start >= size {
			break // nothing but a hole follows
		}
		if err != nil {
			return nil, err
		}
		end, err := unix.Seek(int(f.Fd()), start, unix.SEEK_HOLE)
		if err != nil {
			return nil, err
		}
		end = min(end, size)
		if end <= start || len(parts) == maxParts {
			return nil, errManyParts
		}
		parts = append(parts, part{start, end - start})
		at = end
	}
	return parts, nil
}

// sparse packs a file with holes as GNU tar does, in the format 1.0 for PAX ("Storing
// Sparse Files" in its manual): a map of the pieces, then the pieces. archive/tar reads
// that and does not write it.
func (p *packer) sparse(f *os.File, h *tar.Header, parts []part) error {
	if err := p.tar.Flush(); err != nil {
		return fmt.Errorf("packing %q: %w", h.Name, err)
	}
	var index bytes.Buffer
	// The end of the file is an empty piece, where it does not end with one.
	if n := len(parts); n == 0 || parts[n-1].offset+parts[n-1].size < h.Size {
		parts = append(parts, part{h.Size, 0})
	}
	fmt.Fprintln(&index, len(parts))
	var data int64
	for _, piece := range parts {
		fmt.Fprintf(&index, "%d\n%d\n", piece.offset, piece.size)
		data += piece.size
	}
	index.Write(make([]byte, padding(int64(index.Len()))))
	size := int64(index.Len()) + data
	records := map[string]string{
		"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": h.Name, "GNU.sparse.realsize": strconv.FormatInt(h.Size, 10),
		"size": strconv.FormatInt(size, 10), "uid": strconv.Itoa(h.Uid), "gid": strconv.Itoa(h.Gid),
		"mtime": fmt.Sprintf("%d.%09d", h.ModTime.Unix(), h.ModTime.Nanosecond()),
	}
	if h.ModTime.Unix() < 0 {
		records["mtime"] = strconv.FormatInt(h.ModTime.Unix(), 10)
	}
	for key, value := range h.PAXRecords {
		records[key] = value
	}
	var body bytes.Buffer
	for key, value := range records {
		writeRecord(&body, key, value)
	}
	length := int64(body.Len())
	body.Write(make([]byte, padding(length)))
	for _, piece := range [][]byte{
		rawHeader("PaxHeaders/sparse", 'x', 0o644, length), body.Bytes(),
		rawHeader(path.Join("GNUSparseFile.0", shortName(path.Base(h.Name))), tar.TypeReg, h.Mode, size), index.Bytes(),
	} {
		if _, err := p.out.Write(piece); err != nil {
			return fmt.Errorf("packing %q: %w", h.Name, err)
		}
	}
	for _, piece := range parts {
		if err := p.copy(p.out, io.NewSectionReader(f, piece.offset, piece.size), h.Name, piece.size); err != nil {
			return err
		}
	}
	p.packed.Size += block + size + padding(size)
	_, err := p.out.Write(make([]byte, padding(size)))
	return err
}

// padding is what is missing to whole blocks.
func padding(size int64) int64 { return (block - size%block) % block }

// shortName is what of a name fits into an old header beside a folder.
func shortName(name string) string { return name[:min(len(name), 80)] }

// writeRecord writes a record of a PAX header: its own length, key and value
// (pax(1), "pax Extended Header").
func writeRecord(w *bytes.Buffer, key, value string) {
	size := len(key) + len(value) + 3 // a space, '=' and the end of line
	total := size + len(strconv.Itoa(size))
	if size+len(strconv.Itoa(total)) != total {
		total = size + len(strconv.Itoa(total))
	}
	fmt.Fprintf(w, "%d %s=%s\n", total, key, value)
}

// rawHeader is a header of the format ustar (tar(5)).
func rawHeader(name string, kind byte, mode, size int64) []byte {
	b := make([]byte, block)
	copy(b, name)
	copy(b[100:], fmt.Sprintf("%07o\x00%07o\x00%07o\x00", mode, 0, 0))
	if size < 1<<33 {
		copy(b[124:], fmt.Sprintf("%011o\x00", size)) // else the record of that name tells
	} else {
		copy(b[124:], "00000000000\x00")
	}
	copy(b[136:], "00000000000\x00        ") // time, and the checksum as spaces
	b[156] = kind
	copy(b[257:], "ustar\x0000")
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}
